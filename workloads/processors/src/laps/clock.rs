//! From crossings of the line to laps, whichever way the crossings were found.

use millrace_plan::model::SpeedUnit;
use serde::Deserialize;
use serde::Serialize;

/// The clock of one runner.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct LapClock {
    /// Where the current lap began; none before the first start.
    start: Option<Mark>,
    /// Laps completed.
    laps: i64,
}

/// A place on the way and the time there.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Mark {
    /// Whole milliseconds since 1970-01-01T00:00:00Z.
    pub(super) time: i64,
    /// How far, in the unit of the lap rule: laps' lengths or metres.
    pub(super) way: f64,
}

/// A completed lap.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Lap {
    /// When the line was crossed.
    pub(super) crossing: i64,
    /// The runner's how-manieth lap it is, from 1.
    pub(super) number: i64,
    /// Milliseconds, at least 1.
    pub(super) time: i64,
    /// Length in metres.
    pub(super) metres: f64,
}

impl LapClock {
    /// A clock that runs from here.
    pub(super) fn started(time: i64, way: f64) -> Self {
        Self { start: Some(Mark { time, way }), laps: 0 }
    }

    /// The line is crossed. Gives the lap that this ends: none at the first start, and none within
    /// `min_lap_time` milliseconds of the lap's beginning, whose way then counts for the next one.
    /// A lap takes at least a millisecond, so that it has a speed.
    pub(super) fn cross(
        &mut self,
        mark: Mark,
        metres_per_way: f64,
        min_lap_time: i64,
    ) -> Option<Lap> {
        let Some(start) = self.start else {
            self.start = Some(mark);
            return None;
        };
        let time = mark.time.saturating_sub(start.time);
        if time < min_lap_time.max(1) {
            return None;
        }
        self.start = Some(mark);
        self.laps = self.laps.saturating_add(1);
        Some(Lap {
            crossing: mark.time,
            number: self.laps,
            time,
            metres: (mark.way - start.way) * metres_per_way,
        })
    }

    /// Begins the current lap anew from here.
    pub(super) fn restart(&mut self, mark: Mark) {
        self.start = Some(mark);
    }
}

impl Lap {
    /// Average speed, half to even to two decimals.
    pub(super) fn average_speed(&self, unit: SpeedUnit) -> f64 {
        // Lap times are differences of event times of the years 1 to 9999, exact in a double.
        #[expect(clippy::cast_precision_loss)]
        let seconds = self.time as f64 / 1000.0;
        let speed = self.metres / seconds / unit.metres_per_second();
        (speed * 100.0).round_ties_even() / 100.0
    }
}

/// The time at a part of the way from one time to a later one, to the millisecond.
pub(super) fn time_within(from: i64, to: i64, part: f64) -> i64 {
    // Both casts are exact enough: a step is far shorter than 2^53 ms, and the part is at most 1.
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
    let elapsed = (part * to.saturating_sub(from) as f64).round() as i64;
    from.saturating_add(elapsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_average_speed_is_rounded_half_to_even() {
        let speed = |metres| {
            Lap { crossing: 0, number: 1, time: 1000, metres }
                .average_speed(SpeedUnit::MetresPerSecond)
                .to_string()
        };
        assert_eq!(speed(0.125), "0.12");
        assert_eq!(speed(0.375), "0.38");
        assert_eq!(speed(54.396_2), "54.4");
    }

    #[test]
    fn a_crossing_within_the_least_lap_time_adds_its_way_to_the_next_lap() {
        let mut clock = LapClock::started(0, 0.0);
        assert_eq!(clock.cross(Mark { time: 999, way: 1.0 }, 100.0, 1000), None);
        assert_eq!(
            clock.cross(Mark { time: 2000, way: 2.0 }, 100.0, 1000),
            Some(Lap { crossing: 2000, number: 1, time: 2000, metres: 200.0 })
        );
        assert_eq!(
            clock.cross(Mark { time: 3000, way: 3.0 }, 100.0, 1000),
            Some(Lap { crossing: 3000, number: 2, time: 1000, metres: 100.0 })
        );
    }

    #[test]
    fn a_lap_without_time_is_none_even_where_no_least_time_is_set() {
        let mut clock = LapClock::started(0, 0.0);
        assert_eq!(clock.cross(Mark { time: 0, way: 1.0 }, 100.0, 0), None);
    }
}
