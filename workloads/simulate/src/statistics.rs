//! What a sender did so far: counts and latencies, readable while it works.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Mutex;
use serde::Serialize;

/// Linear steps within each power of two of microseconds: latencies are known to 1/16.
const STEPS: u64 = 16;
const BUCKETS: usize = 28 * 16;

/// Counts and latencies of a sender. All parts of it share one.
#[derive(Debug)]
pub struct Statistics {
    sent: AtomicU64,
    acknowledged: AtomicU64,
    repeated: AtomicU64,
    errors: AtomicU64,
    last_error: Mutex<Option<String>>,
    statuses: Mutex<BTreeMap<u16, u64>>,
    latencies: Mutex<Vec<u64>>,
    slowest: Mutex<Option<Duration>>,
}

/// The figures at one moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    /// Messages handed over, repetitions not counted.
    pub sent: u64,
    /// Messages confirmed by the receiver (a file confirms when it was written; over HTTP: answered
    /// by a status below 300).
    pub acknowledged: u64,
    /// Messages sent again: they were not confirmed before the connection went, or the server asked
    /// for it.
    pub repeated: u64,
    /// Connections that failed or broke.
    pub errors: u64,
    /// Over HTTP: how many requests were answered by each status.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub statuses: BTreeMap<u16, u64>,
    /// Why the last one did; none while all is well.
    pub last_error: Option<String>,
    /// Median time from when a message was due to its confirmation, in milliseconds.
    pub latency_p50_millis: Option<f64>,
    /// The 99th percentile of it.
    pub latency_p99_millis: Option<f64>,
    /// The 99.9th percentile of it.
    pub latency_p999_millis: Option<f64>,
    /// The longest of it.
    pub latency_max_millis: Option<f64>,
}

impl Default for Statistics {
    fn default() -> Self {
        Self {
            sent: AtomicU64::new(0),
            acknowledged: AtomicU64::new(0),
            repeated: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            last_error: Mutex::new(None),
            statuses: Mutex::default(),
            slowest: Mutex::default(),
            latencies: Mutex::new(vec![0; BUCKETS]),
        }
    }
}

impl Statistics {
    pub(crate) fn sent(&self) {
        self.sent.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn repeated(&self) {
        self.repeated.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn acknowledged(&self, latency: Option<Duration>) {
        self.acknowledged.fetch_add(1, Ordering::Relaxed);
        if let Some(latency) = latency {
            self.took(latency);
        }
    }

    /// A request was answered, so long after it was due.
    pub(crate) fn answered(&self, status: u16, latency: Duration) {
        *self.statuses.lock().entry(status).or_default() += 1;
        if status < 300 {
            self.acknowledged.fetch_add(1, Ordering::Relaxed);
        }
        self.took(latency);
    }

    fn took(&self, latency: Duration) {
        self.latencies.lock()[bucket(latency)] += 1;
        let mut slowest = self.slowest.lock();
        *slowest = slowest.max(Some(latency));
    }

    pub(crate) fn failed(&self, error: String) {
        self.errors.fetch_add(1, Ordering::Relaxed);
        *self.last_error.lock() = Some(error);
    }

    pub(crate) fn recovered(&self) {
        *self.last_error.lock() = None;
    }

    /// The figures now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let latencies = self.latencies.lock();
        Snapshot {
            sent: self.sent.load(Ordering::Relaxed),
            acknowledged: self.acknowledged.load(Ordering::Relaxed),
            repeated: self.repeated.load(Ordering::Relaxed),
            errors: self.errors.load(Ordering::Relaxed),
            last_error: self.last_error.lock().clone(),
            statuses: self.statuses.lock().clone(),
            latency_p50_millis: percentile(&latencies, 500),
            latency_p99_millis: percentile(&latencies, 990),
            latency_p999_millis: percentile(&latencies, 999),
            latency_max_millis: self.slowest.lock().map(|slowest| slowest.as_secs_f64() * 1000.0),
        }
    }
}

fn bucket(latency: Duration) -> usize {
    let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX).max(STEPS);
    let power = u64::from(micros.ilog2() - STEPS.ilog2());
    let index = power * STEPS + (micros >> power) - STEPS;
    usize::try_from(index).unwrap_or(usize::MAX).min(BUCKETS - 1)
}

/// The upper end of the bucket in which so many of a thousand end, in milliseconds.
fn percentile(buckets: &[u64], of_thousand: u64) -> Option<f64> {
    let total: u64 = buckets.iter().sum();
    let wanted = (total * of_thousand).div_ceil(1000).max(1);
    let mut seen = 0;
    let found = buckets.iter().position(|count| {
        seen += count;
        seen >= wanted
    })?;
    let (power, step) = ((found as u64) / STEPS, (found as u64) % STEPS);
    // Microseconds of a latency are far below 2^53.
    #[expect(clippy::cast_precision_loss)]
    Some(((STEPS + step + 1) << power) as f64 / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_right_to_a_sixteenth() {
        let statistics = Statistics::default();
        assert_eq!(statistics.snapshot().latency_p50_millis, None);
        for millis in 1..=100 {
            statistics.acknowledged(Some(Duration::from_millis(millis)));
        }
        let snapshot = statistics.snapshot();
        let near = |value: Option<f64>, expected: f64| {
            value.is_some_and(|value| (expected..expected * 17.0 / 16.0).contains(&value))
        };
        assert!(near(snapshot.latency_p50_millis, 50.0), "{snapshot:?}");
        assert!(near(snapshot.latency_p99_millis, 99.0), "{snapshot:?}");
        assert_eq!(snapshot.acknowledged, 100);
    }

    #[test]
    fn a_latency_beyond_all_buckets_counts_in_the_last() {
        assert_eq!(bucket(Duration::MAX), BUCKETS - 1);
        assert_eq!(bucket(Duration::ZERO), 0);
    }
}
