//! Traces: what is known of a request on its way through the pipeline.
//!
//! A span is recorded when it has ended. Only requests that are sampled, and records whose header
//! says so, cost anything; where nobody takes traces there is no [`Tracer`] at all.

mod parent;
mod span;
mod tracer;

pub use parent::TraceParent;
pub use span::Attribute;
pub use span::Span;
pub use span::SpanKind;
pub use tracer::SampleShare;
pub use tracer::SampleShareError;
pub use tracer::TracedRequest;
pub use tracer::Tracer;
