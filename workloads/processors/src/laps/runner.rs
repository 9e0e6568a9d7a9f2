//! The state of one entity: where it was last, the lines behind it and its clock.

use millrace_core::Event;
use millrace_plan::model::LapRule;
use millrace_plan::model::LapsSettings;
use serde::Deserialize;
use serde::Serialize;

use super::clock::Lap;
use super::clock::LapClock;
use super::clock::Mark;
use super::clock::time_within;
use super::gate::Gate;
use super::length::Lines;
use crate::field::FieldError;
use crate::field::Position;
use crate::field::number;
use crate::field::position;

/// What an event says.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Reading {
    pub(super) time: i64,
    /// Metres.
    total: f64,
    /// Only where laps are made by a gate.
    position: Option<Position>,
}

/// What is known of an entity.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Runner {
    last: Reading,
    /// Only where laps are made by length.
    lines: Lines,
    clock: LapClock,
}

/// Why a step is refused.
#[derive(Debug, thiserror::Error, PartialEq)]
pub(super) enum StepError {
    #[error("the total distance went back from {from} to {to}")]
    Backwards { from: f64, to: f64 },
    #[error("the step crosses the line {lines:.0} times; timing starts anew from here")]
    TooLong { lines: f64 },
}

impl Reading {
    /// Reads an event.
    pub(super) fn of(event: &Event, rule: &LapRule) -> Result<Self, FieldError> {
        let (total_distance, position) = match rule {
            LapRule::Length { total_distance, .. } => (total_distance, None),
            LapRule::Gate { latitude, longitude, total_distance, .. } => {
                (total_distance, Some(position(&event.value, latitude, longitude)?))
            }
        };
        let total = number(&event.value, total_distance, "total distance")?;
        Ok(Self { time: event.time, total, position })
    }

    /// The reading at a part of the way to a later one, in metres.
    fn way_to(&self, to: &Self, part: f64) -> Mark {
        Mark {
            time: time_within(self.time, to.time, part),
            way: self.total + part * (to.total - self.total),
        }
    }
}

impl Runner {
    /// A runner seen for the first time. By length its clock starts here, by gate at the first
    /// crossing.
    pub(super) fn start(reading: Reading) -> Self {
        let clock = match reading.position {
            None => LapClock::started(reading.time, 0.0),
            Some(_) => LapClock::default(),
        };
        Self { last: reading, lines: Lines::from(reading.total), clock }
    }

    /// Time of the last event.
    pub(super) fn time(&self) -> i64 {
        self.last.time
    }

    /// Takes a later reading and gives the laps that it completes.
    pub(super) fn step(
        &mut self,
        settings: &LapsSettings,
        reading: Reading,
        mut completed: impl FnMut(Lap),
    ) -> Result<(), StepError> {
        let Self { last, lines, clock } = self;
        if reading.total < last.total {
            return Err(StepError::Backwards { from: last.total, to: reading.total });
        }
        let min = i64::try_from(settings.min_lap_time.as_millis()).unwrap_or(i64::MAX);
        let from = std::mem::replace(last, reading);
        match (&settings.by, from.position.zip(reading.position)) {
            (LapRule::Length { metres, .. }, _) => lines
                .step(*metres, from.total, reading.total, |line, part| {
                    let time = time_within(from.time, reading.time, part);
                    if let Some(lap) = clock.cross(Mark { time, way: line }, *metres, min) {
                        completed(lap);
                    }
                })
                .inspect_err(|_| {
                    *lines = Lines::from(reading.total);
                    clock.restart(Mark { time: reading.time, way: 0.0 });
                }),
            (LapRule::Gate { points, .. }, Some((before, after))) => {
                let crossing = Gate::between(*points).crossing(before, after);
                let lap =
                    crossing.and_then(|part| clock.cross(from.way_to(&reading, part), 1.0, min));
                if let Some(lap) = lap {
                    completed(lap);
                }
                Ok(())
            }
            // State of another rule has another fingerprint and is never restored.
            (LapRule::Gate { .. }, None) => Ok(()),
        }
    }
}
