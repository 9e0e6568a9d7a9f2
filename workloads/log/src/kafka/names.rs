//! What topics, groups and transactional ids are called in the cluster.

use millrace_core::StreamName;

/// What the name of a topic of state ends with.
const CHANGELOG: &str = ".changelog";

/// Names in the cluster, all with the pipeline's prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Names {
    prefix: String,
}

impl Names {
    pub(super) fn new(prefix: String) -> Self {
        Self { prefix }
    }

    /// What all names begin with.
    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The topic of a stream.
    pub(super) fn topic(&self, stream: &StreamName) -> String {
        format!("{}{stream}", self.prefix)
    }

    /// The stream of a topic; none if the topic is no stream of this pipeline.
    pub(super) fn stream(&self, topic: &str) -> Option<StreamName> {
        let name = topic.strip_prefix(&self.prefix)?;
        if name.ends_with(CHANGELOG) { None } else { name.parse().ok() }
    }

    /// The compacted topic of a stage's state. Declared names have no `.`, and no stream ends so.
    pub(super) fn changelog(&self, stage: &str) -> String {
        format!("{}{stage}{CHANGELOG}", self.prefix)
    }

    /// The consumer group of a stage or sink.
    pub(super) fn group(&self, group: &str) -> String {
        format!("{}{group}", self.prefix)
    }

    /// A group that nobody joins: clients that only read have to name one.
    pub(super) fn reader(&self) -> String {
        format!("{}reader", self.prefix)
    }

    /// The transactional id of a process.
    pub(super) fn transactional_id(&self, process: &str) -> String {
        format!("{}{process}", self.prefix)
    }
}
