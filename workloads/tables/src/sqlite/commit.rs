//! Claims positions, and commits rows together with them.

use millrace_core::Offset;
use sqlx::AssertSqlSafe;
use sqlx::Connection;
use sqlx::Sqlite;
use sqlx::SqliteConnection;
use sqlx::SqlitePool;
use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;

use super::sql::Table;
use crate::Cell;
use crate::ClaimError;
use crate::CommitError;
use crate::Row;
use crate::SinkClaim;
use crate::SinkPartition;

/// Raises the partition's epoch.
pub(super) async fn claim(
    writer: &SqlitePool,
    partition: &SinkPartition,
) -> Result<(SinkClaim, Offset), ClaimError> {
    let (epoch, next): (i64, i64) = sqlx::query_as(
        r#"INSERT INTO "_millrace_positions" ("sink", "generation", "stream", "partition", "epoch", "next")
           VALUES (?, ?, ?, ?, 1, 0)
           ON CONFLICT DO UPDATE SET "epoch" = "epoch" + 1
           RETURNING "epoch", "next""#,
    )
    .bind(&partition.sink)
    .bind(partition.generation)
    .bind(partition.stream.as_str())
    .bind(partition.partition)
    .fetch_one(writer)
    .await
    .map_err(|error| ClaimError { sink: partition.sink.clone(), reason: error.to_string() })?;
    Ok((SinkClaim { partition: partition.clone(), epoch }, next))
}

/// Moves the position and writes the rows in one transaction.
pub(super) async fn commit(
    writer: &SqlitePool,
    claim: &SinkClaim,
    table: &Table,
    rows: &[Row],
    from: Offset,
    next: Offset,
) -> Result<u64, CommitError> {
    let mut connection = writer.acquire().await.map_err(|error| failure(&error))?;
    let result = commit_on(&mut connection, claim, table, rows, from, next).await;
    if let Err(CommitError::Unavailable(_)) = result {
        // After a failure of the disk the connection's state is unknown; the next commit opens
        // the file anew.
        connection.close_on_drop();
    }
    result
}

async fn commit_on(
    connection: &mut SqliteConnection,
    claim: &SinkClaim,
    table: &Table,
    rows: &[Row],
    from: Offset,
    next: Offset,
) -> Result<u64, CommitError> {
    let failed = |error: sqlx::Error| failure(&error);
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
    if !move_position(&mut transaction, claim, from, next).await.map_err(failed)? {
        let error = why_not_moved(&mut transaction, claim, from).await.map_err(failed)?;
        transaction.rollback().await.map_err(failed)?;
        return Err(error);
    }
    let mut written = 0;
    for (statement, chunk) in table.chunks(rows) {
        let mut query = sqlx::query(AssertSqlSafe(statement));
        for row in chunk {
            for cell in &row.cells {
                query = bind(query, cell);
            }
            query = query.bind(row.order).bind(row.event_id.as_bytes().as_slice());
        }
        written += query.execute(&mut *transaction).await.map_err(failed)?.rows_affected();
    }
    transaction.commit().await.map_err(failed)?;
    Ok(written)
}

/// Moves the position if the claim holds and the position is `from`.
async fn move_position(
    connection: &mut SqliteConnection,
    claim: &SinkClaim,
    from: Offset,
    next: Offset,
) -> Result<bool, sqlx::Error> {
    let partition = &claim.partition;
    let moved = sqlx::query(
        r#"UPDATE "_millrace_positions" SET "next" = ?
           WHERE "sink" = ? AND "generation" = ? AND "stream" = ? AND "partition" = ?
             AND "epoch" = ? AND "next" = ?"#,
    )
    .bind(next)
    .bind(&partition.sink)
    .bind(partition.generation)
    .bind(partition.stream.as_str())
    .bind(partition.partition)
    .bind(claim.epoch)
    .bind(from)
    .execute(connection)
    .await?;
    Ok(moved.rows_affected() == 1)
}

async fn why_not_moved(
    connection: &mut SqliteConnection,
    claim: &SinkClaim,
    from: Offset,
) -> Result<CommitError, sqlx::Error> {
    let partition = &claim.partition;
    let sink = partition.sink.clone();
    let found: Option<(i64, i64)> = sqlx::query_as(
        r#"SELECT "epoch", "next" FROM "_millrace_positions"
           WHERE "sink" = ? AND "generation" = ? AND "stream" = ? AND "partition" = ?"#,
    )
    .bind(&partition.sink)
    .bind(partition.generation)
    .bind(partition.stream.as_str())
    .bind(partition.partition)
    .fetch_optional(connection)
    .await?;
    Ok(match found {
        Some((epoch, found)) if epoch == claim.epoch => {
            CommitError::Position { sink, expected: from, found }
        }
        _ => CommitError::Fenced { sink },
    })
}

/// Binds a cell in the database's form.
pub(super) fn bind<'q>(
    query: Query<'q, Sqlite, SqliteArguments>,
    cell: &Cell,
) -> Query<'q, Sqlite, SqliteArguments> {
    match cell {
        Cell::Null => query.bind(None::<i64>),
        Cell::Text(text) | Cell::Json(text) => query.bind(text.clone()),
        Cell::Integer(number) | Cell::Timestamp(number) => query.bind(*number),
        Cell::Double(number) => query.bind(*number),
        Cell::Boolean(truth) => query.bind(*truth),
        Cell::Uuid(uuid) => query.bind(uuid.to_string()),
    }
}

/// Tells failures that a row brings about from those that pass. SQLite's primary result codes
/// are the low byte: 18 too big, 19 constraint, 20 mismatch.
fn failure(error: &sqlx::Error) -> CommitError {
    let code = error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .and_then(|code| code.parse::<i32>().ok())
        .map(|code| code & 0xff);
    match code {
        Some(18..=20) => CommitError::Refused(error.to_string()),
        _ => CommitError::Unavailable(error.to_string()),
    }
}
