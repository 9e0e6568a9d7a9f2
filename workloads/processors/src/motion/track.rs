//! The state of one entity: where it was, how far it came, and what was refused since.

use millrace_plan::model::MotionSettings;
use serde::Deserialize;
use serde::Serialize;

use crate::field::Position;
use crate::geodesy::step;

/// So many refused events in a row that agree are believed: the entity is where they say.
const AGREEING_REJECTIONS: u8 = 5;

/// What is known of an entity.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Track {
    last: Fix,
    /// Metres travelled.
    total: f64,
    /// The refused events since the last accepted one, as far as they agree.
    rejected: Option<Rejected>,
}

/// A position at a time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Fix {
    time: i64,
    position: Position,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Rejected {
    last: Fix,
    count: u8,
}

/// What an event adds to what is known. No step at the first event.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Moved {
    pub(super) step: Option<TimedStep>,
    /// Metres travelled, this step included.
    pub(super) total: f64,
}

/// A step in its time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct TimedStep {
    pub(super) metres: f64,
    pub(super) heading: f64,
    /// In the declared unit.
    pub(super) speed: f64,
    /// Milliseconds, at least 1.
    pub(super) elapsed: i64,
}

/// What becomes of an event.
pub(super) enum Verdict {
    /// The same or an earlier time than the last.
    Duplicate,
    /// Faster than the limit.
    TooFast { speed: f64, limit: f64 },
    /// A step.
    Moved(Moved),
}

impl Track {
    /// The track of an entity that is seen for the first time.
    pub(super) fn start(time: i64, position: Position) -> Self {
        Self { last: Fix { time, position }, total: 0.0, rejected: None }
    }

    /// Whether a track that was stored can be one.
    pub(super) fn is_sound(&self) -> bool {
        let rejected = self.rejected.is_none_or(|rejected| {
            rejected.last.position.is_on_earth()
                && (1..AGREEING_REJECTIONS).contains(&rejected.count)
        });
        self.last.position.is_on_earth() && self.total.is_finite() && rejected
    }

    /// What becomes of an event at this time and place.
    pub(super) fn judge(&self, settings: &MotionSettings, time: i64, here: Position) -> Verdict {
        let Some(step) = self.last.step_to(settings, time, here) else {
            return Verdict::Duplicate;
        };
        match settings.max_speed {
            Some(limit) if step.speed > limit => Verdict::TooFast { speed: step.speed, limit },
            _ => Verdict::Moved(Moved { step: Some(step), total: self.total + step.metres }),
        }
    }

    /// Takes the step.
    pub(super) fn accept(&mut self, time: i64, here: Position, moved: &Moved) {
        *self = Self { last: Fix { time, position: here }, total: moved.total, rejected: None };
    }

    /// Remembers an event that was too fast; the last of enough of them becomes the new start.
    pub(super) fn reject(&mut self, settings: &MotionSettings, time: i64, here: Position) {
        let fix = Fix { time, position: here };
        let agreed = self.rejected.filter(|rejected| {
            let step = rejected.last.step_to(settings, time, here);
            step.is_some_and(|step| settings.max_speed.is_none_or(|limit| step.speed <= limit))
        });
        let count = agreed.map_or(1, |rejected| rejected.count + 1);
        if count >= AGREEING_REJECTIONS {
            self.last = fix;
            self.rejected = None;
        } else {
            self.rejected = Some(Rejected { last: fix, count });
        }
    }
}

impl Fix {
    /// The step from here; none where no time passed.
    fn step_to(&self, settings: &MotionSettings, time: i64, here: Position) -> Option<TimedStep> {
        let elapsed = time.checked_sub(self.time).filter(|elapsed| *elapsed > 0)?;
        let step = step(settings.distance, self.position, here);
        // Event times lie in the years 1 to 9999: a double holds their differences exactly.
        #[expect(clippy::cast_precision_loss)]
        let seconds = elapsed as f64 / 1000.0;
        let speed = step.metres / seconds / settings.speed_unit.metres_per_second();
        Some(TimedStep { metres: step.metres, heading: step.heading, speed, elapsed })
    }
}
