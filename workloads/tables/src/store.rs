//! The trait of stores, and what a sink says to one.

use async_trait::async_trait;
use millrace_core::Offset;
use millrace_core::Partition;
use millrace_core::StreamName;
use millrace_plan::model::TablePlan;

use crate::ClaimError;
use crate::CommitError;
use crate::EnsureTableError;
use crate::LookUp;
use crate::LookUpError;
use crate::Page;
use crate::Row;

/// A table of a generation of its sink.
#[derive(Debug, Clone, PartialEq)]
pub struct TableSpec {
    /// The sink's generation. A higher one has a table of its own, beside those of lower ones.
    pub generation: i32,
    /// Name, columns, primary key.
    pub plan: TablePlan,
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
    /// Creates tables and adds columns, and serves these tables from now on. Never drops a table
    /// or a column, and never narrows one: a column that is no longer declared stays, and gets no
    /// values any more. Of several generations the last one named is served.
    ///
    /// # Errors
    /// When an existing table cannot take what is declared now, or the database cannot be written.
    async fn ensure_tables(&self, tables: &[TableSpec]) -> Result<(), EnsureTableError>;

    /// Takes a sink's partition over: from now on, commits under earlier claims fail. Returns the
    /// claim and the next offset to read, 0 at first.
    ///
    /// # Errors
    /// When the database cannot be written.
    async fn claim(&self, partition: &SinkPartition) -> Result<(SinkClaim, Offset), ClaimError>;

    /// Writes rows and moves the position, all or nothing; the position moves first, and only if
    /// the claim still holds and the position is `from`. Returns the number of rows that were new
    /// or changed.
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
