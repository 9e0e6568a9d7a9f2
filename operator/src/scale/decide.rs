//! How many workers there are to be. Pure.

use std::collections::VecDeque;
use std::time::Duration;

/// Least time between two steps up.
const BETWEEN_UPS: Duration = Duration::from_secs(15);
/// Least time between two steps down.
const BETWEEN_DOWNS: Duration = Duration::from_mins(1);
/// Nothing goes down before fewer have been enough for this long.
const STEADY: Duration = Duration::from_mins(5);

/// Between which numbers, and for how many records each worker is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) min: i32,
    pub(super) max: i32,
    pub(super) lag: i64,
}

/// What has been needed lately, and when something was changed.
#[derive(Debug, Default)]
pub(super) struct History {
    needed: VecDeque<(Duration, i32)>,
    since: Option<Duration>,
    changed: Option<Duration>,
}

/// How many there are to be, if other than now: up fast, by at most as many as there are; down by at
/// most half, when fewer have been enough for a while.
pub(super) fn decide(
    lag: i64,
    current: i32,
    bounds: Bounds,
    history: &mut History,
    now: Duration,
) -> Option<i32> {
    let needed = needed(lag, bounds);
    let since = *history.since.get_or_insert(now);
    history.needed.push_back((now, needed));
    while history.needed.front().is_some_and(|(at, _)| now.saturating_sub(*at) > STEADY) {
        history.needed.pop_front();
    }
    let waited = |least| history.changed.is_none_or(|at| now.saturating_sub(at) >= least);
    let to = if current > bounds.max {
        bounds.max
    } else if needed > current {
        if !waited(BETWEEN_UPS) {
            return None;
        }
        needed.min((current * 2).max(1))
    } else {
        let most = history.needed.iter().map(|(_, needed)| *needed).max().unwrap_or(needed);
        if now.saturating_sub(since) < STEADY || !waited(BETWEEN_DOWNS) {
            return None;
        }
        most.max(current / 2).min(current)
    };
    if to == current {
        return None;
    }
    history.changed = Some(now);
    Some(to)
}

fn needed(lag: i64, bounds: Bounds) -> i32 {
    let workers = lag.max(0).unsigned_abs().div_ceil(bounds.lag.max(1).unsigned_abs());
    i32::try_from(workers).unwrap_or(i32::MAX).clamp(bounds.min, bounds.max)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { min: 0, max: 8, lag: 100 };

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn they_go_up_at_once_by_at_most_as_many_as_there_are() {
        let mut history = History::default();
        assert_eq!(decide(100_000, 0, BOUNDS, &mut history, seconds(0)), Some(1));
        assert_eq!(decide(100_000, 1, BOUNDS, &mut history, seconds(10)), None);
        assert_eq!(decide(100_000, 1, BOUNDS, &mut history, seconds(20)), Some(2));
        assert_eq!(decide(100_000, 2, BOUNDS, &mut history, seconds(40)), Some(4));
        assert_eq!(decide(100_000, 4, BOUNDS, &mut history, seconds(60)), Some(8));
        assert_eq!(decide(100_000, 8, BOUNDS, &mut history, seconds(80)), None);
    }

    #[test]
    fn a_single_record_wakes_one_worker() {
        assert_eq!(decide(1, 0, BOUNDS, &mut History::default(), seconds(0)), Some(1));
        assert_eq!(decide(0, 0, BOUNDS, &mut History::default(), seconds(0)), None);
    }

    #[test]
    fn they_go_down_by_half_once_fewer_have_been_enough_for_five_minutes() {
        let mut history = History::default();
        let mut current = 8;
        let mut steps = Vec::new();
        for at in (0..1000).step_by(10) {
            if let Some(to) = decide(0, current, BOUNDS, &mut history, seconds(at)) {
                steps.push((at, to));
                current = to;
            }
        }
        assert_eq!(steps, [(300, 4), (360, 2), (420, 1), (480, 0)]);
    }

    #[test]
    fn a_peak_within_five_minutes_keeps_them() {
        let mut history = History::default();
        for at in (0..600).step_by(10) {
            let lag = if at % 200 == 0 { 400 } else { 0 };
            assert_eq!(decide(lag, 4, BOUNDS, &mut history, seconds(at)), None, "{at}");
        }
    }

    #[test]
    fn a_lowered_maximum_counts_at_once() {
        assert_eq!(decide(100_000, 9, BOUNDS, &mut History::default(), seconds(0)), Some(8));
    }
}
