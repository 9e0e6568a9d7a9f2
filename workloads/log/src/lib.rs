//! The log: named streams of partitions, appended durably and read from offsets, with atomic
//! commits for tasks.
//!
//! [`Log`] is what the rest of the program sees; [`embedded`] keeps everything in one folder of
//! one process, [`kafka`] in a cluster that many share. The suite in `conformance`
//! (feature of the same name) holds every implementation to the same behaviour.

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod embedded;
mod error;
mod group;
pub mod kafka;
mod model;
pub mod share;
mod view;

pub use embedded::EmbeddedLog;
pub use embedded::EmbeddedLogOptions;
pub use error::*;
pub use group::*;
pub use model::*;
pub use view::*;

use std::time::Duration;

use async_trait::async_trait;
use millrace_core::Offset;
use millrace_core::Partition;
use millrace_core::StreamName;
use tokio::sync::watch;

/// A durable, partitioned log.
///
/// Everything that returns `Ok` is durable: it survives the death of the process and of the
/// machine. Appends and commits become visible to readers only then, and as a whole.
#[async_trait]
pub trait Log: Send + Sync + 'static {
    /// Creates the streams that do not exist and takes over changed retentions.
    ///
    /// # Errors
    /// When an existing stream has another number of partitions, or the log cannot be written.
    async fn ensure_streams(&self, streams: &[StreamConfig]) -> Result<(), EnsureStreamsError>;

    /// Makes a topic that others write readable as a stream of this name, and returns how many
    /// partitions it has. It is read alone: never made, configured, written or removed. Called
    /// again, it finds partitions that the topic got since.
    ///
    /// Its records are those of the topic as they are: key, value and headers, with the topic's
    /// timestamp as both times and an id made of the place.
    ///
    /// # Errors
    /// When this log has no topics of others, there is no such topic, it is one of this pipeline's
    /// own, or the log cannot be reached.
    async fn attach_external(
        &self,
        _name: &StreamName,
        topic: &str,
    ) -> Result<Partition, AttachExternalError> {
        Err(AttachExternalError::NoKafka { topic: topic.to_owned() })
    }

    /// Appends entries, in the order given within a partition, all or none; returns the offset of
    /// each. Waiting callers share one fsync.
    ///
    /// # Errors
    /// When a stream is unknown or an entry too large; then nothing was appended. When the log
    /// cannot accept now; a log that many processes share may have some of the entries
    /// nevertheless, which their ids make harmless when they are appended again.
    async fn append(&self, entries: Vec<Append>) -> Result<Vec<Offset>, AppendError>;

    /// Reads durable entries from an offset on. Returns at once, with nothing at the end. An
    /// offset below the start reads from the start. Whoever reads on from where the last batch
    /// says comes to the end, also where no entry is left before it.
    ///
    /// # Errors
    /// When the stream is unknown or its data cannot be read.
    async fn read(
        &self,
        stream: &StreamName,
        partition: Partition,
        from: Offset,
        limit: ReadLimit,
    ) -> Result<ReadBatch, ReadError>;

    /// Follows the end of a partition: the offset after its last durable entry. What others append
    /// to a log that is shared is told within a second, and at once if somebody here has read up
    /// to there.
    ///
    /// # Errors
    /// When the stream or partition is unknown.
    fn follow(
        &self,
        stream: &StreamName,
        partition: Partition,
    ) -> Result<watch::Receiver<Offset>, ReadError>;

    /// Where a partition starts and ends, and how far its event time has come.
    ///
    /// # Errors
    /// When the stream or partition is unknown.
    fn partition_info(
        &self,
        stream: &StreamName,
        partition: Partition,
    ) -> Result<PartitionInfo, ReadError>;

    /// How old the known end of a partition is: what others have appended since then may be unknown.
    /// Zero where nobody else appends.
    ///
    /// # Errors
    /// When the stream or partition is unknown.
    fn end_age(&self, stream: &StreamName, partition: Partition) -> Result<Duration, ReadError>;

    /// The next offset that a consumer group will read; none if it never committed.
    ///
    /// # Errors
    /// When the log cannot be read.
    async fn group_offset(
        &self,
        group: &str,
        stream: &StreamName,
        partition: Partition,
    ) -> Result<Option<Offset>, ReadError>;

    /// Commits the next offset that a consumer group will read.
    ///
    /// # Errors
    /// When the log cannot accept now.
    async fn commit_group_offset(
        &self,
        group: &str,
        stream: &StreamName,
        partition: Partition,
        next: Offset,
    ) -> Result<(), AppendError>;

    /// Makes what tasks keep their state in, where it is not there yet. A task of a stage that was
    /// never named here has positions alone; a commit of state for it is refused.
    ///
    /// # Errors
    /// When a stage exists with another number of partitions, or the log cannot be written.
    async fn ensure_tasks(&self, stages: &[StageConfig]) -> Result<(), EnsureStreamsError>;

    /// Joins the group of those who share the tasks of a stage, or the partitions of what a sink
    /// reads: together they have every partition of the streams, each only one of them. The group
    /// is called as the stage is in [`TaskName`]. A process joins a group once; where it has, it
    /// claims and commits tasks of this stage as a member, and is fenced when the partition goes
    /// to another one.
    ///
    /// # Errors
    /// When a stream is unknown, the streams have different numbers of partitions, or the log
    /// cannot be reached.
    async fn join_group(
        &self,
        group: &str,
        streams: &[StreamName],
    ) -> Result<GroupMember, JoinGroupError>;

    /// Takes a task over: from now on, commits under earlier claims of the task fail. Returns the
    /// claim and what the task last committed.
    ///
    /// # Errors
    /// When the log cannot be read or written.
    async fn claim_task(
        &self,
        task: &TaskName,
    ) -> Result<(TaskClaim, TaskSnapshot), ClaimTaskError>;

    /// Commits a task's outputs, state changes and positions, all or none; returns the offsets of
    /// the outputs.
    ///
    /// # Errors
    /// When the task was claimed again since, or the log cannot accept now; then nothing of it
    /// was committed.
    async fn commit_task(
        &self,
        claim: &TaskClaim,
        commit: TaskCommit,
    ) -> Result<Vec<Offset>, CommitTaskError>;

    /// A task's state, ordered by (store, key), without taking it over; empty if it never
    /// committed.
    ///
    /// # Errors
    /// When the log cannot be read.
    async fn task_state(&self, task: &TaskName) -> Result<Vec<StateEntry>, ReadError>;

    /// How far a task has read its inputs, without taking it over; empty if it never committed.
    ///
    /// # Errors
    /// When the log cannot be read.
    async fn task_positions(&self, task: &TaskName) -> Result<Vec<InputPosition>, ReadError>;

    /// Removes streams with their entries and the offsets that groups have in them, and tasks with
    /// their state and positions. Claims of these tasks fail from now on. What is not there is
    /// passed over, so that a removal that was interrupted can be made again.
    ///
    /// # Errors
    /// When the log cannot accept now; then some of it may be gone already.
    async fn remove(&self, streams: &[StreamName], tasks: &[TaskName]) -> Result<(), AppendError>;

    /// Whether the log accepts appends now, and if not, why.
    ///
    /// # Errors
    /// When it does not.
    async fn check_writable(&self) -> Result<(), AppendError>;

    /// What the log occupies and does, for metrics.
    fn statistics(&self) -> LogStatistics;

    /// Finishes what was begun and closes; later calls fail.
    async fn close(&self);
}
