//! Spans as the exporter takes them.

use millrace_observe::trace::Attribute;
use millrace_observe::trace::Span;
use millrace_observe::trace::SpanKind;
use opentelemetry::InstrumentationScope;
use opentelemetry::KeyValue;
use opentelemetry::Value;
use opentelemetry::trace::SpanContext;
use opentelemetry::trace::SpanId;
use opentelemetry::trace::SpanKind as ExportedKind;
use opentelemetry::trace::Status;
use opentelemetry::trace::TraceFlags;
use opentelemetry::trace::TraceId;
use opentelemetry::trace::TraceState;
use opentelemetry_sdk::trace::SpanData;
use opentelemetry_sdk::trace::SpanEvents;
use opentelemetry_sdk::trace::SpanLinks;

/// A span as the exporter takes it.
pub(super) fn exported(span: Span, scope: &InstrumentationScope) -> SpanData {
    let Span { context, parent, remote_parent, name, kind, start, end, attributes, error } = span;
    SpanData {
        span_context: SpanContext::new(
            TraceId::from(context.trace),
            SpanId::from(context.span),
            TraceFlags::SAMPLED,
            false,
            TraceState::NONE,
        ),
        parent_span_id: parent.map_or(SpanId::INVALID, SpanId::from),
        parent_span_is_remote: remote_parent,
        span_kind: match kind {
            SpanKind::Server => ExportedKind::Server,
            SpanKind::Client => ExportedKind::Client,
            SpanKind::Producer => ExportedKind::Producer,
            SpanKind::Consumer => ExportedKind::Consumer,
            SpanKind::Internal => ExportedKind::Internal,
        },
        name,
        start_time: start,
        // The clock may have been set back between.
        end_time: end.max(start),
        attributes: attributes
            .into_iter()
            .map(|(name, value)| KeyValue::new(name, exported_value(value)))
            .collect(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: error.map_or(Status::Unset, Status::error),
        instrumentation_scope: scope.clone(),
    }
}

fn exported_value(value: Attribute) -> Value {
    match value {
        Attribute::Text(text) => Value::from(text),
        Attribute::Integer(number) => Value::from(number),
    }
}
