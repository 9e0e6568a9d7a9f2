//! Metrics of table sinks.

use millrace_observe::DeadLetterCounts;
use millrace_observe::Observer;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::histogram::exponential_buckets;

/// Which sink a figure belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct SinkLabels {
    pub(super) sink: String,
}

/// Metrics of table sinks, by sink.
#[derive(Clone)]
pub(super) struct SinkMetrics {
    pub(super) rows: Family<SinkLabels, Counter>,
    pub(super) commits: Family<SinkLabels, Counter>,
    pub(super) bytes: Family<SinkLabels, Counter>,
    pub(super) dead_letters: DeadLetterCounts,
    pub(super) waits: Family<SinkLabels, Counter>,
    /// Rows that were not written: they were older than the retention.
    pub(super) expired: Family<SinkLabels, Counter>,
    /// Rows that were deleted, and partitions that were dropped.
    pub(super) removed: Family<SinkLabels, Counter>,
    pub(super) dropped: Family<SinkLabels, Counter>,
    pub(super) latency: Family<SinkLabels, Histogram, fn() -> Histogram>,
}

impl SinkMetrics {
    pub(super) fn register(observer: &Observer) -> Self {
        let metrics = Self {
            rows: Family::default(),
            commits: Family::default(),
            bytes: Family::default(),
            dead_letters: observer.dead_letters().clone(),
            waits: Family::default(),
            expired: Family::default(),
            removed: Family::default(),
            dropped: Family::default(),
            // 1 ms to about 9 hours: a row may come from a window.
            latency: Family::new_with_constructor(|| {
                Histogram::new(exponential_buckets(0.001, 4.0, 13))
            }),
        };
        observer.register(
            "table_rows_written",
            "Rows that a table sink inserted or changed",
            metrics.rows.clone(),
        );
        observer.register("table_commits", "Transactions of a table sink", metrics.commits.clone());
        observer.register(
            "table_event_bytes",
            "Bytes of the events whose rows a table sink committed",
            metrics.bytes.clone(),
        );
        observer.register(
            "table_waits",
            "Attempts of a table sink that failed for the time being",
            metrics.waits.clone(),
        );
        observer.register(
            "table_rows_expired",
            "Rows that were not written, since they were older than the table's retention",
            metrics.expired.clone(),
        );
        observer.register(
            "table_rows_removed",
            "Rows that were deleted because they were older than the table's retention",
            metrics.removed.clone(),
        );
        observer.register(
            "table_partitions_dropped",
            "Partitions that were dropped because they were older than the table's retention",
            metrics.dropped.clone(),
        );
        observer.register(
            "table_latency_seconds",
            "Time from the ingest of events until their rows are committed, of at most 64 rows of \
             a transaction",
            metrics.latency.clone(),
        );
        metrics
    }
}
