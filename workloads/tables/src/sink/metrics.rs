//! Metrics of table sinks.

use millrace_observe::Observer;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

/// Which sink a figure belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct SinkLabels {
    pub(super) sink: String,
}

/// Metrics of table sinks, by sink.
#[derive(Clone, Default)]
pub(super) struct SinkMetrics {
    pub(super) rows: Family<SinkLabels, Counter>,
    pub(super) commits: Family<SinkLabels, Counter>,
    pub(super) dead_letters: Family<SinkLabels, Counter>,
    pub(super) waits: Family<SinkLabels, Counter>,
}

impl SinkMetrics {
    pub(super) fn register(observer: &Observer) -> Self {
        let metrics = Self::default();
        observer.register(
            "table_rows_written",
            "Rows that a table sink inserted or changed",
            metrics.rows.clone(),
        );
        observer.register("table_commits", "Transactions of a table sink", metrics.commits.clone());
        observer.register(
            "table_dead_letters",
            "Events that were no row of a table sink's table",
            metrics.dead_letters.clone(),
        );
        observer.register(
            "table_waits",
            "Attempts of a table sink that failed for the time being",
            metrics.waits.clone(),
        );
        metrics
    }
}
