//! The events of one event time of a group, until all of them have come.

use super::standing::Standing;
use crate::Cause;
use crate::entity::Entity;
use crate::entity::EntityRef;
use crate::state::TooManyEntities;

/// An open frame. Known entities get their values at once; those that appear for the first time
/// wait here, since their order among each other depends on all of them.
#[derive(Default)]
pub(super) struct Frame {
    cause: Option<Cause>,
    newcomers: Vec<(Entity, f64)>,
}

impl Frame {
    /// Whether the current event time has brought an event.
    pub(super) fn is_open(&self) -> bool {
        self.cause.is_some()
    }

    /// Takes the value of an entity; of several values in a frame the last one counts.
    pub(super) fn add(
        &mut self,
        standing: &mut Standing,
        entity: EntityRef<'_>,
        value: f64,
        limit: usize,
    ) -> Result<(), TooManyEntities> {
        if let Some(competitor) = standing.find(entity) {
            standing.set_value(competitor, value);
            return Ok(());
        }
        match self.newcomers.binary_search_by(|(known, _)| known.borrow().cmp(&entity)) {
            Ok(known) => self.newcomers[known].1 = value,
            Err(_) if standing.len() + self.newcomers.len() >= limit => {
                return Err(TooManyEntities(limit));
            }
            Err(place) => self.newcomers.insert(place, (entity.to_entity(), value)),
        }
        Ok(())
    }

    /// Remembers the latest event as the one that outputs will be due to.
    pub(super) fn close_with(&mut self, cause: Cause) {
        self.cause = Some(cause);
    }

    /// Ends the frame: newcomers join the standing by entity ascending, which makes that the
    /// order in which they were first seen. Gives the event that outputs are due to.
    pub(super) fn finish(&mut self, standing: &mut Standing) -> Option<Cause> {
        let cause = self.cause.take()?;
        for (entity, value) in self.newcomers.drain(..) {
            standing.join(entity, value);
        }
        Some(cause)
    }
}
