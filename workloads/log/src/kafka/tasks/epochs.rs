//! Epochs: numbers that only rise, in this process and from one process to the next.

use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

/// Makes epochs: microseconds of the clock, or one more than the last.
#[derive(Debug, Default)]
pub(super) struct Epochs {
    last: AtomicI64,
}

impl Epochs {
    /// An epoch that is greater than all before.
    pub(super) fn next(&self) -> i64 {
        let clock = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| i64::try_from(since.as_micros()).unwrap_or_default());
        let after = |last: i64| clock.max(last.saturating_add(1));
        let last =
            self.last.fetch_update(Ordering::AcqRel, Ordering::Acquire, |last| Some(after(last)));
        last.map_or_else(after, after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_rise_within_a_process_and_from_the_last_one() {
        let first = Epochs::default();
        let of_first: Vec<_> = (0..1000).map(|_| first.next()).collect();
        assert!(of_first.is_sorted_by(|one, other| one < other), "{of_first:?}");
        std::thread::sleep(std::time::Duration::from_millis(2));
        assert!(Epochs::default().next() > of_first[999]);
    }
}
