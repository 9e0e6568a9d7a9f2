//! `motion`: distance, speed, heading and total distance per entity.
//!
//! Each event comes out with `distance` (metres), `speed` (in the declared unit), `heading`
//! (degrees), `totalDistance` (metres) and `elapsed` (milliseconds) set, replacing fields of these
//! names. At an entity's first event all but `totalDistance` (0) are null; `heading` is null also
//! where the entity did not move.

mod track;

use millrace_core::Event;
use millrace_core::Value;
use millrace_plan::model::MotionSettings;

use crate::Cause;
use crate::Counted;
use crate::Emitter;
use crate::Operator;
use crate::RestoreError;
use crate::StateChange;
use crate::entity::Entity;
use crate::entity::EntityError;
use crate::entity::EntityRef;
use crate::field::FieldError;
use crate::field::position;
use crate::object::float;
use crate::state::EntityTable;
use crate::state::TooManyEntities;
use crate::state::decode_key;
use crate::state::decode_value;
use crate::state::encode_key;
use crate::state::encode_value;
use track::Moved;
use track::Track;
use track::Verdict;

/// The operator.
pub(crate) struct Motion {
    settings: MotionSettings,
    tracks: EntityTable<Track>,
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
    #[error("the speed {speed} is above `maxSpeed` {limit}")]
    TooFast { speed: f64, limit: f64 },
}

impl Motion {
    pub(crate) fn new(settings: MotionSettings) -> Self {
        let tracks = EntityTable::new(settings.max_entities);
        Self { settings, tracks }
    }

    /// What the event adds; none for a duplicate.
    fn advance(&mut self, event: &Event) -> Result<Option<Moved>, RefuseEvent> {
        if !matches!(event.value, Value::Object(_)) {
            return Err(RefuseEvent::Form);
        }
        let entity = EntityRef::of(&event.value, &self.settings.entity)?;
        let here = position(&event.value, &self.settings.latitude, &self.settings.longitude)?;
        let Some(index) = self.tracks.find(&event.key, entity) else {
            self.tracks.add(&event.key, entity, Track::start(event.time, here))?;
            return Ok(Some(Moved::default()));
        };
        let verdict = self.tracks.get(index).judge(&self.settings, event.time, here);
        match verdict {
            Verdict::Duplicate => Ok(None),
            Verdict::Moved(moved) => {
                self.tracks.change(index).accept(event.time, here, &moved);
                Ok(Some(moved))
            }
            Verdict::TooFast { speed, limit } => {
                self.tracks.change(index).reject(&self.settings, event.time, here);
                Err(RefuseEvent::TooFast { speed, limit })
            }
        }
    }
}

impl Operator for Motion {
    fn process(&mut self, event: &Event, out: &mut Emitter<'_>) {
        match self.advance(event) {
            Ok(Some(moved)) => out.emit(&Cause::from(event), described(&event.value, &moved)),
            Ok(None) => out.count(Counted::Duplicate),
            Err(reason) => out.refuse(event, reason.to_string()),
        }
    }

    fn restore(&mut self, key: &[u8], value: &[u8]) -> Result<(), RestoreError> {
        let (scope, entity): (&[u8], Entity) = decode_key(key)?;
        let track: Track = decode_value(value)?;
        if !track.is_sound() {
            return Err(RestoreError::Inconsistent("an entity is where nothing can be"));
        }
        *self.tracks.restore(scope, entity, || track) = track;
        Ok(())
    }

    fn take_changes(&mut self, change: &mut StateChange<'_>) {
        self.tracks.take_changes(|scope, entity, track| {
            change(&encode_key(&(scope, entity)), Some(encode_value(track)));
        });
    }

    fn state_entries(&self) -> usize {
        self.tracks.len()
    }
}

/// The event with what is known of its motion.
fn described(value: &Value, moved: &Moved) -> Value {
    let mut value = value.clone();
    if let Value::Object(fields) = &mut value {
        let step = moved.step;
        let heading = step.filter(|step| step.metres > 0.0).map(|step| step.heading);
        fields.insert("distance".into(), optional(step.map(|step| step.metres)));
        fields.insert("speed".into(), optional(step.map(|step| step.speed)));
        fields.insert("heading".into(), optional(heading));
        fields.insert("totalDistance".into(), float(moved.total));
        fields.insert(
            "elapsed".into(),
            step.map_or(Value::Null, |step| Value::Integer(step.elapsed)),
        );
    }
    value
}

fn optional(number: Option<f64>) -> Value {
    number.map_or(Value::Null, float)
}
