//! Why a task or the engine stops.

use millrace_log::ClaimTaskError;
use millrace_log::CommitTaskError;
use millrace_log::JoinGroupError;
use millrace_log::ReadError;

use crate::operators::RestoreStateError;
use crate::operators::TimerStays;
use crate::position::PositionError;

/// Why a task stopped before its end.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// The group of those who share the tasks of a stage cannot be joined.
    #[error("cannot run the tasks of stage `{stage}`")]
    Join {
        /// The stage.
        stage: String,
        /// Why not.
        #[source]
        source: JoinGroupError,
    },
    /// The task could not be taken over.
    #[error("cannot start task {task}")]
    Claim {
        /// The task.
        task: String,
        /// Why not.
        #[source]
        source: ClaimTaskError,
    },
    /// Its committed position cannot be read.
    #[error("cannot read the position of task {task}")]
    Position {
        /// The task.
        task: String,
        /// Why not.
        #[source]
        source: PositionError,
    },
    /// Its state cannot be restored.
    #[error("cannot restore task {task}")]
    Restore {
        /// The task.
        task: String,
        /// Why not.
        #[source]
        source: RestoreStateError,
    },
    /// An input cannot be read.
    #[error("task {task} cannot read `{stream}`")]
    Read {
        /// The task.
        task: String,
        /// The input.
        stream: String,
        /// Why not.
        #[source]
        source: ReadError,
    },
    /// Its commit was refused for good.
    #[error("task {task} cannot commit")]
    Commit {
        /// The task.
        task: String,
        /// Why not.
        #[source]
        source: CommitTaskError,
    },
    /// A processor never comes to an end with its timers.
    #[error("task {task} cannot go on")]
    Timer {
        /// The task.
        task: String,
        /// Which processor.
        #[source]
        source: TimerStays,
    },
    /// At the end of input processors asked for ever later timers.
    #[error("task {task} does not end: its processors asked for {timers} timers after their input")]
    EndlessTimers {
        /// The task.
        task: String,
        /// How many.
        timers: u64,
    },
    /// The plan names a stream that it does not have.
    #[error("task {task} reads `{stream}`, which the plan does not have")]
    UnknownStream {
        /// The task.
        task: String,
        /// The stream.
        stream: String,
    },
    /// The task's program failed.
    #[error("task {task} ended unexpectedly")]
    Unexpected {
        /// The task.
        task: String,
        /// The runtime's reason.
        #[source]
        source: tokio::task::JoinError,
    },
}
