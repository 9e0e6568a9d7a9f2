//! Opens the file: connections, durability, and the tables that the store keeps for itself.

use std::path::Path;
use std::time::Duration;

use sqlx::SqlitePool;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::sqlite::SqliteJournalMode;
use sqlx::sqlite::SqlitePoolOptions;
use sqlx::sqlite::SqliteSynchronous;

use crate::OpenStoreError;

/// Version of the file's format, in SQLite's `user_version`.
const FORMAT: i64 = 2;

/// Connections for look-ups. More of them wait for one another.
const READERS: u32 = 4;

/// How long a connection waits for another program that holds the file locked.
const BUSY: Duration = Duration::from_secs(2);

/// How long a call waits for a connection.
const ACQUIRE: Duration = Duration::from_secs(10);

/// Format 1 had no generation beside the served one, and served 0.
const BOOKKEEPING: &str = r#"
CREATE TABLE IF NOT EXISTS "_millrace_positions" (
    "sink" TEXT NOT NULL,
    "generation" INTEGER NOT NULL,
    "stream" TEXT NOT NULL,
    "partition" INTEGER NOT NULL,
    "epoch" INTEGER NOT NULL,
    "next" INTEGER NOT NULL,
    PRIMARY KEY ("sink", "generation", "stream", "partition")
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS "_millrace_tables" (
    "table" TEXT NOT NULL PRIMARY KEY,
    "keep" TEXT NOT NULL,
    "primary_key" TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS "_millrace_columns" (
    "table" TEXT NOT NULL,
    "column" TEXT NOT NULL,
    "type" TEXT NOT NULL,
    "nullable" INTEGER NOT NULL,
    PRIMARY KEY ("table", "column")
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS "_millrace_served" (
    "table" TEXT NOT NULL PRIMARY KEY,
    "generation" INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "_millrace_served" ("table", "generation")
    SELECT "table", 0 FROM "_millrace_tables" WHERE instr("table", '@') = 0;
"#;

/// Opens or creates the file, and returns the writer and the readers.
pub(super) async fn open(file: &Path) -> Result<(SqlitePool, SqlitePool), OpenStoreError> {
    let failed =
        |source: sqlx::Error| OpenStoreError::Open { file: file.to_owned(), source: source.into() };
    let options = SqliteConnectOptions::new()
        .filename(file)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("journal_size_limit", "67108864")
        .busy_timeout(BUSY);
    let writer = SqlitePoolOptions::new()
        .max_connections(1)
        .acquire_timeout(ACQUIRE)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_with(options.clone().create_if_missing(true))
        .await
        .map_err(failed)?;

    let (found,): (i64,) =
        sqlx::query_as("PRAGMA user_version").fetch_one(&writer).await.map_err(failed)?;
    if found > FORMAT {
        return Err(OpenStoreError::Version { file: file.to_owned(), found, supported: FORMAT });
    }
    if found < FORMAT {
        let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
        sqlx::raw_sql(BOOKKEEPING).execute(&mut *transaction).await.map_err(failed)?;
        sqlx::raw_sql("PRAGMA user_version = 2")
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
    }

    let readers = SqlitePoolOptions::new()
        .max_connections(READERS)
        .acquire_timeout(ACQUIRE)
        .idle_timeout(Duration::from_mins(1))
        .connect_lazy_with(options.pragma("query_only", "true"));
    Ok((writer, readers))
}
