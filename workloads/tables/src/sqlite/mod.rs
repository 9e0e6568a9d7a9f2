//! Tables in one SQLite file, for one process.
//!
//! One connection writes, a few read; the write-ahead log is synced at every commit, so that what
//! was committed survives the machine. Other programs may read the file at any time.

mod catalogue;
mod commit;
mod open;
mod select;
mod sql;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use millrace_core::Offset;
use parking_lot::RwLock;
use sqlx::SqlitePool;

use crate::ClaimError;
use crate::CommitError;
use crate::EnsureTableError;
use crate::LookUp;
use crate::LookUpError;
use crate::OpenStoreError;
use crate::Page;
use crate::Row;
use crate::SinkClaim;
use crate::SinkPartition;
use crate::TableSpec;
use crate::TableStore;
use sql::Table;

/// Tables in one SQLite file.
pub struct SqliteStore {
    writer: SqlitePool,
    readers: SqlitePool,
    tables: RwLock<HashMap<String, Arc<Table>>>,
}

impl SqliteStore {
    /// Opens or creates the file.
    ///
    /// # Errors
    /// When the file cannot be opened or written, or a later program wrote it.
    pub async fn open(file: &Path) -> Result<Self, OpenStoreError> {
        let (writer, readers) = open::open(file).await?;
        Ok(Self { writer, readers, tables: RwLock::default() })
    }

    fn table(&self, name: &str) -> Option<Arc<Table>> {
        self.tables.read().get(name).cloned()
    }
}

#[async_trait]
impl TableStore for SqliteStore {
    async fn ensure_tables(&self, tables: &[TableSpec]) -> Result<(), EnsureTableError> {
        for spec in tables {
            catalogue::ensure(&self.writer, spec).await?;
            let table = Arc::new(Table::new(spec));
            self.tables.write().insert(spec.plan.name.clone(), table);
        }
        Ok(())
    }

    async fn claim(&self, partition: &SinkPartition) -> Result<(SinkClaim, Offset), ClaimError> {
        commit::claim(&self.writer, partition).await
    }

    async fn commit(
        &self,
        claim: &SinkClaim,
        table: &str,
        rows: &[Row],
        from: Offset,
        next: Offset,
    ) -> Result<u64, CommitError> {
        let table = self.table(table).ok_or_else(|| CommitError::UnknownTable(table.to_owned()))?;
        commit::commit(&self.writer, claim, &table, rows, from, next).await
    }

    async fn look_up(&self, table: &str, query: &LookUp) -> Result<Page, LookUpError> {
        let table = self.table(table).ok_or_else(|| LookUpError::UnknownTable(table.to_owned()))?;
        select::look_up(&self.readers, &table, query).await
    }

    async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}
