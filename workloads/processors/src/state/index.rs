//! Where an entity is in a list, found without allocation.

use std::collections::HashMap;

use crate::entity::Entity;
use crate::entity::EntityRef;

/// Places of entities.
#[derive(Default)]
pub(crate) struct EntityIndex {
    integers: HashMap<i64, usize>,
    texts: HashMap<Box<str>, usize>,
}

impl EntityIndex {
    /// The place of an entity.
    pub(crate) fn find(&self, entity: EntityRef<'_>) -> Option<usize> {
        match entity {
            EntityRef::Integer(number) => self.integers.get(&number).copied(),
            EntityRef::Text(text) => self.texts.get(text).copied(),
        }
    }

    /// Sets the place of an entity.
    pub(crate) fn insert(&mut self, entity: &Entity, place: usize) {
        match entity {
            Entity::Integer(number) => self.integers.insert(*number, place),
            Entity::Text(text) => self.texts.insert(text.clone(), place),
        };
    }
}
