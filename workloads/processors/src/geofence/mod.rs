//! `geofence`: who enters, leaves and is in which area.
//!
//! Each output is the event with `kind`, `fence` and `entity` set, replacing fields of these names.
//! An event that does several things gives first what it leaves, then what it enters or is in, both
//! in the order in which the fences are declared. The event that enters a fence is its `enter`; later
//! ones within it are `inside`. Who is in no fence takes no room.

mod area;
mod polygon;

use bytes::Bytes;
use millrace_core::Event;
use millrace_core::Value;
use millrace_plan::model::GeofenceSettings;

use crate::Cause;
use crate::Emitter;
use crate::Operator;
use crate::RestoreError;
use crate::StateChange;
use crate::entity::Entity;
use crate::entity::EntityError;
use crate::entity::EntityRef;
use crate::field::FieldError;
use crate::field::position;
use crate::state::KeyTable;
use crate::state::TooManyEntities;
use crate::state::decode_key;
use crate::state::decode_value;
use crate::state::encode_key;
use crate::state::encode_value;
use area::Extent;

/// The operator.
pub(crate) struct Geofence {
    settings: GeofenceSettings,
    extents: Vec<Extent>,
    /// By encoded (event key, entity): the fences that it is in, by index, ascending.
    places: KeyTable<Vec<u32>>,
    /// The fences of the last event.
    here: Vec<u32>,
}

/// Why an event is refused.
#[derive(Debug, thiserror::Error)]
enum RefuseEvent {
    #[error(transparent)]
    Entity(#[from] EntityError),
    #[error(transparent)]
    Field(#[from] FieldError),
    #[error("the event is not an object, so nothing can be added to it")]
    Form,
    #[error(transparent)]
    TooMany(#[from] TooManyEntities),
}

impl Geofence {
    pub(crate) fn new(settings: GeofenceSettings) -> Self {
        let extents = settings.fences.iter().map(|fence| Extent::of(&fence.area)).collect();
        Self { settings, extents, places: KeyTable::default(), here: Vec::new() }
    }

    fn take(&mut self, event: &Event, out: &mut Emitter<'_>) -> Result<(), RefuseEvent> {
        let Value::Object(_) = &event.value else { return Err(RefuseEvent::Form) };
        let entity = EntityRef::of(&event.value, &self.settings.entity)?;
        let position = position(&event.value, &self.settings.latitude, &self.settings.longitude)?;
        self.here.clear();
        let inside = (0..).zip(&self.extents).filter(|(_, extent)| extent.contains(position));
        self.here.extend(inside.map(|(index, _)| index));
        let key = Bytes::from(encode_key(&(event.key.as_ref(), entity)));
        let before = self.places.get(&key);
        if before.is_none() && !self.here.is_empty() {
            let limit = self.settings.max_entities;
            if self.places.len() >= limit {
                return Err(TooManyEntities(limit).into());
            }
        }
        let before = before.map_or(&[][..], Vec::as_slice);
        self.tell(event, entity, before, out);
        if self.here != before {
            if self.here.is_empty() {
                self.places.remove(&key);
            } else {
                self.places.set(&key, self.here.clone());
            }
        }
        Ok(())
    }

    fn tell(&self, event: &Event, entity: EntityRef<'_>, before: &[u32], out: &mut Emitter<'_>) {
        let cause = Cause::from(event);
        let mut tell = |kind: &str, fence: u32| {
            let mut value = event.value.clone();
            if let Value::Object(fields) = &mut value {
                let name = self.settings.fences[fence as usize].name.as_str();
                fields.insert("kind".into(), Value::from(kind));
                fields.insert("fence".into(), Value::from(name));
                fields.insert("entity".into(), entity.to_entity().to_value());
            }
            out.emit(&cause, value);
        };
        if self.settings.leave {
            before
                .iter()
                .filter(|fence| !self.here.contains(fence))
                .for_each(|f| tell("leave", *f));
        }
        for fence in &self.here {
            match before.contains(fence) {
                true if self.settings.inside => tell("inside", *fence),
                false if self.settings.enter => tell("enter", *fence),
                _ => {}
            }
        }
    }
}

impl Operator for Geofence {
    fn process(&mut self, event: &Event, out: &mut Emitter<'_>) {
        if let Err(reason) = self.take(event, out) {
            out.refuse(event, reason.to_string());
        }
    }

    fn restore(&mut self, key: &[u8], value: &[u8]) -> Result<(), RestoreError> {
        let _: (&[u8], Entity) = decode_key(key)?;
        let fences: Vec<u32> = decode_value(value)?;
        let exist = fences.iter().all(|fence| (*fence as usize) < self.extents.len());
        if !exist || fences.is_empty() || !fences.is_sorted_by(|a, b| a < b) {
            return Err(RestoreError::Inconsistent("an entity is in fences that cannot be"));
        }
        self.places.restore(Bytes::copy_from_slice(key), fences);
        Ok(())
    }

    fn take_changes(&mut self, change: &mut StateChange<'_>) {
        self.places.take_changes(|key, fences| change(key, fences.map(encode_value)));
    }

    fn state_entries(&self) -> usize {
        self.places.len()
    }
}
