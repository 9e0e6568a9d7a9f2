//! Tables in one SQLite file, for one process.
//!
//! One connection writes, a few read; the write-ahead log is synced at every commit, so that what
//! was committed survives the machine. Other programs may read the file at any time.

mod catalogue;
mod clean;
mod commit;
mod copy;
mod group;
mod open;
mod reader;
mod select;
mod serving;
mod sql;
mod statement;

pub use reader::QueryAnswer;
pub use reader::QueryError;
pub use reader::SqliteReader;
pub use reader::TableDescription;
pub use statement::RefusedStatement;
pub use statement::is_complete;

pub use copy::CopyTablesError;
pub use copy::copy;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use millrace_core::Offset;
use millrace_core::Partition;
use millrace_core::StreamName;
use sqlx::SqlitePool;
use tokio::sync::RwLock;

use crate::ClaimError;
use crate::CleanTableError;
use crate::Cleaned;
use crate::CommitError;
use crate::DatabaseError;
use crate::EnsureTableError;
use crate::LookUp;
use crate::LookUpError;
use crate::OpenStoreError;
use crate::Page;
use crate::Row;
use crate::ServeError;
use crate::SinkClaim;
use crate::SinkPartition;
use crate::SinkTable;
use crate::TableSpec;
use crate::TableStore;
use crate::periods::Periods;
use group::Writer;
use sql::Table;

/// Tables in one SQLite file.
pub struct SqliteStore {
    writer: SqlitePool,
    readers: SqlitePool,
    /// Writes with others in one transaction.
    group: Writer,
    /// Held for reading while a table is read or written, so that a switch finds them at rest.
    tables: RwLock<HashMap<String, Generations>>,
}

/// The generations of a table that were ensured.
#[derive(Default)]
struct Generations {
    served: Option<(i32, Arc<Table>)>,
    waiting: HashMap<i32, Arc<Table>>,
}

impl Generations {
    fn get(&self, generation: i32) -> Option<&Arc<Table>> {
        let served = self.served.as_ref().filter(|(served, _)| *served == generation);
        served.map(|(_, table)| table).or_else(|| self.waiting.get(&generation))
    }
}

impl SqliteStore {
    /// Opens or creates the file.
    ///
    /// # Errors
    /// When the file cannot be opened or written, or a later program wrote it.
    pub async fn open(file: &Path) -> Result<Self, OpenStoreError> {
        let (writer, readers) = open::open(file).await?;
        let group = Writer::start(writer.clone());
        Ok(Self { writer, readers, group, tables: RwLock::default() })
    }

    /// Learns what is served under a name. A generation that is no longer declared is served as it
    /// is in the database.
    async fn learn(&self, spec: &TableSpec, physical: &str) -> Result<(), EnsureTableError> {
        let name = &spec.plan.name;
        let failed =
            |source: DatabaseError| EnsureTableError::Create { table: name.clone(), source };
        let served = self.served(name).await.map_err(|error| failed(error.into()))?;
        let mut tables = self.tables.write().await;
        let generations = tables.entry(name.clone()).or_default();
        let table = Arc::new(Table::new(&spec.plan, physical));
        if served == Some(spec.generation) {
            generations.served = Some((spec.generation, table));
            return Ok(());
        }
        generations.waiting.insert(spec.generation, table);
        if generations.served.is_none()
            && let Some(served) = served
            && let Some(plan) =
                catalogue::served_plan(&self.readers, name).await.map_err(|e| failed(e.into()))?
        {
            generations.served = Some((served, Arc::new(Table::new(&plan, name))));
        }
        Ok(())
    }
}

#[async_trait]
impl TableStore for SqliteStore {
    fn system(&self) -> &'static str {
        "sqlite"
    }

    async fn ensure_tables(&self, tables: &[TableSpec]) -> Result<(), EnsureTableError> {
        for spec in tables {
            let physical = catalogue::ensure(&self.writer, spec).await?;
            self.learn(spec, &physical).await?;
        }
        Ok(())
    }

    async fn check_table(&self, table: &TableSpec) -> Result<(), EnsureTableError> {
        let name = || table.plan.name.clone();
        let failed = |source: DatabaseError| EnsureTableError::Create { table: name(), source };
        let served = self.served(&table.plan.name).await.map_err(|error| failed(error.into()))?;
        let checked = catalogue::check(&self.readers, table, served).await;
        let checked = checked.map_err(|error| failed(error.into()))?;
        checked.map_err(|reason| EnsureTableError::Incompatible { table: name(), reason })
    }

    async fn clean(&self, spec: &TableSpec, now: i64) -> Result<Cleaned, CleanTableError> {
        let mut cleaned = Cleaned::default();
        let Some(partitions) = &spec.plan.partitions else { return Ok(cleaned) };
        let Some(before) = Periods::of(partitions).kept_from(now) else { return Ok(cleaned) };
        let name = &spec.plan.name;
        loop {
            let tables = self.tables.read().await;
            let table = tables.get(name).and_then(|table| table.get(spec.generation));
            let Some(table) = table else { return Ok(cleaned) };
            let deleted = clean::delete(&self.writer, table, &partitions.by, before).await;
            let deleted = deleted.map_err(|error| CleanTableError {
                table: name.clone(),
                reason: error.to_string(),
            })?;
            cleaned.rows += deleted;
            if deleted < clean::BATCH {
                return Ok(cleaned);
            }
        }
    }

    async fn served(&self, table: &str) -> Result<Option<i32>, ServeError> {
        serving::served(&self.writer, table).await
    }

    async fn serve(&self, tables: &[SinkTable]) -> Result<(), ServeError> {
        let mut known = self.tables.write().await;
        serving::serve(&self.writer, tables).await?;
        for SinkTable { table, generation, .. } in tables {
            let Some(generations) = known.get_mut(table) else { continue };
            if let Some(waiting) = generations.waiting.remove(generation) {
                let renamed = Arc::new(waiting.renamed(table));
                generations.served = Some((*generation, renamed));
            }
            generations.waiting.clear();
        }
        Ok(())
    }

    async fn discard(&self, tables: &[SinkTable]) -> Result<(), ServeError> {
        let mut known = self.tables.write().await;
        serving::discard(&self.writer, tables).await?;
        for SinkTable { table, generation, .. } in tables {
            if let Some(generations) = known.get_mut(table) {
                generations.waiting.remove(generation);
            }
        }
        Ok(())
    }

    async fn positions(
        &self,
        sink: &str,
        generation: i32,
    ) -> Result<Vec<(StreamName, Partition, Offset)>, ServeError> {
        serving::positions(&self.readers, sink, generation).await
    }

    async fn begin_anew(&self, arrived: &[SinkTable]) -> Result<bool, ServeError> {
        serving::begin_anew(&self.writer, arrived).await
    }

    async fn claim(&self, partition: &SinkPartition) -> Result<(SinkClaim, Offset), ClaimError> {
        self.group.claim(partition).await
    }

    async fn commit(
        &self,
        claim: &SinkClaim,
        table: &str,
        rows: &[Row],
        from: Offset,
        next: Offset,
    ) -> Result<u64, CommitError> {
        let tables = self.tables.read().await;
        let generations = tables.get(table);
        let table = generations
            .and_then(|generations| generations.get(claim.partition.generation))
            .ok_or_else(|| CommitError::UnknownTable(table.to_owned()))?;
        self.group.commit(claim, table, rows, from, next).await
    }

    async fn look_up(&self, table: &str, query: &LookUp) -> Result<Page, LookUpError> {
        let tables = self.tables.read().await;
        let served = tables.get(table).and_then(|generations| generations.served.as_ref());
        let (_, table) = served.ok_or_else(|| LookUpError::UnknownTable(table.to_owned()))?;
        select::look_up(&self.readers, table, query).await
    }

    async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}
