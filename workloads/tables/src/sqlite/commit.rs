//! Claims positions, and commits rows together with them.

use millrace_core::Offset;
use sqlx::AssertSqlSafe;
use sqlx::Connection as _;
use sqlx::Sqlite;
use sqlx::SqliteConnection;
use sqlx::Transaction;
use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;

use super::sql::Table;
use crate::Cell;
use crate::CommitError;
use crate::Row;
use crate::SinkClaim;
use crate::SinkPartition;

/// A failure that takes the whole transaction with it.
#[derive(Debug)]
pub(super) struct Failure {
    /// The database's reason, for a person.
    pub(super) reason: String,
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self { reason: error.to_string() }
    }
}

/// Raises the partition's epoch; returns it with the next offset to read.
pub(super) async fn claim(
    connection: &mut SqliteConnection,
    partition: &SinkPartition,
) -> Result<(i64, Offset), sqlx::Error> {
    sqlx::query_as(
        r#"INSERT INTO "_millrace_positions" ("sink", "generation", "stream", "partition", "epoch", "next")
           VALUES (?, ?, ?, ?, 1, 0)
           ON CONFLICT DO UPDATE SET "epoch" = "epoch" + 1
           RETURNING "epoch", "next""#,
    )
    .bind(&partition.sink)
    .bind(partition.generation)
    .bind(partition.stream.as_str())
    .bind(partition.partition)
    .fetch_one(connection)
    .await
}

/// Moves the position and writes the rows, all or nothing, within a transaction that goes on
/// afterwards if what failed concerns this commit alone.
pub(super) async fn commit(
    transaction: &mut Transaction<'_, Sqlite>,
    claim: &SinkClaim,
    table: &Table,
    rows: Vec<Row>,
    from: Offset,
    next: Offset,
) -> Result<Result<u64, CommitError>, Failure> {
    let mut savepoint = transaction.begin().await?;
    let written = write(&mut savepoint, claim, table, rows, from, next).await;
    let refused = match written {
        Ok(Ok(written)) => {
            savepoint.commit().await?;
            return Ok(Ok(written));
        }
        Ok(Err(refused)) => refused,
        Err(error) => of_this_commit(&error).ok_or(error)?,
    };
    savepoint.rollback().await?;
    Ok(Err(refused))
}

async fn write(
    connection: &mut SqliteConnection,
    claim: &SinkClaim,
    table: &Table,
    rows: Vec<Row>,
    from: Offset,
    next: Offset,
) -> Result<Result<u64, CommitError>, sqlx::Error> {
    if !move_position(connection, claim, from, next).await? {
        return Ok(Err(why_not_moved(connection, claim, from).await?));
    }
    let mut written = 0;
    let chunks = table.chunks(rows.len());
    let mut rows = rows.into_iter();
    for (statement, size) in chunks {
        let mut query = sqlx::query(AssertSqlSafe(statement));
        for row in rows.by_ref().take(size) {
            for cell in row.cells {
                query = bind(query, cell);
            }
            query = query.bind(row.order).bind(row.event_id.as_bytes().to_vec());
        }
        written += query.execute(&mut *connection).await?.rows_affected();
    }
    Ok(Ok(written))
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
pub(super) fn bind(
    query: Query<'_, Sqlite, SqliteArguments>,
    cell: Cell,
) -> Query<'_, Sqlite, SqliteArguments> {
    match cell {
        Cell::Null => query.bind(None::<i64>),
        Cell::Text(text) | Cell::Json(text) => query.bind(text),
        Cell::Integer(number) | Cell::Timestamp(number) => query.bind(number),
        Cell::Double(number) => query.bind(number),
        Cell::Boolean(truth) => query.bind(truth),
        Cell::Uuid(uuid) => query.bind(uuid.to_string()),
    }
}

/// What a failure means that leaves the transaction as it is; none where the database itself has
/// failed. SQLite's primary result codes are the low byte: 1 a statement that does not fit the
/// tables as they are, 18 too big, 19 constraint, 20 mismatch.
fn of_this_commit(error: &sqlx::Error) -> Option<CommitError> {
    let code = error.as_database_error()?.code()?.parse::<i32>().ok()?;
    match code & 0xff {
        1 => Some(CommitError::Unavailable(error.to_string())),
        18..=20 => Some(CommitError::Refused(error.to_string())),
        _ => None,
    }
}
