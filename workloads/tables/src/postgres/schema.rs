//! The schema, and what the store keeps in it for itself.
//!
//! Whoever changes anything takes the schema's advisory lock first, so that any number of processes
//! may start at once.

use sqlx::AssertSqlSafe;
use sqlx::Connection as _;
use sqlx::PgConnection;

use super::names::Names;
use crate::sql::quote;

/// Version of what the store keeps for itself.
pub(super) const FORMAT: i32 = 1;

/// What the store keeps for itself. Positions change with every commit: their pages keep room for
/// it, so that the index need not change.
fn bookkeeping(names: &Names) -> String {
    let Names { format, positions, served, tables, columns, revisions, .. } = names;
    format!(
        r#"
CREATE TABLE {format} ("version" integer NOT NULL);
INSERT INTO {format} VALUES ({FORMAT});
CREATE SEQUENCE {revisions};
CREATE TABLE {positions} (
    "sink" text COLLATE "C" NOT NULL,
    "generation" integer NOT NULL,
    "stream" text COLLATE "C" NOT NULL,
    "partition" integer NOT NULL,
    "epoch" bigint NOT NULL,
    "next" bigint NOT NULL,
    "commit" uuid,
    PRIMARY KEY ("sink", "generation", "stream", "partition")
) WITH (fillfactor = 20);
CREATE TABLE {served} (
    "table" text COLLATE "C" NOT NULL PRIMARY KEY,
    "generation" integer NOT NULL
);
CREATE TABLE {tables} (
    "table" text COLLATE "C" NOT NULL,
    "generation" integer NOT NULL,
    "physical" text COLLATE "C" NOT NULL UNIQUE,
    "keep" text NOT NULL,
    "primary_key" text NOT NULL,
    "revision" bigint NOT NULL,
    PRIMARY KEY ("table", "generation")
);
CREATE TABLE {columns} (
    "table" text COLLATE "C" NOT NULL,
    "generation" integer NOT NULL,
    "column" text COLLATE "C" NOT NULL,
    "type" text NOT NULL,
    "nullable" boolean NOT NULL,
    "place" integer,
    PRIMARY KEY ("table", "generation", "column")
);
"#
    )
}

/// The version of what is kept; none if nothing is.
async fn format(connection: &mut PgConnection, names: &Names) -> Result<Option<i32>, sqlx::Error> {
    if !exists(connection, &names.schema, "_millrace_format").await? {
        return Ok(None);
    }
    let statement = format!(r#"SELECT "version" FROM {}"#, names.format);
    let (version,): (i32,) = sqlx::query_as(AssertSqlSafe(statement)).fetch_one(connection).await?;
    Ok(Some(version))
}

/// Makes the schema and what is kept in it, unless it is there. Returns its version.
pub(super) async fn prepare(
    connection: &mut PgConnection,
    names: &Names,
) -> Result<i32, sqlx::Error> {
    if let Some(version) = format(connection, names).await? {
        return Ok(version);
    }
    let mut transaction = connection.begin().await?;
    lock(&mut transaction, names).await?;
    if let Some(version) = format(&mut transaction, names).await? {
        return Ok(version);
    }
    let (found,): (bool,) =
        sqlx::query_as("SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1)")
            .bind(&names.schema)
            .fetch_one(&mut *transaction)
            .await?;
    if !found {
        let create = format!("CREATE SCHEMA {}", quote(&names.schema));
        sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut *transaction).await?;
    }
    sqlx::raw_sql(AssertSqlSafe(bookkeeping(names))).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(FORMAT)
}

/// Waits until no one else changes tables of the schema; until the transaction ends, no one does.
pub(super) async fn lock(connection: &mut PgConnection, names: &Names) -> Result<(), sqlx::Error> {
    take_lock(connection, &format!("millrace {}", names.schema)).await
}

/// Waits until no other pipeline changes rights in the whole database; until the transaction ends,
/// none does.
pub(super) async fn lock_database(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    // No schema's lock is called so.
    take_lock(connection, "millrace").await
}

async fn take_lock(connection: &mut PgConnection, name: &str) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))")
        .bind(name)
        .execute(connection)
        .await
        .map(|_| ())
}

/// The same if no one else changes tables at present; whether that is so.
pub(super) async fn try_lock(
    connection: &mut PgConnection,
    names: &Names,
) -> Result<bool, sqlx::Error> {
    let (is_ours,): (bool,) =
        sqlx::query_as("SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0))")
            .bind(format!("millrace {}", names.schema))
            .fetch_one(connection)
            .await?;
    Ok(is_ours)
}

/// From now on the transaction waits for locks only as long as others who wait behind it may.
pub(super) async fn wait_shortly(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::raw_sql("SET LOCAL lock_timeout = '2s'").execute(connection).await.map(|_| ())
}

/// Whether there is a table of this name.
pub(super) async fn exists(
    connection: &mut PgConnection,
    schema: &str,
    name: &str,
) -> Result<bool, sqlx::Error> {
    let (found,): (bool,) = sqlx::query_as(
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n
                        ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2)",
    )
    .bind(schema)
    .bind(name)
    .fetch_one(connection)
    .await?;
    Ok(found)
}
