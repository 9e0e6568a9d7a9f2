//! The figures of one task, looked up once.

use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use millrace_core::Offset;
use millrace_processors::Counted;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

use crate::buffer::Buffer;
use crate::metrics::InputLabels;
use crate::metrics::Metrics;
use crate::metrics::PassedOverLabels;
use crate::metrics::ProcessorLabels;
use crate::metrics::StageLabels;
use crate::metrics::TaskLabels;
use crate::operators::Made;
use crate::operators::Operators;

/// So many outputs of a commit are looked at for the latency: a histogram costs more than an event.
const LATENCIES: usize = 64;

/// The figures of one task.
#[derive(Debug)]
pub(crate) struct TaskMetrics {
    metrics: Metrics,
    partition: i32,
    inputs: Vec<InputCounters>,
    raised: Counter,
    cut: Counter,
    buffered: Gauge,
    outputs: Counter,
    output_bytes: Counter,
    latency: Histogram,
    /// When that was ingested which the outputs of the commit under way come from.
    ingested: Vec<i64>,
}

#[derive(Debug)]
struct InputCounters {
    read: Counter,
    bytes: Counter,
    late: Counter,
    duplicate: Counter,
    removed: Counter,
}

impl TaskMetrics {
    /// The figures of a stage's partition with inputs of these names.
    pub(crate) fn new(metrics: Metrics, stage: &str, partition: i32, inputs: &[String]) -> Self {
        let stage_labels = StageLabels { stage: stage.to_owned() };
        let task_labels = TaskLabels { stage: stage.to_owned(), partition };
        let inputs = inputs
            .iter()
            .map(|stream| {
                let labels = InputLabels { stage: stage.to_owned(), stream: stream.clone() };
                InputCounters {
                    read: metrics.records_read.get_or_create_owned(&labels),
                    bytes: metrics.read_bytes.get_or_create_owned(&labels),
                    late: metrics.records_late.get_or_create_owned(&labels),
                    duplicate: metrics.records_duplicate.get_or_create_owned(&labels),
                    removed: metrics.entries_removed.get_or_create_owned(&labels),
                }
            })
            .collect();
        Self {
            partition,
            inputs,
            raised: metrics.watermark_raised.get_or_create_owned(&stage_labels),
            cut: metrics.buffer_cut.get_or_create_owned(&stage_labels),
            buffered: metrics.buffered.get_or_create_owned(&task_labels),
            outputs: metrics.outputs.get_or_create_owned(&stage_labels),
            output_bytes: metrics.output_bytes.get_or_create_owned(&stage_labels),
            latency: metrics.latency.get_or_create_owned(&stage_labels),
            ingested: Vec::with_capacity(LATENCIES),
            metrics,
        }
    }

    pub(crate) fn read(&self, input: usize, records: usize, bytes: usize) {
        self.inputs[input].read.inc_by(records as u64);
        self.inputs[input].bytes.inc_by(bytes as u64);
    }

    /// Counts the dead letter of a record that did not reach the operators.
    pub(crate) fn refused(&self, stage: &str) {
        self.metrics.dead_letters.of(stage).inc();
    }

    pub(crate) fn late(&self, input: usize) {
        self.inputs[input].late.inc();
    }

    pub(crate) fn duplicate(&self, input: usize) {
        self.inputs[input].duplicate.inc();
    }

    /// Counts entries that retention removed before they were read.
    pub(crate) fn removed(&self, input: usize, entries: Offset) {
        self.inputs[input].removed.inc_by(entries.unsigned_abs());
    }

    pub(crate) fn raised(&self) {
        self.raised.inc();
    }

    /// Counts that a full buffer left records in the log.
    pub(crate) fn cut(&self) {
        self.cut.inc();
    }

    /// Notes how much is buffered and kept.
    pub(crate) fn observe(&self, buffer: &Buffer, operators: &Operators) {
        let gauge = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        self.buffered.set(gauge(buffer.len()));
        for (processor, entries) in operators.sizes() {
            let labels =
                ProcessorLabels { processor: processor.to_owned(), partition: self.partition };
            self.metrics.state_entries.get_or_create(&labels).set(gauge(entries));
        }
    }

    /// Counts what the operators made, for the commit that begins.
    pub(crate) fn made(&mut self, made: &Made, operators: &Operators) {
        self.outputs.inc_by(made.outputs.len() as u64);
        self.output_bytes.inc_by(made.bytes as u64);
        let step = made.outputs.len().div_ceil(LATENCIES).max(1);
        self.ingested.clear();
        let looked_at = made.outputs.iter().step_by(step);
        self.ingested.extend(looked_at.map(|(_, record)| record.ingest_time));
        for letter in &made.dead_letters {
            self.metrics.dead_letters.of(&letter.stage).inc();
        }
        for ((operator, reason), number) in &made.counts {
            let reason = match reason {
                Counted::Filtered => "filtered",
                Counted::Duplicate => "duplicate",
                Counted::Forgotten => "forgotten",
                Counted::SkippedWindow => "skippedWindow",
            };
            let labels =
                PassedOverLabels { processor: operators.name(*operator).to_owned(), reason };
            self.metrics.passed_over.get_or_create(&labels).inc_by(*number);
        }
    }

    /// Notes a commit that took so long and became durable at this time.
    pub(crate) fn committed(&mut self, took: Duration, at: SystemTime) {
        self.metrics.commit_seconds.observe(took.as_secs_f64());
        let now = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        for ingested in self.ingested.drain(..) {
            let ingested = Duration::from_millis(u64::try_from(ingested).unwrap_or_default());
            self.latency.observe(now.saturating_sub(ingested).as_secs_f64());
        }
    }
}
