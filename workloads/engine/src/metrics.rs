//! What the engine counts.

use millrace_observe::DeadLetterCounts;
use millrace_observe::Observer;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::histogram::exponential_buckets;

/// Labels of a stage's figures.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct StageLabels {
    pub(crate) stage: String,
}

/// Labels of an input's figures.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct InputLabels {
    pub(crate) stage: String,
    pub(crate) stream: String,
}

/// Labels of a processor's figures.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ProcessorLabels {
    pub(crate) processor: String,
    pub(crate) partition: i32,
}

/// Labels of what a processor passed over.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct PassedOverLabels {
    pub(crate) processor: String,
    pub(crate) reason: &'static str,
}

/// Labels of a task's figures.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct TaskLabels {
    pub(crate) stage: String,
    pub(crate) partition: i32,
}

/// The engine's figures.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    pub(crate) records_read: Family<InputLabels, Counter>,
    pub(crate) records_late: Family<InputLabels, Counter>,
    pub(crate) records_duplicate: Family<InputLabels, Counter>,
    pub(crate) entries_removed: Family<InputLabels, Counter>,
    pub(crate) watermark_raised: Family<StageLabels, Counter>,
    pub(crate) buffer_cut: Family<StageLabels, Counter>,
    pub(crate) buffered: Family<TaskLabels, Gauge>,
    pub(crate) outputs: Family<StageLabels, Counter>,
    pub(crate) dead_letters: DeadLetterCounts,
    pub(crate) read_bytes: Family<InputLabels, Counter>,
    pub(crate) passed_over: Family<PassedOverLabels, Counter>,
    pub(crate) state_entries: Family<ProcessorLabels, Gauge>,
    pub(crate) commit_seconds: Histogram,
    pub(crate) latency: Family<StageLabels, Histogram, fn() -> Histogram>,
    pub(crate) output_bytes: Family<StageLabels, Counter>,
    pub(crate) commit_failures: Family<StageLabels, Counter>,
}

impl Metrics {
    /// Makes the figures and registers them.
    pub(crate) fn register(observer: &Observer) -> Self {
        let metrics = Self {
            records_read: Family::default(),
            records_late: Family::default(),
            records_duplicate: Family::default(),
            entries_removed: Family::default(),
            watermark_raised: Family::default(),
            buffer_cut: Family::default(),
            buffered: Family::default(),
            outputs: Family::default(),
            dead_letters: observer.dead_letters().clone(),
            read_bytes: Family::default(),
            passed_over: Family::default(),
            state_entries: Family::default(),
            // 0.25 ms to about 8 s.
            commit_seconds: Histogram::new(exponential_buckets(0.000_25, 2.0, 16)),
            // 1 ms to about 9 hours: an event may wait for its window.
            latency: Family::new_with_constructor(|| {
                Histogram::new(exponential_buckets(0.001, 4.0, 13))
            }),
            output_bytes: Family::default(),
            commit_failures: Family::default(),
        };
        let register = |name: &str, help: &str, family: &Family<InputLabels, Counter>| {
            observer.register(name, help, family.clone());
        };
        register("task_records_read", "Records read by tasks", &metrics.records_read);
        register(
            "task_read_bytes",
            "Bytes of the values of records read by tasks",
            &metrics.read_bytes,
        );
        register(
            "task_records_late",
            "Records below the watermark of their partition",
            &metrics.records_late,
        );
        register(
            "task_records_duplicate",
            "Records dropped because their id was there before",
            &metrics.records_duplicate,
        );
        register(
            "task_entries_removed",
            "Entries that retention removed before a task had processed them",
            &metrics.entries_removed,
        );
        observer.register(
            "task_watermark_raised",
            "Times a full buffer was released early",
            metrics.watermark_raised.clone(),
        );
        observer.register(
            "task_buffer_cut",
            "Times a full buffer left records in the log, to be read again",
            metrics.buffer_cut.clone(),
        );
        observer.register(
            "task_buffered_records",
            "Records waiting for the watermark",
            metrics.buffered.clone(),
        );
        observer.register("task_outputs", "Records written by tasks", metrics.outputs.clone());
        observer.register(
            "task_output_bytes",
            "Bytes of the values that tasks wrote, dead letters included",
            metrics.output_bytes.clone(),
        );
        observer.register(
            "processor_events_passed_over",
            "Events that a processor deliberately made nothing of",
            metrics.passed_over.clone(),
        );
        observer.register(
            "processor_state_entries",
            "Entries of a processor's state in a task",
            metrics.state_entries.clone(),
        );
        observer.register(
            "task_commit_duration_seconds",
            "Time from the request of a commit until it is durable",
            metrics.commit_seconds.clone(),
        );
        observer.register(
            "task_latency_seconds",
            "Time from the ingest of the events that outputs come from until the outputs are \
             durable, of at most 64 outputs of a commit",
            metrics.latency.clone(),
        );
        observer.register(
            "task_commit_failures",
            "Commits that the log could not accept and that were tried again",
            metrics.commit_failures.clone(),
        );
        metrics
    }
}
