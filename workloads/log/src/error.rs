//! What can go wrong with a log, named for what was attempted.

use std::path::PathBuf;

use millrace_core::Partition;
use millrace_core::StreamName;

/// A failure of the storage below the log.
pub type StorageError = Box<dyn std::error::Error + Send + Sync>;

/// A log that could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenLogError {
    /// Another process has the folder open.
    #[error(
        "the data folder {folder} is in use by {holder}: stop that process, or choose another folder with --data"
    )]
    InUse {
        /// The folder.
        folder: PathBuf,
        /// The process, by id and name where known.
        holder: String,
    },
    /// The folder cannot be made or written.
    #[error(
        "cannot write the data folder {folder}: choose another one with --data, or change its permissions"
    )]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// The operating system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The folder was written by a later program.
    #[error(
        "the data folder {folder} has format {found}, this program reads up to {supported}: use a newer Millrace"
    )]
    Version {
        /// The folder.
        folder: PathBuf,
        /// Its format.
        found: u32,
        /// The latest format that this program reads.
        supported: u32,
    },
    /// Data is damaged.
    #[error(
        "the data folder {folder} is damaged: {what}. Restore it from a backup, or move it away to start empty"
    )]
    Corrupt {
        /// The folder.
        folder: PathBuf,
        /// What is damaged.
        what: String,
    },
    /// The storage failed otherwise.
    #[error("cannot open the log in {folder}")]
    Storage {
        /// The folder.
        folder: PathBuf,
        /// The storage's reason.
        #[source]
        source: StorageError,
    },
}

/// Streams that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum EnsureStreamsError {
    /// The stream exists with another number of partitions.
    #[error(
        "stream `{stream}` has {existing} partitions and cannot get {wanted}: raise its `generation` to start it anew"
    )]
    PartitionCount {
        /// The stream.
        stream: StreamName,
        /// What it has.
        existing: Partition,
        /// What was asked for.
        wanted: Partition,
    },
    /// The stream could not be written.
    #[error("cannot create stream `{stream}`")]
    Create {
        /// The stream.
        stream: StreamName,
        /// Why not.
        #[source]
        source: AppendError,
    },
}

/// A topic of others that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum AttachExternalError {
    /// The log is in a folder of its own.
    #[error(
        "the topic `{topic}` is in a Kafka cluster, and this pipeline has none: say by `--connections` where it is"
    )]
    NoKafka {
        /// The topic.
        topic: String,
    },
    /// The cluster has no such topic, or does not show it.
    #[error(
        "the cluster has no topic `{topic}`, or this user may not describe it: whoever writes it has to make it"
    )]
    NotFound {
        /// The topic.
        topic: String,
    },
    /// The topic belongs to this pipeline.
    #[error(
        "the topic `{topic}` begins with `{prefix}`, as this pipeline's own do: set another `prefix` in its connection file"
    )]
    Own {
        /// The topic.
        topic: String,
        /// What names of this pipeline's topics begin with.
        prefix: String,
    },
    /// The cluster cannot be reached at present.
    #[error("cannot look at the topic `{topic}`: {reason}")]
    Unavailable {
        /// The topic.
        topic: String,
        /// Why not.
        reason: String,
    },
}

/// An append that was not made.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AppendError {
    /// There is no such stream or partition.
    #[error("there is no stream `{stream}` with partition {partition}")]
    UnknownStream {
        /// The stream.
        stream: StreamName,
        /// The partition.
        partition: Partition,
    },
    /// The log cannot accept at present; the same append may succeed later.
    #[error("the log does not accept at present: {0}")]
    Unavailable(String),
    /// A part is larger than the log stores; the same append can never succeed.
    #[error("{what} has {bytes} bytes; at most {limit} can be stored")]
    TooLarge {
        /// Which part.
        what: &'static str,
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The log was closed.
    #[error("the log is closed")]
    Closed,
}

/// A read that failed.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// There is no such stream or partition.
    #[error("there is no stream `{stream}` with partition {partition}")]
    UnknownStream {
        /// The stream.
        stream: StreamName,
        /// The partition.
        partition: Partition,
    },
    /// The data is damaged.
    #[error("the entry at offset {offset} of `{stream}` partition {partition} is damaged: {what}")]
    Corrupt {
        /// The stream.
        stream: StreamName,
        /// The partition.
        partition: Partition,
        /// The offset.
        offset: i64,
        /// What is damaged.
        what: String,
    },
    /// The storage failed otherwise.
    #[error("cannot read the log")]
    Storage(#[source] StorageError),
}

/// Old entries that could not be removed.
#[derive(Debug, thiserror::Error)]
pub enum RetentionError {
    /// What there is could not be read.
    #[error("cannot find out what to remove")]
    Find(#[from] ReadError),
    /// The new start could not be written.
    #[error("cannot move the start of a partition")]
    MoveStart(#[from] AppendError),
}

/// A task that could not be taken over.
#[derive(Debug, thiserror::Error)]
pub enum ClaimTaskError {
    /// Its state could not be read.
    #[error("cannot restore task {task}")]
    Restore {
        /// The task.
        task: String,
        /// Why not.
        #[source]
        source: ReadError,
    },
    /// The claim could not be written.
    #[error("cannot claim task {task}")]
    Claim {
        /// The task.
        task: String,
        /// Why not.
        #[source]
        source: AppendError,
    },
}

/// A commit that was not made.
#[derive(Debug, thiserror::Error)]
pub enum CommitTaskError {
    /// Someone else has claimed the task; this one must stop and discard its state.
    #[error("task {task} was taken over by someone else")]
    Fenced {
        /// The task.
        task: String,
    },
    /// The log cannot accept; the same commit may succeed later.
    #[error("cannot commit")]
    Append(#[from] AppendError),
}
