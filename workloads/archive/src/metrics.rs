//! Metrics of archive sinks.

use std::sync::atomic::AtomicU64;

use millrace_observe::Observer;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    sink: String,
    stream: String,
}

/// Counters of all archives.
#[derive(Clone, Default)]
pub(crate) struct Metrics {
    files: Family<Labels, Counter>,
    events: Family<Labels, Counter>,
    bytes: Family<Labels, Counter>,
    seconds: Family<Labels, Counter<f64, AtomicU64>>,
    errors: Family<Labels, Counter>,
    lost: Family<Labels, Counter>,
}

/// Counters of the archive of one stream.
#[derive(Clone)]
pub(crate) struct ArchiveMetrics {
    /// Files written.
    pub(crate) files: Counter,
    /// Events in them.
    pub(crate) events: Counter,
    /// Their bytes.
    pub(crate) bytes: Counter,
    /// Seconds spent on making and writing them.
    pub(crate) seconds: Counter<f64, AtomicU64>,
    /// Attempts that failed.
    pub(crate) errors: Counter,
    /// Offsets that retention had removed before they were archived.
    pub(crate) lost: Counter,
}

impl Metrics {
    pub(crate) fn register(observer: &Observer) -> Self {
        let metrics = Self::default();
        observer.register(
            "archive_files",
            "Files that an archive sink wrote",
            metrics.files.clone(),
        );
        observer.register(
            "archive_events",
            "Events in the files of an archive sink",
            metrics.events.clone(),
        );
        observer.register("archive_bytes", "Bytes of the files", metrics.bytes.clone());
        observer.register(
            "archive_seconds",
            "Seconds that an archive sink spent on making and writing files",
            metrics.seconds.clone(),
        );
        observer.register(
            "archive_errors",
            "Attempts of an archive sink that failed and are made again",
            metrics.errors.clone(),
        );
        observer.register(
            "archive_lost_offsets",
            "Offsets that retention removed before an archive sink read them",
            metrics.lost.clone(),
        );
        metrics
    }

    pub(crate) fn archive(&self, sink: &str, stream: &str) -> ArchiveMetrics {
        let labels = Labels { sink: sink.to_owned(), stream: stream.to_owned() };
        ArchiveMetrics {
            files: self.files.get_or_create(&labels).clone(),
            events: self.events.get_or_create(&labels).clone(),
            bytes: self.bytes.get_or_create(&labels).clone(),
            seconds: self.seconds.get_or_create(&labels).clone(),
            errors: self.errors.get_or_create(&labels).clone(),
            lost: self.lost.get_or_create(&labels).clone(),
        }
    }
}
