//! Why an archive cannot start, waits or stops.

use std::io::Error as IoError;

use millrace_core::Offset;
use millrace_core::Partition;
use millrace_log::CommitTaskError;
use millrace_log::JoinGroupError;
use millrace_log::ReadError;
use tokio::task::JoinError;

use crate::parquet::WriteParquetError;
use crate::progress::ClaimError;
use crate::store::UseStoreError;

/// An archive sink that cannot start.
#[derive(Debug, thiserror::Error)]
#[error("sink `{sink}` cannot start")]
pub struct StartArchiveError {
    /// The sink.
    pub sink: String,
    /// Why not.
    #[source]
    pub source: UseStoreError,
}

/// An archive that has stopped for good.
#[derive(Debug, thiserror::Error)]
#[error("sink `{sink}` cannot archive `{stream}`")]
pub struct RunArchiveError {
    /// The sink.
    pub sink: String,
    /// The stream.
    pub stream: String,
    /// Why not.
    #[source]
    pub source: ArchiveError,
}

/// Why a step of an archive failed.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The group of those who may archive the stream cannot be joined.
    #[error("cannot join those who share it")]
    Join(#[from] JoinGroupError),
    /// Its progress cannot be taken over.
    #[error("cannot take its progress over: {0}")]
    Claim(String),
    /// The log cannot give what it reads.
    #[error("cannot read the stream")]
    Read(#[from] ReadError),
    /// The progress is of another log.
    #[error(
        "partition {partition} was read up to {position}, and ends at {end}: the log is another one. Restore it, or raise the sink's `generation`"
    )]
    AnotherLog {
        /// The partition.
        partition: Partition,
        /// How far it was read.
        position: Offset,
        /// Where it ends.
        end: Offset,
    },
    /// Its progress cannot be committed.
    #[error("cannot commit its progress")]
    Commit(#[from] CommitTaskError),
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] UseStoreError),
    /// A file cannot be made.
    #[error("cannot make a file: {0}")]
    Encode(String),
    /// A file's making was broken off.
    #[error("the making of a file broke off")]
    Broken(#[from] JoinError),
}

impl ArchiveError {
    /// Whether someone else has taken the archive over.
    pub(crate) const fn is_fenced(&self) -> bool {
        matches!(self, Self::Commit(CommitTaskError::Fenced { .. }))
    }

    /// Whether another attempt cannot help.
    pub(crate) const fn is_final(&self) -> bool {
        matches!(
            self,
            Self::AnotherLog { .. }
                | Self::Read(ReadError::UnknownStream { .. } | ReadError::Corrupt { .. })
        )
    }
}

impl From<ClaimError> for ArchiveError {
    fn from(error: ClaimError) -> Self {
        Self::Claim(millrace_core::with_causes(&error))
    }
}

impl From<WriteParquetError> for ArchiveError {
    fn from(error: WriteParquetError) -> Self {
        Self::Encode(millrace_core::with_causes(&error))
    }
}

impl From<IoError> for ArchiveError {
    fn from(error: IoError) -> Self {
        Self::Encode(error.to_string())
    }
}
