//! Why generations cannot be found out, made or switched.

use millrace_log::AppendError;
use millrace_log::EnsureStreamsError;
use millrace_log::ReadError;
use millrace_tables::EnsureTableError;
use millrace_tables::ServeError;

use super::begin::BeginRebuildError;
use super::ledger::LedgerError;
use super::pending::PositionsError;

/// Why generations cannot be found out or made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenGenerationsError {
    /// The ledger cannot be read or written.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A generation was lowered.
    #[error(
        "the generation of `{part}`, or of a processor that it reads, was lowered by {by}: what lower generations \
         made is gone. Write it back, or raise it"
    )]
    Lowered {
        /// The stage or sink.
        part: String,
        /// By how much.
        by: i32,
    },
    /// The tables are of another log.
    #[error(
        "table `{table}` is of generation {found}, and the log knows none above {known}: the two do not belong \
         together. Restore both from one backup, raise the sink's `generation` by {} to go on with the rows that are \
         there, or move the table away to fill it from the log",
        found - known
    )]
    OtherLog {
        /// The table.
        table: String,
        /// Its generation.
        found: i32,
        /// The log's.
        known: i32,
    },
    /// A rebuild cannot begin.
    #[error(transparent)]
    Begin(#[from] BeginRebuildError),
    /// The log cannot be read.
    #[error("cannot find out what the log has")]
    Read(#[from] ReadError),
    /// The streams cannot be made.
    #[error(transparent)]
    Streams(#[from] EnsureStreamsError),
    /// A table cannot be made.
    #[error(transparent)]
    Table(#[from] EnsureTableError),
    /// The tables cannot be switched.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// How far a rebuild has come cannot be found out.
    #[error(transparent)]
    Positions(#[from] PositionsError),
    /// What is no longer needed cannot be removed.
    #[error("cannot remove what is no longer served")]
    Remove(#[from] AppendError),
}
