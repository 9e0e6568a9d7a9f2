//! Which generation of a table is served, and the switch from one to another.
//!
//! The served generation has the table's own name in the database. A switch drops the old table
//! and gives its name to the new one, in one transaction for any number of tables. Tables are
//! locked before positions, as commits do it, so that neither waits for the other in a circle.

use millrace_core::Offset;
use millrace_core::Partition;
use millrace_core::StreamName;
use sqlx::AssertSqlSafe;
use sqlx::Connection as _;
use sqlx::PgConnection;

use super::catalogue;
use super::names::Names;
use super::schema;
use crate::ServeError;
use crate::SinkTable;
use crate::sql::before;
use crate::sql::quote;
use crate::sql::read_to;

/// What was refused, if the database did not fail.
type Done = Result<Result<(), ServeError>, sqlx::Error>;

/// The generation that is served.
pub(super) async fn served(
    connection: &mut PgConnection,
    names: &Names,
    table: &str,
) -> Result<Option<i32>, sqlx::Error> {
    let statement = format!(r#"SELECT "generation" FROM {} WHERE "table" = $1"#, names.served);
    let found: Option<(i32,)> =
        sqlx::query_as(AssertSqlSafe(statement)).bind(table).fetch_optional(connection).await?;
    Ok(found.map(|(generation,)| generation))
}

/// Serves these generations and removes all others of their tables.
pub(super) async fn serve(
    connection: &mut PgConnection,
    names: &Names,
    tables: &[SinkTable],
) -> Done {
    let mut transaction = connection.begin().await?;
    schema::lock(&mut transaction, names).await?;
    for table in in_order(tables) {
        let SinkTable { table: name, generation, .. } = table;
        let known = catalogue::physical(&mut transaction, names, name, *generation).await?;
        let Some(physical) = known else {
            let table = name.clone();
            return Ok(Err(ServeError::Unknown { table, generation: *generation }));
        };
        switch(&mut transaction, names, table, &physical).await?;
    }
    transaction.commit().await?;
    Ok(Ok(()))
}

/// Removes generations that are not served.
pub(super) async fn discard(
    connection: &mut PgConnection,
    names: &Names,
    tables: &[SinkTable],
) -> Done {
    let mut transaction = connection.begin().await?;
    schema::lock(&mut transaction, names).await?;
    for SinkTable { sink, table, generation } in in_order(tables) {
        if served(&mut transaction, names, table).await? == Some(*generation) {
            let table = table.clone();
            return Ok(Err(ServeError::Served { table, generation: *generation }));
        }
        let physical = catalogue::physical(&mut transaction, names, table, *generation).await?;
        if let Some(physical) = physical {
            drop_table(&mut transaction, names, &physical).await?;
        }
        catalogue::forget(&mut transaction, names, table, *generation).await?;
        remove(
            &mut transaction,
            &format!(r#"{} WHERE "sink" = $1 AND "generation" = $2"#, names.positions),
            sink,
            *generation,
        )
        .await?;
    }
    transaction.commit().await?;
    Ok(Ok(()))
}

/// How far a generation of a sink has come.
pub(super) async fn positions(
    connection: &mut PgConnection,
    names: &Names,
    sink: &str,
    generation: i32,
) -> Result<Vec<(StreamName, Partition, Offset)>, sqlx::Error> {
    let statement = format!(
        r#"SELECT "stream", "partition", "next" FROM {} WHERE "sink" = $1 AND "generation" = $2"#,
        names.positions
    );
    let rows: Vec<(String, i32, i64)> = sqlx::query_as(AssertSqlSafe(statement))
        .bind(sink)
        .bind(generation)
        .fetch_all(connection)
        .await?;
    rows.into_iter()
        .map(|(stream, partition, next)| {
            let stream = stream.parse().map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
            Ok((stream, partition, next))
        })
        .collect()
}

/// Moves all positions to the beginning, and rows that are in the order of their arrival before it.
pub(super) async fn begin_anew(
    connection: &mut PgConnection,
    names: &Names,
    arrived: &[SinkTable],
) -> Result<bool, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    schema::lock(&mut transaction, names).await?;
    let positions = &names.positions;
    // The positions first, as commits do it: none is under way then.
    let lock = format!(r#"SELECT "sink", "next" FROM {positions} FOR UPDATE"#);
    let found: Vec<(String, i64)> =
        sqlx::query_as(AssertSqlSafe(lock)).fetch_all(&mut *transaction).await?;
    if found.iter().all(|(_, next)| *next == 0) {
        return Ok(false);
    }
    for table in in_order(arrived) {
        let most = read_to(&found, &table.sink);
        let physical =
            catalogue::physical(&mut transaction, names, &table.table, table.generation).await?;
        let Some(physical) = physical.filter(|_| most > 0) else { continue };
        let before = before(&names.of(&physical), "$1");
        sqlx::query(AssertSqlSafe(before)).bind(most).execute(&mut *transaction).await?;
    }
    let anew = format!(
        r#"UPDATE {positions} SET "epoch" = "epoch" + 1, "next" = 0, "commit" = NULL WHERE "next" > 0"#
    );
    sqlx::query(AssertSqlSafe(anew)).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(true)
}

/// Tables in the order in which everyone locks them.
fn in_order(tables: &[SinkTable]) -> Vec<&SinkTable> {
    let mut tables: Vec<&SinkTable> = tables.iter().collect();
    tables.sort_by_key(|table| (&table.table, table.generation));
    tables
}

async fn switch(
    connection: &mut PgConnection,
    names: &Names,
    table: &SinkTable,
    physical: &str,
) -> Result<(), sqlx::Error> {
    let SinkTable { sink, table: name, generation } = table;
    for other in others(connection, names, name, *generation).await? {
        drop_table(connection, names, &other).await?;
    }
    for of in [&names.tables, &names.columns] {
        let others = format!(r#"{of} WHERE "table" = $1 AND "generation" <> $2"#);
        remove(connection, &others, name, *generation).await?;
    }
    if physical != name {
        let rename = format!("ALTER TABLE {} RENAME TO {}", names.of(physical), quote(name));
        sqlx::raw_sql(AssertSqlSafe(rename)).execute(&mut *connection).await?;
        let renamed = format!(
            r#"UPDATE {} SET "physical" = "table", "revision" = nextval('{}') WHERE "table" = $1"#,
            names.tables,
            names.revisions.replace('\'', "''")
        );
        sqlx::query(AssertSqlSafe(renamed)).bind(name).execute(&mut *connection).await?;
        let serve = format!(r#"UPDATE {} SET "generation" = $2 WHERE "table" = $1"#, names.served);
        sqlx::query(AssertSqlSafe(serve))
            .bind(name)
            .bind(generation)
            .execute(&mut *connection)
            .await?;
    }
    let others = format!(r#"{} WHERE "sink" = $1 AND "generation" <> $2"#, names.positions);
    remove(connection, &others, sink, *generation).await
}

/// The names in the database of a table's other generations.
async fn others(
    connection: &mut PgConnection,
    names: &Names,
    table: &str,
    generation: i32,
) -> Result<Vec<String>, sqlx::Error> {
    let statement = format!(
        r#"SELECT "physical" FROM {} WHERE "table" = $1 AND "generation" <> $2 ORDER BY 1"#,
        names.tables
    );
    let found: Vec<(String,)> = sqlx::query_as(AssertSqlSafe(statement))
        .bind(table)
        .bind(generation)
        .fetch_all(connection)
        .await?;
    Ok(found.into_iter().map(|(physical,)| physical).collect())
}

/// Drops a table, if someone else has not done so already.
async fn drop_table(
    connection: &mut PgConnection,
    names: &Names,
    physical: &str,
) -> Result<(), sqlx::Error> {
    let drop = format!("DROP TABLE IF EXISTS {}", names.of(physical));
    sqlx::raw_sql(AssertSqlSafe(drop)).execute(connection).await.map(|_| ())
}

/// Deletes what a condition on a name and a generation finds.
async fn remove(
    connection: &mut PgConnection,
    what: &str,
    name: &str,
    generation: i32,
) -> Result<(), sqlx::Error> {
    sqlx::query(AssertSqlSafe(format!("DELETE FROM {what}")))
        .bind(name)
        .bind(generation)
        .execute(connection)
        .await
        .map(|_| ())
}
