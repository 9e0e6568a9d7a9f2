//! What is told of rows that are committed: their age, and the spans of those that are traced.

use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use millrace_core::Offset;
use millrace_core::Record;
use millrace_core::record::header::TRACEPARENT;
use millrace_observe::trace::Span;
use millrace_observe::trace::SpanKind;
use millrace_observe::trace::Tracer;
use prometheus_client::metrics::histogram::Histogram;

use super::partition::PartitionReader;

/// So many rows of a commit are looked at for the latency.
const LATENCIES: usize = 64;

/// Notes the time from the ingest of events to their rows.
pub(super) fn note_latency<'a>(
    latency: &Histogram,
    records: impl ExactSizeIterator<Item = &'a Record>,
) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let step = records.len().div_ceil(LATENCIES).max(1);
    for record in records.step_by(step) {
        let ingested = u64::try_from(record.ingest_time).unwrap_or_default();
        let age = now.saturating_sub(Duration::from_millis(ingested));
        latency.observe(age.as_secs_f64());
    }
}

impl PartitionReader {
    /// Records the spans of rows that were written since `start`.
    pub(super) fn trace<'a>(
        &self,
        tracer: &Tracer,
        start: SystemTime,
        rows: impl Iterator<Item = (Offset, &'a Record)>,
    ) {
        for (offset, record) in rows {
            if record.headers.0.is_empty() {
                continue;
            }
            let header = record.headers.get(TRACEPARENT).map(|value| &value[..]);
            let Some(parent) = tracer.parent(header) else { continue };
            let table = &self.sink.table.name;
            let span = Span::caused_by(parent, format!("INSERT {table}"), SpanKind::Client, start)
                .with("db.system.name", self.context.tables.system())
                .with("db.operation.name", "INSERT")
                .with("db.collection.name", table.clone())
                .with("millrace.sink", self.sink.name.clone())
                .with("millrace.stream", self.input.stream.to_string())
                .with("millrace.partition", self.partition)
                .with("millrace.offset", offset);
            tracer.record(span);
        }
    }
}
