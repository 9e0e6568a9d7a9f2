//! Ad-hoc queries of a person: SQL that reads, beside a pipeline that may be running.
//!
//! The file is opened for reading alone, and SQLite itself refuses whatever would write. What a
//! statement is, is looked at before, so that a refusal can say what to do instead.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;
use std::time::Instant;

use futures::TryStreamExt as _;
use jiff::Timestamp;
use serde_json::Value;
use sqlx::AssertSqlSafe;
use sqlx::Column as _;
use sqlx::ColumnOrigin;
use sqlx::ConnectOptions as _;
use sqlx::Connection as _;
use sqlx::Row as _;
use sqlx::SqliteConnection;
use sqlx::TypeInfo as _;
use sqlx::ValueRef as _;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::sqlite::SqliteRow;

use super::statement::RefusedStatement;
use super::statement::single_query;
use crate::OpenStoreError;
use crate::sql::quote;

/// How long a query waits for another program that holds the file locked.
const BUSY: Duration = Duration::from_secs(2);

/// Steps of SQLite's machine between two looks at the clock.
const STEPS: i32 = 10_000;

/// Reads a file of tables.
pub struct SqliteReader {
    connection: SqliteConnection,
    /// Types of the columns by table and column.
    types: HashMap<(String, String), String>,
}

/// A table as a person sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableDescription {
    /// Its name.
    pub name: String,
    /// Names and types of its columns.
    pub columns: Vec<(String, String)>,
    /// Number of its rows.
    pub rows: i64,
}

/// What a query found.
#[derive(Debug, Clone, PartialEq)]
pub struct QueryAnswer {
    /// Names of the columns.
    pub columns: Vec<String>,
    /// The rows, a value per column.
    pub rows: Vec<Vec<Value>>,
    /// Whether there were more rows than wanted.
    pub is_cut: bool,
}

/// A query that gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// It is not one statement that reads.
    #[error(transparent)]
    Refused(#[from] RefusedStatement),
    /// It would write.
    #[error("the tables can be read here and not written: the pipeline alone writes them")]
    Writes,
    /// It took too long.
    #[error(
        "the query was stopped after {0:?}: give it a condition on the primary key, a limit, or more time"
    )]
    Timeout(Duration),
    /// The database refuses it.
    #[error("the database says: {0}")]
    Database(String),
}

impl SqliteReader {
    /// Opens a file of tables for reading alone.
    ///
    /// # Errors
    /// When the file is not there or cannot be read.
    pub async fn open(file: &Path) -> Result<Self, OpenStoreError> {
        let failed = |source: sqlx::Error| OpenStoreError::Open {
            file: file.to_owned(),
            source: source.into(),
        };
        let mut connection = SqliteConnectOptions::new()
            .filename(file)
            .read_only(true)
            .busy_timeout(BUSY)
            .pragma("query_only", "true")
            .pragma("trusted_schema", "false")
            .disable_statement_logging()
            .connect()
            .await
            .map_err(failed)?;
        let columns: Vec<(String, String, String)> =
            sqlx::query_as(r#"SELECT "table", "column", "type" FROM "_millrace_columns""#)
                .fetch_all(&mut connection)
                .await
                .map_err(failed)?;
        let types = columns.into_iter().map(|(table, column, kind)| ((table, column), kind));
        Ok(Self { connection, types: types.collect() })
    }

    /// The tables that are served, by name.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn tables(&mut self) -> Result<Vec<TableDescription>, QueryError> {
        let names: Vec<(String,)> = sqlx::query_as(
            r#"SELECT "table" FROM "_millrace_tables" WHERE instr("table", '@') = 0 ORDER BY 1"#,
        )
        .fetch_all(&mut self.connection)
        .await
        .map_err(|error| reason(&error))?;
        let mut tables = Vec::with_capacity(names.len());
        for (name,) in names {
            let columns = sqlx::query_as("SELECT name FROM pragma_table_info(?) ORDER BY cid")
                .bind(&name)
                .fetch_all(&mut self.connection)
                .await
                .map_err(|error| reason(&error))?
                .into_iter()
                .filter_map(|(column,): (String,)| {
                    let kind = self.types.get(&(name.clone(), column.clone()))?.clone();
                    Some((column, kind))
                })
                .collect();
            let count = format!("SELECT count(*) FROM {}", quote(&name));
            let (rows,): (i64,) = sqlx::query_as(AssertSqlSafe(count))
                .fetch_one(&mut self.connection)
                .await
                .map_err(|error| reason(&error))?;
            tables.push(TableDescription { name, columns, rows });
        }
        Ok(tables)
    }

    /// Runs one statement that reads, and returns at most so many rows.
    ///
    /// Values of declared columns are shown as the API shows them; bytes in hexadecimal.
    ///
    /// # Errors
    /// When the statement is refused, is wrong, or takes longer than `timeout`.
    pub async fn query(
        &mut self,
        statement: &str,
        limit: usize,
        timeout: Duration,
    ) -> Result<QueryAnswer, QueryError> {
        let statement = single_query(statement)?;
        let end = Instant::now() + timeout;
        self.connection
            .lock_handle()
            .await
            .map_err(|error| reason(&error))?
            .set_progress_handler(STEPS, move || Instant::now() < end);
        let answer = self.run(statement, limit).await;
        if let Ok(mut handle) = self.connection.lock_handle().await {
            handle.remove_progress_handler();
        }
        match answer {
            Err(_) if Instant::now() >= end => Err(QueryError::Timeout(timeout)),
            answer => answer.map_err(|error| reason(&error)),
        }
    }

    async fn run(&mut self, statement: &str, limit: usize) -> Result<QueryAnswer, sqlx::Error> {
        let mut rows: Vec<SqliteRow> = Vec::new();
        let mut found = sqlx::query(AssertSqlSafe(statement.to_owned()))
            .persistent(false)
            .fetch(&mut self.connection);
        // The database is not asked for more rows than are wanted, and one.
        while rows.len() <= limit
            && let Some(row) = found.try_next().await?
        {
            rows.push(row);
        }
        drop(found);
        let is_cut = rows.len() > limit;
        rows.truncate(limit);
        let columns = match rows.first() {
            Some(row) => row.columns().iter().map(|column| column.name().to_owned()).collect(),
            None => Vec::new(),
        };
        let rows = rows.iter().map(|row| self.row(row)).collect::<Result<_, _>>()?;
        Ok(QueryAnswer { columns, rows, is_cut })
    }

    fn row(&self, row: &SqliteRow) -> Result<Vec<Value>, sqlx::Error> {
        row.columns()
            .iter()
            .map(|column| {
                let value = plain(row, column.ordinal())?;
                let ColumnOrigin::Table(origin) = column.origin() else { return Ok(value) };
                // The table may be named together with its schema.
                let table = origin.table.rsplit('.').next().unwrap_or_default().to_owned();
                let kind = self.types.get(&(table, origin.name.to_string()));
                Ok(kind.map_or(value.clone(), |kind| typed(value, kind)))
            })
            .collect()
    }

    /// Closes the file.
    pub async fn close(self) {
        // There is nothing that could be lost.
        let _ = self.connection.close().await;
    }
}

/// A value as the database has it.
fn plain(row: &SqliteRow, index: usize) -> Result<Value, sqlx::Error> {
    let raw = row.try_get_raw(index)?;
    if raw.is_null() {
        return Ok(Value::Null);
    }
    let kind = raw.type_info().name().to_owned();
    Ok(match &*kind {
        "INTEGER" | "BOOLEAN" => row.try_get_unchecked::<i64, _>(index)?.into(),
        "REAL" => row.try_get_unchecked::<f64, _>(index)?.into(),
        "BLOB" => {
            let bytes = row.try_get_unchecked::<Vec<u8>, _>(index)?;
            let mut text = String::with_capacity(2 * bytes.len());
            for byte in bytes {
                let _ = write!(text, "{byte:02x}");
            }
            text.into()
        }
        _ => row.try_get_unchecked::<String, _>(index)?.into(),
    })
}

/// A value as its column's type shows it.
fn typed(value: Value, kind: &str) -> Value {
    match (kind, &value) {
        ("boolean", Value::Number(number)) => Value::Bool(number.as_i64() != Some(0)),
        ("timestamp", Value::Number(number)) => number
            .as_i64()
            .and_then(|micros| Timestamp::from_microsecond(micros).ok())
            .map_or(value.clone(), |time| time.to_string().into()),
        ("json", Value::String(text)) => serde_json::from_str(text).unwrap_or(value),
        _ => value,
    }
}

fn reason(error: &sqlx::Error) -> QueryError {
    match error {
        sqlx::Error::Database(error) if error.message().contains("readonly") => QueryError::Writes,
        sqlx::Error::Database(error) => QueryError::Database(error.message().to_owned()),
        error => QueryError::Database(error.to_string()),
    }
}
