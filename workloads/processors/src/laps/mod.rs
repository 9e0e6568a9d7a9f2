//! `laps`: lap times, average speeds and fastest laps.
//!
//! A race is an event key. Laps of one event time are judged after all its events, by (crossing
//! time, entity), so that the fastest lap does not depend on the order of arrival. Each output is
//! due to the event whose step crossed the line; a fastest lap follows its lap.

mod clock;
mod gate;
mod length;
mod races;
mod runner;

use millrace_core::Event;
use millrace_core::Value;
use millrace_plan::model::LapsSettings;
use serde::Deserialize;
use serde::Serialize;

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
use crate::object::float;
use crate::object::object;
use crate::state::EntityTable;
use crate::state::TooManyEntities;
use crate::state::decode_key;
use crate::state::decode_value;
use crate::state::encode_key;
use crate::state::encode_value;
use clock::Lap;
use races::Races;
use runner::Reading;
use runner::Runner;
use runner::StepError;

/// The operator.
pub(crate) struct Laps {
    settings: LapsSettings,
    runners: EntityTable<Runner>,
    races: Races,
    /// Laps of the current event time.
    finished: Vec<Finish>,
}

/// A lap that waits for the end of its event time.
struct Finish {
    lap: Lap,
    runner: usize,
    cause: Cause,
    /// Which lap of its event's step it is.
    number: u32,
}

/// Key of a state entry.
#[derive(Serialize, Deserialize)]
enum StateKey<'a, E> {
    Runner { race: &'a [u8], entity: E },
    FastestLap { race: &'a [u8] },
}

/// Why an event is refused.
#[derive(Debug, thiserror::Error)]
enum RefuseEvent {
    #[error(transparent)]
    Entity(#[from] EntityError),
    #[error(transparent)]
    Field(#[from] FieldError),
    #[error(transparent)]
    TooMany(#[from] TooManyEntities),
    #[error(transparent)]
    Step(#[from] StepError),
}

/// What became of an event that was not refused.
enum Taken {
    Step,
    Duplicate,
}

impl Laps {
    pub(crate) fn new(settings: LapsSettings) -> Self {
        let runners = EntityTable::new(settings.max_entities);
        Self { settings, runners, races: Races::default(), finished: Vec::new() }
    }

    fn take(&mut self, event: &Event) -> Result<Taken, RefuseEvent> {
        let entity = EntityRef::of(&event.value, &self.settings.entity)?;
        let reading = Reading::of(event, &self.settings.by)?;
        let Some(index) = self.runners.find(&event.key, entity) else {
            self.runners.add(&event.key, entity, Runner::start(reading))?;
            return Ok(Taken::Step);
        };
        if reading.time <= self.runners.get(index).time() {
            return Ok(Taken::Duplicate);
        }
        let mut number = 0;
        let finished = &mut self.finished;
        self.runners.change(index).step(&self.settings, reading, |lap| {
            finished.push(Finish { lap, runner: index, cause: Cause::from(event), number });
            number += 1;
        })?;
        Ok(Taken::Step)
    }
}

impl Operator for Laps {
    fn process(&mut self, event: &Event, out: &mut Emitter<'_>) {
        match self.take(event) {
            Ok(Taken::Step) => {}
            Ok(Taken::Duplicate) => out.count(Counted::Duplicate),
            Err(reason) => out.refuse(event, reason.to_string()),
        }
    }

    fn end_of_time(&mut self, _time: i64, out: &mut Emitter<'_>) {
        let runners = &self.runners;
        self.finished.sort_by(|a, b| {
            let entity = |finish: &Finish| runners.entity(finish.runner).borrow();
            (a.lap.crossing, entity(a), a.lap.number, runners.key(a.runner)).cmp(&(
                b.lap.crossing,
                entity(b),
                b.lap.number,
                runners.key(b.runner),
            ))
        });
        for Finish { lap, runner, cause, number } in self.finished.drain(..) {
            let entity = runners.entity(runner);
            let speed = lap.average_speed(self.settings.speed_unit);
            out.emit_nth(&cause, 2 * number, described("lap", entity, &lap, speed));
            if self.races.is_fastest(&cause.key, lap.time) {
                let value = described("fastestLap", entity, &lap, speed);
                out.emit_nth(&cause, 2 * number + 1, value);
            }
        }
    }

    fn restore(&mut self, key: &[u8], value: &[u8]) -> Result<(), RestoreError> {
        match decode_key::<StateKey<'_, Entity>>(key)? {
            StateKey::Runner { race, entity } => {
                let runner: Runner = decode_value(value)?;
                *self.runners.restore(race, entity, || runner) = runner;
            }
            StateKey::FastestLap { race } => self.races.restore(race, decode_value(value)?),
        }
        Ok(())
    }

    fn take_changes(&mut self, change: &mut StateChange<'_>) {
        self.runners.take_changes(|race, entity, runner| {
            let key = StateKey::Runner { race, entity: entity.borrow() };
            change(&encode_key(&key), Some(encode_value(runner)));
        });
        self.races.take_changes(|race, time| {
            let key: StateKey<'_, EntityRef<'_>> = StateKey::FastestLap { race };
            change(&encode_key(&key), Some(encode_value(&time)));
        });
    }

    fn state_entries(&self) -> usize {
        self.runners.len() + self.races.len()
    }
}

fn described(kind: &str, entity: &Entity, lap: &Lap, speed: f64) -> Value {
    object([
        ("kind", Value::from(kind)),
        ("timestamp", Value::Integer(lap.crossing)),
        ("entity", entity.to_value()),
        ("lap", Value::Integer(lap.number)),
        ("lapTime", Value::Integer(lap.time)),
        ("averageSpeed", float(speed)),
    ])
}
