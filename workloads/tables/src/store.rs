//! The trait of stores, and what a sink says to one.

use async_trait::async_trait;
use millrace_core::Offset;
use millrace_core::Partition;
use millrace_core::StreamName;
use millrace_plan::model::TablePlan;

use crate::ClaimError;
use crate::CleanTableError;
use crate::CommitError;
use crate::EnsureTableError;
use crate::LookUp;
use crate::LookUpError;
use crate::Page;
use crate::Row;
use crate::ServeError;

/// A table of a generation of its sink.
#[derive(Debug, Clone, PartialEq)]
pub struct TableSpec {
    /// The sink's generation. Another one has a table of its own, beside the one that is served.
    pub generation: i32,
    /// Name, columns, primary key.
    pub plan: TablePlan,
}

/// What was removed of a table because it was older than the retention.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cleaned {
    /// Rows that were deleted.
    pub rows: u64,
    /// Partitions that were dropped, with all their rows.
    pub partitions: u64,
}

/// A generation of a table, and the sink that fills it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SinkTable {
    /// The sink.
    pub sink: String,
    /// The table's name.
    pub table: String,
    /// The generation.
    pub generation: i32,
}

/// What a position belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SinkPartition {
    /// The sink.
    pub sink: String,
    /// Its generation.
    pub generation: i32,
    /// The stream that it reads.
    pub stream: StreamName,
    /// The stream's partition.
    pub partition: Partition,
}

/// The right to commit for a sink's partition, until someone else claims it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkClaim {
    /// What was claimed.
    pub partition: SinkPartition,
    /// Raised by each claim.
    pub epoch: i64,
}

/// Keeps tables, rows and the positions of the sinks that fill them.
///
/// Everything that returns `Ok` is durable.
#[async_trait]
pub trait TableStore: Send + Sync + 'static {
    /// What traces call the database: the value of `db.system.name`.
    fn system(&self) -> &'static str;

    /// Creates tables and adds columns. Never drops a column, and never narrows one: a column that
    /// is no longer declared stays, and gets no values any more. The first generation of a table
    /// is served at once; further ones stand beside it until [`Self::serve`] is called. A table
    /// that someone else has dropped is made anew, empty.
    ///
    /// # Errors
    /// When an existing table cannot take what is declared now, or the database cannot be written.
    async fn ensure_tables(&self, tables: &[TableSpec]) -> Result<(), EnsureTableError>;

    /// Whether a table could become what is declared, or be made. Changes nothing.
    ///
    /// # Errors
    /// When an existing table cannot take what is declared now, or the database cannot be read.
    async fn check_table(&self, table: &TableSpec) -> Result<(), EnsureTableError>;

    /// Makes the partitions of a table that will be needed soon, and removes rows that are older
    /// than its retention, by the clock of whoever calls, in microseconds since 1970. Does nothing
    /// for a table without partitions, and while another process does it.
    ///
    /// Rows go by whole partitions: when the end of theirs is older than the retention.
    ///
    /// # Errors
    /// When the database cannot be written; what was done until then stays.
    async fn clean(&self, table: &TableSpec, now: i64) -> Result<Cleaned, CleanTableError>;

    /// The generation of a table that is served; none if there is no such table.
    ///
    /// # Errors
    /// When the database cannot be read.
    async fn served(&self, table: &str) -> Result<Option<i32>, ServeError>;

    /// Serves these generations from now on, all at once: look-ups find either all old tables or
    /// all new ones. Other generations of these tables go, with the positions of their sinks. What
    /// is served already stays so, and an interrupted call can be made again.
    ///
    /// # Errors
    /// When a table was not ensured, or the database cannot be written; then nothing has changed.
    async fn serve(&self, tables: &[SinkTable]) -> Result<(), ServeError>;

    /// Removes generations that are not served, with the positions of their sinks. What is not
    /// there is passed over.
    ///
    /// # Errors
    /// When one of them is served, or the database cannot be written; then nothing has changed.
    async fn discard(&self, tables: &[SinkTable]) -> Result<(), ServeError>;

    /// How far a generation of a sink has come: the next offset to read of each partition that
    /// was claimed, in no particular order.
    ///
    /// # Errors
    /// When the database cannot be read.
    async fn positions(
        &self,
        sink: &str,
        generation: i32,
    ) -> Result<Vec<(StreamName, Partition, Offset)>, ServeError>;

    /// Has all sinks read from the beginning again, because the log is another one than before. Rows
    /// stay; in tables of `arrived`, whose rows are told apart by the order in which they arrived,
    /// they come before all that arrives from now on. Claims end. Returns whether any sink had read
    /// anything: if not, nothing changes.
    ///
    /// # Errors
    /// When the database cannot be written; then nothing has changed.
    async fn begin_anew(&self, arrived: &[SinkTable]) -> Result<bool, ServeError>;

    /// Takes a sink's partition over: from now on, commits under earlier claims fail. Returns the
    /// claim and the next offset to read, 0 at first.
    ///
    /// # Errors
    /// When the database cannot be written.
    async fn claim(&self, partition: &SinkPartition) -> Result<(SinkClaim, Offset), ClaimError>;

    /// Writes rows and moves the position, all or nothing; the position moves first, and only if
    /// the claim still holds and the position is `from`. Of rows of one key that are committed
    /// together, the one that stays is written alone. Returns the number of rows that are new or
    /// changed.
    ///
    /// # Errors
    /// When the claim does not hold any more, the position is another one, a row is refused, or
    /// the database cannot be written; then nothing of it was committed, unless the database
    /// failed at the very end: the position tells.
    async fn commit(
        &self,
        claim: &SinkClaim,
        table: &str,
        rows: &[Row],
        from: Offset,
        next: Offset,
    ) -> Result<u64, CommitError>;

    /// Looks rows up, a page at a time.
    ///
    /// # Errors
    /// When the table or a column is unknown, the cursor is not of this look-up, or the database
    /// cannot be read.
    async fn look_up(&self, table: &str, query: &LookUp) -> Result<Page, LookUpError>;

    /// Finishes what was begun and closes; later calls fail.
    async fn close(&self);
}
