//! State per key: bounded, removable, and with a list of what changed.

use std::collections::HashMap;
use std::collections::HashSet;

use bytes::Bytes;

/// State by key. What is removed leaves room for others.
pub(crate) struct KeyTable<S> {
    states: HashMap<Bytes, S>,
    changed: HashSet<Bytes>,
}

impl<S> Default for KeyTable<S> {
    fn default() -> Self {
        Self { states: HashMap::new(), changed: HashSet::new() }
    }
}

impl<S> KeyTable<S> {
    /// The state of a key.
    pub(crate) fn get(&self, key: &[u8]) -> Option<&S> {
        self.states.get(key)
    }

    /// Sets the state of a key.
    pub(crate) fn set(&mut self, key: &Bytes, state: S) {
        self.states.insert(key.clone(), state);
        self.changed.insert(key.clone());
    }

    /// Removes a key.
    pub(crate) fn remove(&mut self, key: &Bytes) {
        if self.states.remove(key).is_some() {
            self.changed.insert(key.clone());
        }
    }

    /// Puts the state of a key back.
    pub(crate) fn restore(&mut self, key: Bytes, state: S) {
        self.states.insert(key, state);
    }

    /// Hands over each changed key once, with its state or with none where it was removed.
    pub(crate) fn take_changes(&mut self, mut change: impl FnMut(&Bytes, Option<&S>)) {
        for key in self.changed.drain() {
            change(&key, self.states.get(&key));
        }
    }

    /// Number of keys.
    pub(crate) fn len(&self) -> usize {
        self.states.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_key_is_handed_over_once_with_what_became_of_it() {
        let (a, b) = (Bytes::from_static(b"a"), Bytes::from_static(b"b"));
        let mut table = KeyTable::default();
        table.restore(a.clone(), 1);
        table.set(&b, 2);
        table.set(&b, 3);
        table.remove(&a);
        let mut taken = Vec::new();
        table.take_changes(|key, state| taken.push((key.clone(), state.copied())));
        taken.sort();
        assert_eq!(taken, [(a.clone(), None), (b, Some(3))]);
        table.remove(&a);
        table.take_changes(|_, _| unreachable!("nothing has changed since"));
        assert_eq!(table.len(), 1);
    }
}
