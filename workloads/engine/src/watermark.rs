//! Watermarks: how far an input's event time has come, from its log alone.

use std::time::Duration;

use millrace_core::Partition;
use serde::Deserialize;
use serde::Serialize;

use crate::recent_ids::millis;

/// The watermark of a partition. Nothing below it is expected any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Watermark {
    /// Of a stream that clients write: the highest event time so far less the disorder, or the
    /// highest idle mark.
    Ingested { disorder: i64, highest_time: i64, mark: i64 },
    /// Of a stream that tasks write: the lowest of what these say.
    Derived { tasks: Vec<i64> },
}

impl Watermark {
    /// At the start of a partition that clients write.
    pub(crate) fn ingested(disorder: Duration) -> Self {
        Self::Ingested { disorder: millis(disorder), highest_time: i64::MIN, mark: i64::MIN }
    }

    /// At the start of a partition that so many tasks write.
    pub(crate) fn derived(tasks: Partition) -> Self {
        Self::Derived { tasks: vec![i64::MIN; usize::try_from(tasks).unwrap_or_default()] }
    }

    /// The watermark in event-time milliseconds; `i64::MIN` before anything was read.
    pub(crate) fn current(&self) -> i64 {
        match self {
            Self::Ingested { disorder, highest_time, mark } => {
                let by_time = match *highest_time {
                    i64::MIN => i64::MIN,
                    time => time.saturating_sub(*disorder),
                };
                by_time.max(*mark)
            }
            Self::Derived { tasks } => tasks.iter().copied().min().unwrap_or(i64::MIN),
        }
    }

    /// Takes a record's event time into account, after it was judged by [`Watermark::current`].
    pub(crate) fn observe(&mut self, time: i64) {
        if let Self::Ingested { highest_time, .. } = self {
            *highest_time = time.max(*highest_time);
        }
    }

    /// Takes an idle mark into account.
    pub(crate) fn idle(&mut self, watermark: i64) {
        if let Self::Ingested { mark, .. } = self {
            *mark = watermark.max(*mark);
        }
    }

    /// Takes an upstream task's mark into account.
    pub(crate) fn mark(&mut self, task: Partition, watermark: i64) {
        if let Self::Derived { tasks } = self
            && let Some(mark) = usize::try_from(task).ok().and_then(|task| tasks.get_mut(task))
        {
            *mark = watermark.max(*mark);
        }
    }

    /// The highest event time of a partition that clients write.
    pub(crate) fn highest_time(&self) -> i64 {
        match self {
            Self::Ingested { highest_time, .. } => *highest_time,
            Self::Derived { .. } => i64::MIN,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ingested_watermark_is_the_highest_time_less_disorder_or_the_highest_mark() {
        let mut watermark = Watermark::ingested(Duration::from_millis(50));
        assert_eq!(watermark.current(), i64::MIN);
        watermark.observe(1000);
        watermark.observe(900);
        assert_eq!(watermark.current(), 950);
        watermark.idle(1001);
        watermark.idle(990);
        assert_eq!(watermark.current(), 1001);
        watermark.observe(1100);
        assert_eq!(watermark.current(), 1050);
    }

    #[test]
    fn a_derived_watermark_is_the_lowest_of_all_its_tasks() {
        let mut watermark = Watermark::derived(2);
        watermark.mark(0, 500);
        assert_eq!(watermark.current(), i64::MIN);
        watermark.mark(1, 300);
        watermark.mark(0, 400);
        assert_eq!(watermark.current(), 300);
        watermark.mark(7, 1);
        assert_eq!(watermark.current(), 300);
    }
}
