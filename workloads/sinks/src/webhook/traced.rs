//! Spans of attempts to deliver a record that is traced.

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
use reqwest::header::HeaderMap;
use reqwest::header::HeaderValue;

use super::attempt::Outcome;

/// A record that is traced.
#[derive(Clone, Copy)]
pub(super) struct Traced<'a> {
    tracer: &'a Tracer,
    parent: TraceParent,
}

/// An attempt to deliver it.
pub(super) struct TracedAttempt<'a> {
    traced: Traced<'a>,
    context: TraceParent,
    start: SystemTime,
}

impl<'a> Traced<'a> {
    /// Whether a record is traced.
    pub(super) fn of(tracer: &'a Tracer, record: &Record) -> Option<Self> {
        let header = record.headers.get(TRACEPARENT).map(|value| &value[..]);
        tracer.parent(header).map(|parent| Self { tracer, parent })
    }

    /// Begins an attempt: what the receiver does belongs to its span.
    pub(super) fn begin(self, headers: &mut HeaderMap) -> TracedAttempt<'a> {
        let context = self.parent.child();
        if let Ok(value) = HeaderValue::from_str(&context.to_string()) {
            headers.insert(TRACEPARENT, value);
        }
        TracedAttempt { traced: self, context, start: SystemTime::now() }
    }
}

impl TracedAttempt<'_> {
    /// Records the attempt's end.
    pub(super) fn end(
        self,
        sink: &str,
        host: &str,
        (stream, partition, offset): (&StreamName, Partition, Offset),
        outcome: &Outcome,
    ) {
        let Traced { tracer, parent } = self.traced;
        // Reasons name the whole address, which may hold a secret.
        let error = match outcome {
            Outcome::Delivered => None,
            Outcome::Later { .. } => Some("not taken at present".to_owned()),
            Outcome::Refused { .. } => Some("refused".to_owned()),
        };
        let span =
            Span::ended(self.context, Some(parent.span), "POST", SpanKind::Client, self.start)
                .with("http.request.method", "POST")
                .with("server.address", host.to_owned())
                .with("millrace.sink", sink.to_owned())
                .with("millrace.stream", stream.to_string())
                .with("millrace.partition", partition)
                .with("millrace.offset", offset)
                .with_error(error);
        tracer.record(span);
    }
}
