//! Removes rows that are older than their table's retention, a bounded number at a time, so that
//! commits come between.

use sqlx::AssertSqlSafe;
use sqlx::SqlitePool;

use super::sql;
use super::sql::Table;
use crate::TableSpec;
use crate::sql::list;
use crate::sql::quote;

/// Most rows that are deleted in one transaction.
pub(super) const BATCH: u64 = 5000;

/// Deletes rows whose time is earlier; returns how many there were.
pub(super) async fn delete(
    writer: &SqlitePool,
    table: &Table,
    by: &str,
    before: i64,
) -> Result<u64, sqlx::Error> {
    let key = list(table.primary_key.iter().map(String::as_str));
    let delete = format!(
        "DELETE FROM {0} WHERE ({key}) IN (SELECT {key} FROM {0} WHERE {1} < ? LIMIT {BATCH})",
        table.quoted,
        quote(by)
    );
    let deleted = sqlx::query(AssertSqlSafe(delete)).bind(before).execute(writer).await?;
    Ok(deleted.rows_affected())
}

/// The statement that lets rows be found by their time, where they are not in its order.
pub(super) fn create_index(spec: &TableSpec, physical: &str) -> Option<String> {
    let partitions = spec.plan.partitions.as_ref()?;
    partitions.retention?;
    if spec.plan.primary_key.first() == Some(&partitions.by) {
        return None;
    }
    let generation = sql::waiting_name(&spec.plan.name, spec.generation);
    Some(format!(
        "CREATE INDEX IF NOT EXISTS {} ON {} ({})",
        quote(&format!("{generation}:by {}", partitions.by)),
        quote(physical),
        quote(&partitions.by)
    ))
}
