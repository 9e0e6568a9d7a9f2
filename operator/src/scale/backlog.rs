//! Whether workers fall behind and stay there. Pure.

use std::collections::VecDeque;
use std::time::Duration;

/// How long they have to be behind without catching up.
const LONG: Duration = Duration::from_mins(5);

/// Nobody is told of fewer records than these.
const LEAST: i64 = 10_000;

/// The group that is furthest behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Behind {
    /// Its name, without the prefix.
    pub group: String,
    /// Records that wait for it.
    pub records: i64,
}

/// How workers keep up with what comes in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pace {
    /// They do.
    KeepsUp,
    /// They do not: so far behind was a group when that was found.
    Lags(Behind),
}

/// Records that may wait where this many workers at most are each meant for so many.
pub(super) fn bound(workers: i32, each: i32) -> i64 {
    (i64::from(workers) * i64::from(each)).max(LEAST)
}

/// What has waited lately.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    /// Since it was above the bound: one reading that is [`LONG`] ago, and those behind it.
    readings: VecDeque<(Duration, i64)>,
    pace: Option<Pace>,
}

impl Backlog {
    /// Takes a reading, and says how the workers keep up; none while that cannot be said. Between
    /// the bound and its half nothing changes.
    pub(super) fn read(&mut self, behind: &Behind, bound: i64, now: Duration) -> Option<&Pace> {
        if behind.records <= bound {
            self.readings.clear();
        } else {
            self.readings.push_back((now, behind.records));
            while self.readings.get(1).is_some_and(|(at, _)| now.saturating_sub(*at) >= LONG) {
                self.readings.pop_front();
            }
        }
        if behind.records <= bound / 2 {
            self.pace = Some(Pace::KeepsUp);
        } else if self.stays(behind.records, now) && !matches!(self.pace, Some(Pace::Lags(_))) {
            self.pace = Some(Pace::Lags(behind.clone()));
        }
        self.pace.as_ref()
    }

    /// Whether not even a tenth of what waited has been done in that time.
    fn stays(&self, records: i64, now: Duration) -> bool {
        self.readings.front().is_some_and(|(at, before)| {
            now.saturating_sub(*at) >= LONG && records > before - before / 10
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: i64 = 10_000;

    fn behind(records: i64) -> Behind {
        Behind { group: "motion".to_owned(), records }
    }

    /// Readings every ten seconds; what is said after the last one.
    fn after(
        backlog: &mut Backlog,
        from: u64,
        records: impl IntoIterator<Item = i64>,
    ) -> Option<Pace> {
        let mut pace = None;
        for (index, records) in records.into_iter().enumerate() {
            let now = Duration::from_secs(from + 10 * index as u64);
            pace = backlog.read(&behind(records), BOUND, now).cloned();
        }
        pace
    }

    #[test]
    fn who_is_behind_for_five_minutes_and_does_not_catch_up_lags() {
        let mut backlog = Backlog::default();
        assert_eq!(after(&mut backlog, 0, [0]), Some(Pace::KeepsUp));
        assert_eq!(after(&mut backlog, 10, [20_000; 30]), Some(Pace::KeepsUp));
        assert_eq!(after(&mut backlog, 310, [20_001]), Some(Pace::Lags(behind(20_001))));
    }

    #[test]
    fn who_catches_up_does_not_lag_however_far_behind() {
        let catching_up = (0..120).map(|step| 1_000_000 - step * 5_000);
        assert_eq!(after(&mut Backlog::default(), 0, catching_up), None);
    }

    #[test]
    fn a_peak_that_ends_begins_the_time_anew() {
        let mut backlog = Backlog::default();
        after(&mut backlog, 0, [0]);
        after(&mut backlog, 10, [20_000; 29]);
        after(&mut backlog, 300, [9_000]);
        assert_eq!(after(&mut backlog, 310, [20_000; 30]), Some(Pace::KeepsUp));
    }

    #[test]
    fn who_lags_does_so_until_half_of_the_bound() {
        let mut backlog = Backlog::default();
        let lags = Some(Pace::Lags(behind(20_000)));
        assert_eq!(after(&mut backlog, 0, [20_000; 31]), lags);
        // What is told stays, although what waits changes.
        assert_eq!(after(&mut backlog, 310, [19_000, 15_000, 9_000, 5_001]), lags);
        assert_eq!(after(&mut backlog, 350, [5_000]), Some(Pace::KeepsUp));
        assert_eq!(after(&mut backlog, 360, [9_999]), Some(Pace::KeepsUp));
    }

    #[test]
    fn what_was_so_before_stays_until_something_else_is_known() {
        assert_eq!(after(&mut Backlog::default(), 0, [9_000; 60]), None);
    }

    #[test]
    fn workers_that_are_meant_for_more_may_be_further_behind() {
        assert_eq!(bound(4, 1_000), 10_000);
        assert_eq!(bound(16, 5_000), 80_000);
    }
}
