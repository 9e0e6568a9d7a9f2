//! Which generation of a table is served, and the switch from one to another.
//!
//! The served generation has the table's own name in the database. A switch drops the old table
//! and gives its name to the new one, in one transaction for any number of tables.

use millrace_core::Offset;
use millrace_core::Partition;
use millrace_core::StreamName;
use sqlx::AssertSqlSafe;
use sqlx::SqliteConnection;
use sqlx::SqlitePool;

use super::sql;
use crate::ServeError;
use crate::SinkTable;
use crate::sql::before;
use crate::sql::quote;
use crate::sql::read_to;

/// The generation that is served.
pub(super) async fn served(pool: &SqlitePool, table: &str) -> Result<Option<i32>, ServeError> {
    let found: Option<(i32,)> =
        sqlx::query_as(r#"SELECT "generation" FROM "_millrace_served" WHERE "table" = ?"#)
            .bind(table)
            .fetch_optional(pool)
            .await
            .map_err(|error| database(table, error))?;
    Ok(found.map(|(generation,)| generation))
}

/// Serves these generations and removes all others of their tables.
pub(super) async fn serve(writer: &SqlitePool, tables: &[SinkTable]) -> Result<(), ServeError> {
    let Some(first) = tables.first() else { return Ok(()) };
    let begun = writer.begin_with("BEGIN IMMEDIATE").await;
    let mut transaction = begun.map_err(|error| database(&first.table, error))?;
    for table in tables {
        let physical = physical(&mut transaction, table).await;
        if physical.map_err(|error| database(&table.table, error))?.is_none() {
            return Err(ServeError::Unknown {
                table: table.table.clone(),
                generation: table.generation,
            });
        }
        switch(&mut transaction, table).await.map_err(|error| database(&table.table, error))?;
    }
    transaction.commit().await.map_err(|error| database(&first.table, error))
}

/// Removes generations that are not served.
pub(super) async fn discard(writer: &SqlitePool, tables: &[SinkTable]) -> Result<(), ServeError> {
    let Some(first) = tables.first() else { return Ok(()) };
    let begun = writer.begin_with("BEGIN IMMEDIATE").await;
    let mut transaction = begun.map_err(|error| database(&first.table, error))?;
    for table in tables {
        let failed = |error| database(&table.table, error);
        if generation_of(&mut transaction, &table.table).await.map_err(failed)?
            == Some(table.generation)
        {
            return Err(ServeError::Served {
                table: table.table.clone(),
                generation: table.generation,
            });
        }
        let waiting = sql::waiting_name(&table.table, table.generation);
        drop_table(&mut transaction, &waiting).await.map_err(failed)?;
        sqlx::query(r#"DELETE FROM "_millrace_positions" WHERE "sink" = ? AND "generation" = ?"#)
            .bind(&table.sink)
            .bind(table.generation)
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
    }
    transaction.commit().await.map_err(|error| database(&first.table, error))
}

/// How far a generation of a sink has come.
pub(super) async fn positions(
    pool: &SqlitePool,
    sink: &str,
    generation: i32,
) -> Result<Vec<(StreamName, Partition, Offset)>, ServeError> {
    let rows: Vec<(String, i32, i64)> = sqlx::query_as(
        r#"SELECT "stream", "partition", "next" FROM "_millrace_positions"
           WHERE "sink" = ? AND "generation" = ?"#,
    )
    .bind(sink)
    .bind(generation)
    .fetch_all(pool)
    .await
    .map_err(|error| database(sink, error))?;
    rows.into_iter()
        .map(|(stream, partition, next)| {
            let stream = stream.parse().map_err(|error| ServeError::Database {
                name: sink.to_owned(),
                source: Box::new(error),
            })?;
            Ok((stream, partition, next))
        })
        .collect()
}

/// Moves all positions to the beginning, and rows that are in the order of their arrival before it.
pub(super) async fn begin_anew(
    writer: &SqlitePool,
    arrived: &[SinkTable],
) -> Result<bool, ServeError> {
    let failed = |error| database("all tables", error);
    let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
    let found: Vec<(String, i64)> =
        sqlx::query_as(r#"SELECT "sink", "next" FROM "_millrace_positions""#)
            .fetch_all(&mut *transaction)
            .await
            .map_err(failed)?;
    if found.iter().all(|(_, next)| *next == 0) {
        return Ok(false);
    }
    for table in arrived {
        let failed = |error| database(&table.table, error);
        let most = read_to(&found, &table.sink);
        let physical = physical(&mut transaction, table).await.map_err(failed)?;
        let Some(physical) = physical.filter(|_| most > 0) else { continue };
        let before = before(&quote(&physical), "?");
        sqlx::query(AssertSqlSafe(before))
            .bind(most)
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
    }
    sqlx::query(
        r#"UPDATE "_millrace_positions" SET "epoch" = "epoch" + 1, "next" = 0 WHERE "next" > 0"#,
    )
    .execute(&mut *transaction)
    .await
    .map_err(failed)?;
    transaction.commit().await.map_err(failed)?;
    Ok(true)
}

/// Forgets what a table looks like.
pub(super) async fn forget(
    connection: &mut SqliteConnection,
    name: &str,
) -> Result<(), sqlx::Error> {
    for statement in [
        r#"DELETE FROM "_millrace_tables" WHERE "table" = ?"#,
        r#"DELETE FROM "_millrace_columns" WHERE "table" = ?"#,
    ] {
        sqlx::query(statement).bind(name).execute(&mut *connection).await?;
    }
    Ok(())
}

async fn generation_of(
    connection: &mut SqliteConnection,
    table: &str,
) -> Result<Option<i32>, sqlx::Error> {
    let found: Option<(i32,)> =
        sqlx::query_as(r#"SELECT "generation" FROM "_millrace_served" WHERE "table" = ?"#)
            .bind(table)
            .fetch_optional(connection)
            .await?;
    Ok(found.map(|(generation,)| generation))
}

/// The name in the database of a generation that is served already, or waits; none if it was not made.
async fn physical(
    connection: &mut SqliteConnection,
    table: &SinkTable,
) -> Result<Option<String>, sqlx::Error> {
    if generation_of(connection, &table.table).await? == Some(table.generation) {
        return Ok(Some(table.table.clone()));
    }
    let waiting = sql::waiting_name(&table.table, table.generation);
    let found: Option<(i64,)> =
        sqlx::query_as(r#"SELECT 1 FROM "_millrace_tables" WHERE "table" = ?"#)
            .bind(&waiting)
            .fetch_optional(connection)
            .await?;
    Ok(found.map(|_| waiting))
}

async fn switch(connection: &mut SqliteConnection, table: &SinkTable) -> Result<(), sqlx::Error> {
    let SinkTable { sink, table: name, generation } = table;
    if generation_of(connection, name).await? != Some(*generation) {
        let waiting = sql::waiting_name(name, *generation);
        drop_table(connection, name).await?;
        let rename = format!("ALTER TABLE {} RENAME TO {}", quote(&waiting), quote(name));
        sqlx::raw_sql(AssertSqlSafe(rename)).execute(&mut *connection).await?;
        for statement in [
            r#"UPDATE "_millrace_tables" SET "table" = ? WHERE "table" = ?"#,
            r#"UPDATE "_millrace_columns" SET "table" = ? WHERE "table" = ?"#,
        ] {
            sqlx::query(statement).bind(name).bind(&waiting).execute(&mut *connection).await?;
        }
        sqlx::query(r#"UPDATE "_millrace_served" SET "generation" = ? WHERE "table" = ?"#)
            .bind(generation)
            .bind(name)
            .execute(&mut *connection)
            .await?;
    }
    let others: Vec<(String,)> = sqlx::query_as(
        r#"SELECT "table" FROM "_millrace_tables"
           WHERE substr("table", 1, length(?1)) = ?1"#,
    )
    .bind(format!("{name}@"))
    .fetch_all(&mut *connection)
    .await?;
    for (other,) in others {
        drop_table(connection, &other).await?;
    }
    sqlx::query(r#"DELETE FROM "_millrace_positions" WHERE "sink" = ? AND "generation" <> ?"#)
        .bind(sink)
        .bind(generation)
        .execute(connection)
        .await?;
    Ok(())
}

/// Drops a table, if someone else has not done so already, and forgets it.
async fn drop_table(connection: &mut SqliteConnection, name: &str) -> Result<(), sqlx::Error> {
    let drop = format!("DROP TABLE IF EXISTS {}", quote(name));
    sqlx::raw_sql(AssertSqlSafe(drop)).execute(&mut *connection).await?;
    forget(connection, name).await
}

fn database(name: &str, error: sqlx::Error) -> ServeError {
    ServeError::Database { name: name.to_owned(), source: error.into() }
}
