//! The plan: what a pipeline is after every reference, program and schema has been checked.
//!
//! Nothing here is optional for want of a check, and nothing downstream reads the resource again.

mod exposure;
mod http;
mod ingest;
mod operator;
mod query;
mod sink;
mod stage;
mod stream;
mod watching;
mod window;

pub use exposure::*;
pub use http::*;
pub use ingest::*;
pub use operator::*;
pub use query::*;
pub use sink::*;
pub use stage::*;
pub use stream::*;
pub use watching::*;
pub use window::*;

use millrace_core::StreamName;

/// A checked pipeline.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Name of the pipeline: the resource's `metadata.name`.
    pub pipeline: String,
    /// Every stream of the log: declared ones, those that processors write, and the dead letters.
    pub streams: Vec<StreamPlan>,
    /// Where events enter.
    pub ingest: Vec<IngestPlan>,
    /// What is computed, cut at every change of key; upstream stages before downstream ones.
    pub stages: Vec<StagePlan>,
    /// Where results go.
    pub sinks: Vec<SinkPlan>,
    /// What can be asked.
    pub query: QueryPlan,
    /// How it is reached, and by whom.
    pub exposure: ExposurePlan,
}

impl Plan {
    /// The stream of this name.
    #[must_use]
    pub fn stream(&self, name: &StreamName) -> Option<&StreamPlan> {
        self.streams.iter().find(|stream| stream.name == *name)
    }

    /// The sink and plan of the table of this name.
    #[must_use]
    pub fn table(&self, name: &str) -> Option<(&SinkPlan, &TablePlan)> {
        self.sinks.iter().find_map(|sink| match &sink.target {
            SinkTarget::Table(table) if table.name == name => Some((sink, table)),
            _ => None,
        })
    }
}
