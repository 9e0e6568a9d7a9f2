//! Groups of a task: found without allocation, bounded, with a list of what changed.
//!
//! Unlike entities, groups come and go. The place of one that went is given away again only after
//! its removal has been handed over.

use std::collections::HashMap;

/// Groups with what is kept of each.
pub(super) struct Groups<T> {
    slots: Vec<Slot<T>>,
    places: HashMap<Box<[u8]>, usize>,
    changed: Vec<usize>,
    removed: Vec<usize>,
    free: Vec<usize>,
    limit: usize,
}

struct Slot<T> {
    identity: Box<[u8]>,
    state: T,
    changed: bool,
}

/// There are as many groups as may be remembered.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("there are already {0} groups, as many as `maxGroups` allows")]
pub(super) struct TooManyGroups(pub(super) usize);

impl<T> Groups<T> {
    /// No groups, and at most so many.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            slots: Vec::new(),
            places: HashMap::new(),
            changed: Vec::new(),
            removed: Vec::new(),
            free: Vec::new(),
            limit,
        }
    }

    /// The place of a group, which is added if it is new.
    pub(super) fn enter(
        &mut self,
        identity: &[u8],
        empty: impl FnOnce() -> T,
    ) -> Result<usize, TooManyGroups> {
        match self.places.get(identity) {
            Some(place) => Ok(*place),
            None if self.is_full() => Err(TooManyGroups(self.limit)),
            None => Ok(self.restore(identity, empty)),
        }
    }

    /// The place of a group that is being put back, whatever the limit is by now.
    pub(super) fn restore(&mut self, identity: &[u8], empty: impl FnOnce() -> T) -> usize {
        if let Some(place) = self.places.get(identity) {
            return *place;
        }
        let slot = Slot { identity: identity.into(), state: empty(), changed: false };
        let place = if let Some(place) = self.free.pop() {
            self.slots[place] = slot;
            place
        } else {
            self.slots.push(slot);
            self.slots.len() - 1
        };
        self.places.insert(identity.into(), place);
        place
    }

    /// Removes a group.
    pub(super) fn remove(&mut self, place: usize) {
        if self.places.remove(&self.slots[place].identity).is_some() {
            self.slots[place].changed = false;
            self.removed.push(place);
        }
    }

    pub(super) fn get(&self, place: usize) -> &T {
        &self.slots[place].state
    }

    /// The state at a place, to be changed.
    pub(super) fn change(&mut self, place: usize) -> &mut T {
        let slot = &mut self.slots[place];
        if !std::mem::replace(&mut slot.changed, true) {
            self.changed.push(place);
        }
        &mut slot.state
    }

    /// The state at a place, to be changed in what state does not keep of it.
    pub(super) fn get_mut(&mut self, place: usize) -> &mut T {
        &mut self.slots[place].state
    }

    pub(super) fn identity(&self, place: usize) -> &[u8] {
        &self.slots[place].identity
    }

    pub(super) fn contains(&self, identity: &[u8]) -> bool {
        self.places.contains_key(identity)
    }

    /// Places of all groups, in no order.
    pub(super) fn places(&self) -> impl Iterator<Item = usize> {
        self.places.values().copied()
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there are as many groups as may be remembered.
    pub(super) fn is_full(&self) -> bool {
        self.places.len() >= self.limit
    }

    /// Hands over each group once that changed, with none where it was removed.
    pub(super) fn take_changes(&mut self, mut change: impl FnMut(&[u8], Option<&T>)) {
        for place in self.changed.drain(..) {
            let slot = &mut self.slots[place];
            if std::mem::replace(&mut slot.changed, false) {
                change(&slot.identity, Some(&slot.state));
            }
        }
        let slots = &self.slots;
        self.removed.sort_unstable_by(|a, b| slots[*a].identity.cmp(&slots[*b].identity));
        for same in self.removed.chunk_by(|a, b| slots[*a].identity == slots[*b].identity) {
            if let [place, ..] = same
                && !self.places.contains_key(&slots[*place].identity)
            {
                change(&slots[*place].identity, None);
            }
        }
        self.free.append(&mut self.removed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(groups: &mut Groups<i64>) -> Vec<(Vec<u8>, Option<i64>)> {
        let mut changes = Vec::new();
        groups.take_changes(|identity, state| changes.push((identity.to_vec(), state.copied())));
        changes
    }

    #[test]
    fn a_group_that_came_and_went_and_came_again_is_handed_over_once() {
        let mut groups = Groups::new(2);
        for state in 1..4 {
            let place = groups.enter(b"a", || 0).unwrap();
            *groups.change(place) = state;
            if state < 3 {
                groups.remove(place);
            }
        }
        assert_eq!(changes(&mut groups), [(b"a".to_vec(), Some(3))]);
        let place = groups.enter(b"a", || 0).unwrap();
        groups.remove(place);
        let place = groups.enter(b"a", || 0).unwrap();
        *groups.change(place) = 4;
        groups.remove(place);
        assert_eq!(changes(&mut groups), [(b"a".to_vec(), None)]);
        assert_eq!(changes(&mut groups), []);
    }

    #[test]
    fn places_are_used_again_and_the_limit_counts_what_is_there() {
        let mut groups = Groups::new(1);
        let first = groups.enter(b"a", || 1).unwrap();
        assert_eq!(groups.enter(b"b", || 2), Err(TooManyGroups(1)));
        groups.remove(first);
        changes(&mut groups);
        assert_eq!(groups.enter(b"b", || 2), Ok(first));
        assert_eq!(groups.get(first), &2);
    }
}
