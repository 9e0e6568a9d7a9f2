//! What can go wrong with a store, named for what was attempted.

use std::path::PathBuf;

use millrace_core::Offset;

/// A failure of the database below a store.
pub type DatabaseError = Box<dyn std::error::Error + Send + Sync>;

/// A store that could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenStoreError {
    /// The file cannot be opened or written.
    #[error(
        "cannot open the tables in {file}: free space, change the folder's permissions, or choose another folder with --data"
    )]
    Open {
        /// The file.
        file: PathBuf,
        /// The database's reason.
        #[source]
        source: DatabaseError,
    },
    /// The file was written by a later program.
    #[error(
        "the tables in {file} have format {found}, this program reads up to {supported}: use a newer Millrace"
    )]
    Version {
        /// The file.
        file: PathBuf,
        /// Its format.
        found: i64,
        /// The latest format that this program reads.
        supported: i64,
    },
}

/// A table that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum EnsureTableError {
    /// The table exists and cannot take what is declared now.
    #[error(
        "table `{table}` cannot become what is declared: {reason}. Raise the sink's `generation` to fill a new table from the log, or undo the change"
    )]
    Incompatible {
        /// The table.
        table: String,
        /// What does not fit.
        reason: String,
    },
    /// The database failed.
    #[error("cannot create or extend table `{table}`")]
    Create {
        /// The table.
        table: String,
        /// The database's reason.
        #[source]
        source: DatabaseError,
    },
}

/// A table whose partitions and old rows could not be seen to.
#[derive(Debug, thiserror::Error)]
#[error("cannot make partitions of table `{table}` or remove its old rows: {reason}")]
pub struct CleanTableError {
    /// The table.
    pub table: String,
    /// The database's reason, for a person.
    pub reason: String,
}

/// A change of what is served that was not made.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// There is no such generation.
    #[error("table `{table}` has no generation {generation}")]
    Unknown {
        /// The table.
        table: String,
        /// The generation.
        generation: i32,
    },
    /// What is served cannot be discarded.
    #[error("generation {generation} of table `{table}` is served")]
    Served {
        /// The table.
        table: String,
        /// The generation.
        generation: i32,
    },
    /// The database failed.
    #[error("cannot find out or change which generation of `{name}` is served")]
    Database {
        /// The table, or the sink.
        name: String,
        /// The database's reason.
        #[source]
        source: DatabaseError,
    },
}

/// A partition that could not be claimed.
#[derive(Debug, thiserror::Error)]
#[error("cannot claim the position of sink `{sink}`: {reason}")]
pub struct ClaimError {
    /// The sink.
    pub sink: String,
    /// The database's reason, for a person.
    pub reason: String,
}

/// A commit that was not made.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// Someone else has claimed the partition; this claim can never commit again.
    #[error("sink `{sink}` was taken over by someone else")]
    Fenced {
        /// The sink.
        sink: String,
    },
    /// The position is not where the commit starts.
    #[error("the position of sink `{sink}` is {found}, not {expected}")]
    Position {
        /// The sink.
        sink: String,
        /// Where the commit starts.
        expected: Offset,
        /// Where the position is.
        found: Offset,
    },
    /// The table was not ensured.
    #[error("there is no table `{0}`")]
    UnknownTable(String),
    /// The database refuses a row for what is in it; the same row will fail again.
    #[error("the database refuses the row: {0}")]
    Refused(String),
    /// The database cannot be written at present; the same commit may succeed later.
    #[error("the database does not accept at present: {0}")]
    Unavailable(String),
}

/// A look-up that failed.
#[derive(Debug, thiserror::Error)]
pub enum LookUpError {
    /// There is no such table.
    #[error("there is no table `{0}`")]
    UnknownTable(String),
    /// There is no such column.
    #[error("table `{table}` has no column `{column}`")]
    UnknownColumn {
        /// The table.
        table: String,
        /// The column.
        column: String,
    },
    /// The column has another type than the look-up needs.
    #[error("column `{0}` is not a timestamp")]
    NotATime(String),
    /// The cursor came from another look-up, or from nowhere.
    #[error("the cursor does not belong to this look-up: start without one")]
    Cursor,
    /// The database cannot be read.
    #[error("cannot read table `{table}`")]
    Read {
        /// The table.
        table: String,
        /// The database's reason.
        #[source]
        source: DatabaseError,
    },
}
