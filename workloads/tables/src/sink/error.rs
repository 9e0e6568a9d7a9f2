//! Why a table sink stopped for good.

use millrace_core::Offset;
use millrace_log::CommitTaskError;
use millrace_log::JoinGroupError;
use millrace_log::ReadError;

use crate::CommitError;

/// A sink that cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum RunSinkError {
    /// The group of those who share the sink's partitions cannot be joined.
    #[error("sink `{sink}` cannot share its stream")]
    Join {
        /// The sink.
        sink: String,
        /// Why not.
        #[source]
        source: JoinGroupError,
    },
    /// The log cannot give what the sink reads.
    #[error("sink `{sink}` cannot read its stream")]
    Read {
        /// The sink.
        sink: String,
        /// Why not.
        #[source]
        source: ReadError,
    },
    /// The position in the database is of a log that is gone.
    #[error(
        "sink `{sink}` has read up to {position}, and its stream ends at {end}: the log is another one. Restore the log, or raise the sink's `generation` to fill a new table"
    )]
    AnotherLog {
        /// The sink.
        sink: String,
        /// How far it has read.
        position: Offset,
        /// The stream's end.
        end: Offset,
    },
    /// A dead letter cannot be stored.
    #[error("sink `{sink}` cannot store a dead letter")]
    DeadLetter {
        /// The sink.
        sink: String,
        /// Why not.
        #[source]
        source: CommitTaskError,
    },
    /// Rows cannot be written.
    #[error("sink `{sink}` cannot write its table")]
    Commit {
        /// The sink.
        sink: String,
        /// Why not.
        #[source]
        source: CommitError,
    },
    /// A reader ended by a defect.
    #[error("a reader of sink `{sink}` broke off")]
    Reader {
        /// The sink.
        sink: String,
        /// How.
        #[source]
        source: tokio::task::JoinError,
    },
}
