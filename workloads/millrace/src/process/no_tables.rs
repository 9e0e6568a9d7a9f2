//! Tables of a pipeline that has none.

use async_trait::async_trait;
use millrace_core::Offset;
use millrace_core::Partition;
use millrace_core::StreamName;
use millrace_tables::ClaimError;
use millrace_tables::CleanTableError;
use millrace_tables::Cleaned;
use millrace_tables::CommitError;
use millrace_tables::EnsureTableError;
use millrace_tables::LookUp;
use millrace_tables::LookUpError;
use millrace_tables::Page;
use millrace_tables::Row;
use millrace_tables::ServeError;
use millrace_tables::SinkClaim;
use millrace_tables::SinkPartition;
use millrace_tables::SinkTable;
use millrace_tables::TableSpec;
use millrace_tables::TableStore;

/// A store without a database. Nobody asks it for more than nothing: a plan with tables needs one.
pub(super) struct NoTables;

const NONE: &str = "the pipeline has no database";

#[async_trait]
impl TableStore for NoTables {
    fn system(&self) -> &'static str {
        "none"
    }

    async fn ensure_tables(&self, tables: &[TableSpec]) -> Result<(), EnsureTableError> {
        match tables.first() {
            None => Ok(()),
            Some(spec) => {
                Err(EnsureTableError::Create { table: spec.plan.name.clone(), source: NONE.into() })
            }
        }
    }

    async fn check_table(&self, spec: &TableSpec) -> Result<(), EnsureTableError> {
        Err(EnsureTableError::Create { table: spec.plan.name.clone(), source: NONE.into() })
    }

    async fn clean(&self, _: &TableSpec, _: i64) -> Result<Cleaned, CleanTableError> {
        Ok(Cleaned::default())
    }

    async fn served(&self, _: &str) -> Result<Option<i32>, ServeError> {
        Ok(None)
    }

    async fn serve(&self, tables: &[SinkTable]) -> Result<(), ServeError> {
        match tables.first() {
            None => Ok(()),
            Some(SinkTable { table, generation, .. }) => {
                Err(ServeError::Unknown { table: table.clone(), generation: *generation })
            }
        }
    }

    async fn discard(&self, _: &[SinkTable]) -> Result<(), ServeError> {
        Ok(())
    }

    async fn positions(
        &self,
        _: &str,
        _: i32,
    ) -> Result<Vec<(StreamName, Partition, Offset)>, ServeError> {
        Ok(Vec::new())
    }

    async fn begin_anew(&self, _: &[SinkTable]) -> Result<bool, ServeError> {
        Ok(false)
    }

    async fn claim(&self, partition: &SinkPartition) -> Result<(SinkClaim, Offset), ClaimError> {
        Err(ClaimError { sink: partition.sink.clone(), reason: NONE.to_owned() })
    }

    async fn commit(
        &self,
        _: &SinkClaim,
        table: &str,
        _: &[Row],
        _: Offset,
        _: Offset,
    ) -> Result<u64, CommitError> {
        Err(CommitError::UnknownTable(table.to_owned()))
    }

    async fn look_up(&self, table: &str, _: &LookUp) -> Result<Page, LookUpError> {
        Err(LookUpError::UnknownTable(table.to_owned()))
    }

    async fn close(&self) {}
}
