//! Claims positions, and commits rows together with them.

use millrace_core::Offset;
use millrace_plan::model::ColumnType;
use sqlx::Arguments as _;
use sqlx::AssertSqlSafe;
use sqlx::PgConnection;
use sqlx::postgres::PgArguments;
use uuid::Uuid;

use super::names::Names;
use super::table::Table;
use super::table::move_position;
use super::values::Column;
use super::values::Scalar;
use super::values::Values;
use crate::Cell;
use crate::CommitError;
use crate::Row;
use crate::SinkClaim;
use crate::SinkPartition;

/// A commit: rows, and the position that moves with them.
pub(super) struct Commit<'a> {
    pub(super) claim: &'a SinkClaim,
    pub(super) rows: &'a [Row],
    pub(super) from: Offset,
    pub(super) next: Offset,
}

/// What became of a commit that did not fail.
pub(super) enum Outcome {
    /// The position has moved, and so many rows are new or changed.
    Written(u64),
    /// The table has another name in the database now.
    Elsewhere,
    /// It was not made.
    Refused(CommitError),
}

/// Raises the partition's epoch; returns it with the next offset to read. It waits for a commit
/// that is under way.
pub(super) async fn claim(
    connection: &mut PgConnection,
    names: &Names,
    partition: &SinkPartition,
) -> Result<(i64, Offset), sqlx::Error> {
    let statement = format!(
        r#"INSERT INTO {} AS old ("sink", "generation", "stream", "partition", "epoch", "next")
           VALUES ($1, $2, $3, $4, 1, 0)
           ON CONFLICT ("sink", "generation", "stream", "partition") DO UPDATE SET "epoch" = old."epoch" + 1
           RETURNING "epoch", "next""#,
        names.positions
    );
    sqlx::query_as(AssertSqlSafe(statement))
        .bind(&partition.sink)
        .bind(partition.generation)
        .bind(partition.stream.as_str())
        .bind(partition.partition)
        .fetch_one(connection)
        .await
}

/// Moves the position and writes the rows, all or nothing.
pub(super) async fn commit(
    connection: &mut PgConnection,
    names: &Names,
    table: &Table,
    commit: &Commit<'_>,
) -> Result<Outcome, sqlx::Error> {
    let id = &Cell::Uuid(Uuid::now_v7());
    let rows = table.distinct.rows(commit.rows);
    let arguments = arguments(table, commit, id, &rows).map_err(sqlx::Error::Encode)?;
    let statement = if rows.is_empty() { move_position(names) } else { table.upsert.to_string() };
    let written = sqlx::query_with(AssertSqlSafe(statement), arguments)
        .execute(&mut *connection)
        .await?
        .rows_affected();
    if rows.is_empty() && written == 1 {
        return Ok(Outcome::Written(0));
    }
    if written > 0 {
        return Ok(Outcome::Written(written));
    }
    why_nothing(connection, names, table, commit, id).await
}

/// What a statement binds.
fn arguments(
    table: &Table,
    commit: &Commit<'_>,
    id: &Cell,
    rows: &[&Row],
) -> Result<PgArguments, sqlx::error::BoxDynError> {
    let SinkClaim { partition, epoch } = commit.claim;
    let mut arguments = PgArguments::default();
    arguments.reserve(12 + table.plan.columns.len(), size(rows));
    arguments.add(commit.next)?;
    arguments.add(Scalar(id, ColumnType::Uuid))?;
    arguments.add(&partition.sink)?;
    arguments.add(partition.generation)?;
    arguments.add(partition.stream.as_str())?;
    arguments.add(partition.partition)?;
    arguments.add(epoch)?;
    arguments.add(commit.from)?;
    arguments.add(&table.plan.name)?;
    arguments.add(&table.physical)?;
    if !rows.is_empty() {
        let cells = table.plan.columns.iter().enumerate();
        let values = cells.map(|(index, column)| Values::Cells(index, column));
        for values in values.chain([Values::Orders, Values::Ids]) {
            arguments.add(Column { rows, values })?;
        }
    }
    Ok(arguments)
}

/// About the bytes that rows take.
fn size(rows: &[&Row]) -> usize {
    let cell = |cell: &Cell| match cell {
        Cell::Text(text) | Cell::Json(text) => 4 + text.len(),
        _ => 20,
    };
    512 + rows.iter().map(|row| 32 + row.cells.iter().map(cell).sum::<usize>()).sum::<usize>()
}

/// Finds out why a statement wrote no row: all were there already, or the position did not move.
async fn why_nothing(
    connection: &mut PgConnection,
    names: &Names,
    table: &Table,
    commit: &Commit<'_>,
    id: &Cell,
) -> Result<Outcome, sqlx::Error> {
    let partition = &commit.claim.partition;
    let statement = format!(
        r#"SELECT "epoch", "next", coalesce("commit" = $5, false),
                  EXISTS (SELECT FROM {} WHERE "table" = $6 AND "generation" = $2 AND "physical" = $7)
           FROM {} WHERE "sink" = $1 AND "generation" = $2 AND "stream" = $3 AND "partition" = $4"#,
        names.tables, names.positions
    );
    let found: Option<(i64, i64, bool, bool)> = sqlx::query_as(AssertSqlSafe(statement))
        .bind(&partition.sink)
        .bind(partition.generation)
        .bind(partition.stream.as_str())
        .bind(partition.partition)
        .bind(Scalar(id, ColumnType::Uuid))
        .bind(&table.plan.name)
        .bind(&table.physical)
        .fetch_optional(connection)
        .await?;
    let sink = partition.sink.clone();
    Ok(match found {
        Some((_, _, true, _)) => Outcome::Written(0),
        Some((epoch, ..)) if epoch != commit.claim.epoch => {
            Outcome::Refused(CommitError::Fenced { sink })
        }
        Some((_, found, ..)) if found != commit.from => {
            Outcome::Refused(CommitError::Position { sink, expected: commit.from, found })
        }
        Some((.., false)) => Outcome::Elsewhere,
        // Everything fits by now: it was held by someone who has gone.
        Some(_) => Outcome::Refused(CommitError::Unavailable(
            "the position changed hands for a moment".to_owned(),
        )),
        None => Outcome::Refused(CommitError::Fenced { sink }),
    })
}
