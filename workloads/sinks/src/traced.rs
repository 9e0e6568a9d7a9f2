//! Spans of messages that `mqtt` sinks send for records that are traced.

use std::time::SystemTime;

use millrace_core::Offset;
use millrace_core::Partition;
use millrace_core::Record;
use millrace_core::StreamName;
use millrace_core::record::header::TRACEPARENT;
use millrace_observe::trace::Span;
use millrace_observe::trace::SpanKind;
use millrace_observe::trace::TraceParent;
use millrace_observe::trace::Tracer;

/// Messages of traced records that wait to be sent.
#[derive(Default)]
pub(crate) struct TracedMessages(Vec<(TraceParent, Offset)>);

impl TracedMessages {
    /// Notes a record whose message is sent next, if it is traced.
    pub(crate) fn add(&mut self, tracer: Option<&Tracer>, offset: Offset, record: &Record) {
        let Some(tracer) = tracer.filter(|_| !record.headers.0.is_empty()) else { return };
        let header = record.headers.get(TRACEPARENT).map(|value| &value[..]);
        self.0.extend(tracer.parent(header).map(|parent| (parent, offset)));
    }

    /// Records that what was noted was sent since `start`, or why not.
    pub(crate) fn sent(
        &mut self,
        tracer: Option<&Tracer>,
        sink: &str,
        (stream, partition): (&StreamName, Partition),
        start: SystemTime,
        error: Option<&str>,
    ) {
        let Some(tracer) = tracer else { return };
        for (parent, offset) in self.0.drain(..) {
            let span = Span::caused_by(parent, format!("send {sink}"), SpanKind::Producer, start)
                .with("messaging.system", "mqtt")
                .with("messaging.operation.type", "send")
                .with("millrace.sink", sink.to_owned())
                .with("millrace.stream", stream.to_string())
                .with("millrace.partition", partition)
                .with("millrace.offset", offset)
                .with_error(error.map(str::to_owned));
            tracer.record(span);
        }
    }
}
