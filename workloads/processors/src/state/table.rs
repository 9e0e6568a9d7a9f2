//! State per entity: found without allocation, bounded, and with a list of what changed.

use std::collections::HashMap;

use bytes::Bytes;

use crate::entity::Entity;
use crate::entity::EntityRef;
use crate::state::EntityIndex;

/// State of the entities of a task, by (event key, entity).
pub(crate) struct EntityTable<S> {
    slots: Vec<Slot<S>>,
    scopes: HashMap<Bytes, EntityIndex>,
    changed: Vec<usize>,
    limit: usize,
}

struct Slot<S> {
    key: Bytes,
    entity: Entity,
    state: S,
    changed: bool,
}

/// There are as many entities as the table may hold.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("there are already {0} entities, as many as `maxEntities` allows")]
pub(crate) struct TooManyEntities(pub(crate) usize);

impl<S> EntityTable<S> {
    /// An empty table for at most this many entities.
    pub(crate) fn new(limit: usize) -> Self {
        Self { slots: Vec::new(), scopes: HashMap::new(), changed: Vec::new(), limit }
    }

    /// The index of an entity, which stays the same for good.
    pub(crate) fn find(&self, key: &[u8], entity: EntityRef<'_>) -> Option<usize> {
        self.scopes.get(key)?.find(entity)
    }

    /// Adds an entity that is not there yet.
    pub(crate) fn add(
        &mut self,
        key: &Bytes,
        entity: EntityRef<'_>,
        state: S,
    ) -> Result<usize, TooManyEntities> {
        if self.slots.len() >= self.limit {
            return Err(TooManyEntities(self.limit));
        }
        let index = self.insert(key.clone(), entity.to_entity(), state);
        self.mark(index);
        Ok(index)
    }

    /// The state of an entity that is being put back, whatever the limit is by now; `empty` is
    /// what it starts from.
    pub(crate) fn restore(
        &mut self,
        key: &[u8],
        entity: Entity,
        empty: impl FnOnce() -> S,
    ) -> &mut S {
        let index = match self.find(key, entity.borrow()) {
            Some(index) => index,
            None => self.insert(Bytes::copy_from_slice(key), entity, empty()),
        };
        &mut self.slots[index].state
    }

    fn insert(&mut self, key: Bytes, entity: Entity, state: S) -> usize {
        let index = self.slots.len();
        self.scopes.entry(key.clone()).or_default().insert(&entity, index);
        self.slots.push(Slot { key, entity, state, changed: false });
        index
    }

    /// The state at an index.
    pub(crate) fn get(&self, index: usize) -> &S {
        &self.slots[index].state
    }

    /// The state at an index, to be changed.
    pub(crate) fn change(&mut self, index: usize) -> &mut S {
        self.mark(index);
        &mut self.slots[index].state
    }

    /// The entity at an index.
    pub(crate) fn entity(&self, index: usize) -> &Entity {
        &self.slots[index].entity
    }

    fn mark(&mut self, index: usize) {
        if !std::mem::replace(&mut self.slots[index].changed, true) {
            self.changed.push(index);
        }
    }

    /// Hands over each changed entity once, in the order of their first changes.
    pub(crate) fn take_changes(&mut self, mut change: impl FnMut(&[u8], &Entity, &mut S)) {
        for index in self.changed.drain(..) {
            let slot = &mut self.slots[index];
            slot.changed = false;
            change(&slot.key, &slot.entity, &mut slot.state);
        }
    }

    /// The key under which the entity at an index is.
    pub(crate) fn key(&self, index: usize) -> &Bytes {
        &self.slots[index].key
    }

    /// All states.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &S> {
        self.slots.iter().map(|slot| &slot.state)
    }

    /// All states, to be put back; not marked as changed.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut S> {
        self.slots.iter_mut().map(|slot| &mut slot.state)
    }

    /// Number of entities.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_entity_is_handed_over_once() {
        let mut table = EntityTable::new(10);
        let key = Bytes::from_static(b"race");
        let one = table.add(&key, EntityRef::Integer(1), 10).unwrap();
        table.add(&key, EntityRef::Text("1"), 20).unwrap();
        *table.change(one) = 11;
        let mut taken = Vec::new();
        table.take_changes(|key, entity, state| taken.push((key.to_vec(), entity.clone(), *state)));
        assert_eq!(
            taken,
            [
                (b"race".to_vec(), Entity::Integer(1), 11),
                (b"race".to_vec(), Entity::Text("1".into()), 20),
            ]
        );
        table.take_changes(|_, _, _| unreachable!("nothing has changed since"));
    }

    #[test]
    fn the_same_entity_under_another_key_is_another_one_and_the_limit_counts_both() {
        let mut table = EntityTable::new(2);
        let a = table.add(&Bytes::from_static(b"a"), EntityRef::Integer(1), ()).unwrap();
        let b = table.add(&Bytes::from_static(b"b"), EntityRef::Integer(1), ()).unwrap();
        assert_ne!(a, b);
        assert_eq!(table.find(b"a", EntityRef::Integer(1)), Some(a));
        assert_eq!(table.find(b"c", EntityRef::Integer(1)), None);
        assert_eq!(
            table.add(&Bytes::from_static(b"c"), EntityRef::Integer(1), ()),
            Err(TooManyEntities(2))
        );
    }
}
