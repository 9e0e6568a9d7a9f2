//! Stages: the parts of the computation between two changes of key.

use millrace_core::Partition;
use millrace_core::StreamName;

use crate::model::OperatorPlan;

/// A stage. It runs as one task per partition; an event passes all its operators in one task.
#[derive(Debug, Clone)]
pub struct StagePlan {
    /// Its name: that of its first processor.
    pub name: String,
    /// The streams it reads; all have the same number of partitions and the same key.
    pub inputs: Vec<StreamName>,
    /// Number of partitions of its inputs, and so of its tasks.
    pub partitions: Partition,
    /// Its operators, each after those whose outputs it takes.
    pub operators: Vec<OperatorPlan>,
    /// Limits of the buffer in which a task puts events in order.
    pub buffer: BufferLimits,
}

/// Limits of a task's buffer. At the limit the lowest events are released early, or the highest
/// are left in the log to be read again, if the task reads a derived stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BufferLimits {
    /// Most events.
    pub records: usize,
    /// Most bytes of event values.
    pub bytes: usize,
}

impl Default for BufferLimits {
    fn default() -> Self {
        Self { records: 1_000_000, bytes: 256 << 20 }
    }
}
