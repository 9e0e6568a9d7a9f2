//! What topics, groups and transactional ids are called in the cluster.

use millrace_core::StreamName;

/// Names in the cluster, all with the pipeline's prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Names {
    prefix: String,
}

impl Names {
    pub(super) fn new(prefix: String) -> Self {
        Self { prefix }
    }

    /// The topic of a stream.
    pub(super) fn topic(&self, stream: &StreamName) -> String {
        format!("{}{stream}", self.prefix)
    }

    /// The compacted topic of a stage's state. Declared names have no `.`, and no stream ends so.
    pub(super) fn changelog(&self, stage: &str) -> String {
        format!("{}{stage}.changelog", self.prefix)
    }

    /// The consumer group of a stage or sink.
    pub(super) fn group(&self, group: &str) -> String {
        format!("{}{group}", self.prefix)
    }

    /// The transactional id of a process.
    pub(super) fn transactional_id(&self, process: &str) -> String {
        format!("{}{process}", self.prefix)
    }
}
