//! What goes into the log and what comes out.

use std::fmt;

use bytes::Bytes;
use millrace_core::Mark;
use millrace_core::Offset;
use millrace_core::Partition;
use millrace_core::Record;
use millrace_core::StreamName;
use millrace_plan::model::Retention;

/// A stream as the log keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamConfig {
    /// Its name.
    pub name: StreamName,
    /// Number of partitions, at least 1. It can never change.
    pub partitions: Partition,
    /// When old records go. Retention never removes what is younger or within the size.
    pub retention: Retention,
}

/// A stage whose tasks keep state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageConfig {
    /// Its name, as in [`TaskName`].
    pub name: String,
    /// Number of its tasks, at least 1. It can never change.
    pub partitions: Partition,
}

/// An entry of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// An event.
    Record(Record),
    /// A statement about event time.
    Mark(Mark),
}

/// An entry to append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Append {
    /// The stream.
    pub stream: StreamName,
    /// The partition, from 0.
    pub partition: Partition,
    /// What to append.
    pub entry: Entry,
}

/// How much one read returns at most. At least one entry is returned where there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadLimit {
    /// Most entries.
    pub entries: usize,
    /// Most bytes of keys and values; the entry that passes it is the last.
    pub bytes: usize,
}

impl Default for ReadLimit {
    fn default() -> Self {
        Self { entries: 1000, bytes: 4 << 20 }
    }
}

/// What a read returned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadBatch {
    /// Entries with their offsets, ascending.
    pub entries: Vec<(Offset, Entry)>,
    /// Where to read on.
    pub next: Offset,
}

/// The extent of a partition.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PartitionInfo {
    /// Lowest offset that is still kept.
    pub start: Offset,
    /// The offset after the last durable entry.
    pub end: Offset,
    /// Highest event time of all records ever appended; marks do not count. Where many processes
    /// share the log, of what this one has appended and read, and of the last entries at its start.
    pub highest_event_time: Option<i64>,
    /// Highest watermark of all marks ever appended, with the same restriction.
    pub highest_mark: Option<i64>,
}

/// A task: a stage's partition of a generation, or a part of ingest that needs exactly-once.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskName {
    /// The stage.
    pub stage: String,
    /// The partition.
    pub partition: Partition,
}

impl fmt::Display for TaskName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.stage, self.partition)
    }
}

impl fmt::Debug for TaskName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The right to commit for a task, until someone else claims it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskClaim {
    /// The task.
    pub task: TaskName,
    /// Raised by each claim.
    pub epoch: i64,
}

/// What a task last committed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskSnapshot {
    /// State, ordered by (store, key).
    pub state: Vec<StateEntry>,
    /// Positions of its inputs.
    pub positions: Vec<InputPosition>,
}

/// A key and value of a task's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateEntry {
    /// The operator's store: its name and what else sets it apart.
    pub store: String,
    /// Key within the store.
    pub key: Bytes,
    /// Value.
    pub value: Bytes,
}

/// A change of a task's state, an entry of its compacted changelog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateChange {
    /// The operator's store.
    pub store: String,
    /// Key within the store.
    pub key: Bytes,
    /// The new value; none removes the key.
    pub value: Option<Bytes>,
}

/// How far a task has read an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputPosition {
    /// The stream.
    pub stream: StreamName,
    /// The partition.
    pub partition: Partition,
    /// The next offset to read; what monitoring calls lag is counted from here.
    pub next: Offset,
    /// What the task needs beside it to go on.
    pub metadata: Bytes,
}

/// All that a task commits at once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskCommit {
    /// Outputs and marks, in order.
    pub outputs: Vec<Append>,
    /// State changes; of several for one key the last counts.
    pub state: Vec<StateChange>,
    /// New positions of its inputs; inputs that are not named keep theirs.
    pub positions: Vec<InputPosition>,
}

/// What a log occupies and does.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LogStatistics {
    /// Bytes on disk; 0 if the log is elsewhere.
    pub disk_bytes: u64,
    /// Records appended since the start.
    pub records: u64,
    /// Groups of appends and commits that shared one fsync, since the start.
    pub syncs: u64,
    /// Seconds spent in those groups, fsync included.
    pub sync_seconds: f64,
    /// Records that were read to restore the state of tasks, since the start; 0 where state is not
    /// kept as records.
    pub restored_records: u64,
    /// The state of tasks that other processes run and this one keeps ready.
    pub standbys: Vec<StandbyStatistics>,
}

/// The state of a task that another process runs, as far as it is kept ready here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandbyStatistics {
    /// The task.
    pub task: TaskName,
    /// Entries of state.
    pub entries: u64,
    /// Bytes of memory that they take, about.
    pub bytes: u64,
    /// Offsets of the changelog that were missing when it was last read; none until it was read to
    /// its end for the first time.
    pub lag: Option<u64>,
    /// Whether there is room for it.
    pub is_kept: bool,
}
