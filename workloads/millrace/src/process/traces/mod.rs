//! Exports traces by OTLP over HTTP, beside the pipeline: a collector that is slow or away costs
//! spans, never time of a request or a task.

mod client;
mod convert;
mod exporter;

pub(crate) use exporter::Traces;
pub(crate) use exporter::TracesOptions;
