//! Spans of requests that are traced.

use axum::http::HeaderValue;
use axum::http::StatusCode;
use axum::http::request::Parts;
use millrace_core::Offset;
use millrace_core::Partition;
use millrace_core::record::header::CORRELATION_ID;
use millrace_core::record::header::TRACEPARENT;
use millrace_observe::Observer;
use millrace_observe::trace::Span;
use millrace_observe::trace::SpanKind;
use millrace_observe::trace::TraceParent;
use millrace_observe::trace::TracedRequest;
use millrace_observe::trace::Tracer;
use millrace_plan::model::HttpIngest;

/// Records the spans of a way in; nothing where nobody takes them.
#[derive(Debug)]
pub(super) struct Tracing {
    tracer: Option<Tracer>,
    way_in: String,
    method: &'static str,
    path: String,
    correlated: bool,
    /// The stream that its events go to.
    stream: String,
}

impl Tracing {
    pub(super) fn new(observer: &Observer, way_in: &str, stream: &str, plan: &HttpIngest) -> Self {
        let (method, path) = (plan.method.name(), plan.path.text.clone());
        let is_id = |name: &str| name.eq_ignore_ascii_case(CORRELATION_ID);
        Self {
            tracer: observer.tracer().cloned(),
            way_in: way_in.to_owned(),
            method,
            path,
            correlated: plan.headers.iter().any(|header| header.carry && is_id(&header.name)),
            stream: stream.to_owned(),
        }
    }

    /// Whether a request is traced.
    pub(super) fn begin(&self, parts: &Parts) -> Option<TracedRequest> {
        let header = || parts.headers.get(TRACEPARENT).map(HeaderValue::as_bytes);
        self.tracer.as_ref().and_then(|tracer| tracer.begin(header()))
    }

    /// Records a request that has been answered.
    pub(super) fn answered(&self, request: TracedRequest, parts: &Parts, status: StatusCode) {
        let Some(tracer) = &self.tracer else { return };
        let mut span = request
            .answered(self.method, &self.path, status.as_u16())
            .with("url.path", parts.uri.path().to_owned())
            .with("millrace.route", self.way_in.clone());
        let id = parts.headers.get(CORRELATION_ID).filter(|_| self.correlated);
        if let Some(id) = id.and_then(|id| id.to_str().ok()) {
            span = span.with("millrace.correlation_id", id.to_owned());
        }
        tracer.record(span);
    }

    /// Records an append of so many entries; of one alone with its place.
    pub(super) fn appended(
        &self,
        (parent, start): (TraceParent, std::time::SystemTime),
        entries: usize,
        place: Option<(Partition, Offset)>,
        error: Option<String>,
    ) {
        let Some(tracer) = &self.tracer else { return };
        let name = format!("append {}", self.stream);
        let mut span = Span::caused_by(parent, name, SpanKind::Internal, start)
            .with("millrace.stream", self.stream.clone())
            .with("millrace.entries", i64::try_from(entries).unwrap_or(i64::MAX))
            .with_error(error);
        if let Some((partition, offset)) = place {
            span = span.with("millrace.partition", partition).with("millrace.offset", offset);
        }
        tracer.record(span);
    }
}
