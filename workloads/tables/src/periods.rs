//! Times of partitions: which one a time falls into, and which are older than retention.

use std::ops::Range;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use millrace_plan::model::TablePartitions;
use millrace_plan::model::TablePlan;

use crate::Cell;
use crate::Row;

/// The clock: microseconds since 1970.
#[must_use]
pub fn now_micros() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_micros()).unwrap_or(i64::MAX)
}

/// Periods of time, one after the other since 1970 in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Periods {
    /// The length of one, in microseconds.
    every: i64,
    /// How long what falls into one is kept, in microseconds.
    retention: Option<i64>,
}

impl Periods {
    pub(crate) fn of(partitions: &TablePartitions) -> Self {
        Self { every: micros(partitions.every).max(1), retention: partitions.retention.map(micros) }
    }

    /// The period of a time, with its beginning and without its end.
    pub(crate) fn of_time(&self, time: i64) -> Range<i64> {
        let start = time.div_euclid(self.every).saturating_mul(self.every);
        start..start.saturating_add(self.every)
    }

    /// The present period and those after it that are made ahead.
    pub(crate) fn ahead(&self, now: i64) -> impl Iterator<Item = Range<i64>> {
        let first = self.of_time(now).start;
        (0..=AHEAD).map(move |number| {
            let start = first.saturating_add(number * self.every);
            start..start.saturating_add(self.every)
        })
    }

    /// The times that are near enough to the present for partitions of their own.
    pub(crate) fn near(&self, now: i64) -> Range<i64> {
        let most = i64::from(TablePartitions::MOST);
        let present = self.of_time(now).start;
        let first = present.saturating_sub(self.every.saturating_mul(most));
        first..present.saturating_add(self.every.saturating_mul(AHEAD + 1))
    }

    /// Whether a period is near enough to the present for a partition of its own.
    pub(crate) fn is_near(&self, period: &Range<i64>, now: i64) -> bool {
        let near = self.near(now);
        near.start <= period.start && period.end <= near.end
    }

    /// What is of an earlier time than this has gone; none if everything is kept. It is the
    /// beginning of a period: periods go as a whole.
    pub(crate) fn kept_from(&self, now: i64) -> Option<i64> {
        let oldest = now.saturating_sub(self.retention?);
        Some(self.of_time(oldest).start)
    }
}

/// So many periods after the present one have their partitions.
const AHEAD: i64 = 2;

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// Where a table's rows have the time of their partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PartitionColumn(usize);

impl PartitionColumn {
    pub(crate) fn of(plan: &TablePlan) -> Option<Self> {
        let by = &plan.partitions.as_ref()?.by;
        plan.columns.iter().position(|column| column.name == *by).map(Self)
    }

    /// Its place among a row's cells.
    pub(crate) const fn index(self) -> usize {
        self.0
    }

    /// The time of a row; none of one that the database will refuse.
    pub(crate) fn time(self, row: &Row) -> Option<i64> {
        match row.cells.get(self.0) {
            Some(Cell::Timestamp(micros)) => Some(*micros),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000_000;
    const DAY: i64 = 24 * HOUR;

    fn periods(retention: Option<u64>) -> Periods {
        Periods::of(&TablePartitions {
            by: "at".into(),
            every: Duration::from_hours(24),
            retention: retention.map(Duration::from_hours),
        })
    }

    #[test]
    fn a_period_has_its_beginning_and_not_its_end_before_1970_too() {
        let days = periods(None);
        assert_eq!(days.of_time(0), 0..DAY);
        assert_eq!(days.of_time(DAY - 1), 0..DAY);
        assert_eq!(days.of_time(DAY), DAY..2 * DAY);
        assert_eq!(days.of_time(-1), -DAY..0);
    }

    #[test]
    fn the_present_period_and_two_more_are_made_ahead() {
        let ahead: Vec<_> = periods(None).ahead(5 * DAY + HOUR).collect();
        assert_eq!(ahead, [5 * DAY..6 * DAY, 6 * DAY..7 * DAY, 7 * DAY..8 * DAY]);
    }

    #[test]
    fn periods_from_500_ago_to_2_ahead_are_near() {
        let days = periods(None);
        let near = |day: i64| days.is_near(&days.of_time(day * DAY), 1000 * DAY + HOUR);
        assert_eq!([499, 500, 1000, 1002, 1003].map(near), [false, true, true, true, false]);
        // Year 3000, and the ends of time.
        assert!(!near(376_200));
        assert!(!days.is_near(&days.of_time(i64::MAX), 0));
        assert!(!days.is_near(&days.of_time(i64::MIN), 0));
    }

    #[test]
    fn what_is_kept_begins_with_a_whole_period() {
        let limit = |now| periods(Some(48)).kept_from(now);
        assert_eq!(limit(10 * DAY), Some(8 * DAY));
        assert_eq!(limit(11 * DAY - 1), Some(8 * DAY));
        assert_eq!(limit(11 * DAY), Some(9 * DAY));
        assert_eq!(periods(None).kept_from(10 * DAY), None);
    }
}
