//! Creates and extends tables, and keeps what they look like.

use millrace_plan::model::ColumnPlan;
use millrace_plan::model::ColumnSource;
use millrace_plan::model::Keep;
use millrace_plan::model::TablePlan;
use sqlx::AssertSqlSafe;
use sqlx::SqliteConnection;
use sqlx::SqlitePool;
use tracing::warn;

use super::clean;
use super::serving;
use super::sql;
use crate::EnsureTableError;
use crate::TableSpec;
use crate::catalogue::KnownColumns;
use crate::catalogue::compare;
use crate::catalogue::keep_of;
use crate::catalogue::keep_text;
use crate::catalogue::key_of;
use crate::catalogue::kind_of;
use crate::catalogue::kind_text;
use crate::sql::quote;

/// Creates the table, or extends it to what is declared now. Returns its name in the database.
pub(super) async fn ensure(
    writer: &SqlitePool,
    spec: &TableSpec,
) -> Result<String, EnsureTableError> {
    let failed = |source: sqlx::Error| EnsureTableError::Create {
        table: spec.plan.name.clone(),
        source: source.into(),
    };
    let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
    let name = physical_name(&mut transaction, spec).await.map_err(failed)?;
    let primary_key = spec.plan.primary_key.join(",");
    let mut existing: Option<(String, String)> =
        sqlx::query_as(r#"SELECT "keep", "primary_key" FROM "_millrace_tables" WHERE "table" = ?"#)
            .bind(&name)
            .fetch_optional(&mut *transaction)
            .await
            .map_err(failed)?;
    if existing.is_some() && !exists(&mut transaction, &name).await.map_err(failed)? {
        warn!(
            message = "A table was dropped by someone else and is made anew, empty; \
                       `millrace rebuild` fills it from the log.",
            table = name
        );
        serving::forget(&mut transaction, &name).await.map_err(failed)?;
        existing = None;
    }

    let new_columns = match existing {
        None => {
            create(&mut transaction, spec, &name, &primary_key).await.map_err(failed)?;
            spec.plan.columns.iter().collect()
        }
        Some((keep, key)) => {
            let known = columns(&mut transaction, &name).await.map_err(failed)?;
            let new = compare(&spec.plan, &keep, &key, &known).map_err(|reason| {
                EnsureTableError::Incompatible { table: spec.plan.name.clone(), reason }
            })?;
            for column in &new {
                let statement = format!(
                    "ALTER TABLE {} ADD COLUMN {} {}",
                    quote(&name),
                    quote(&column.name),
                    sql::sql_type(column.kind)
                );
                sqlx::raw_sql(AssertSqlSafe(statement))
                    .execute(&mut *transaction)
                    .await
                    .map_err(failed)?;
            }
            new
        }
    };
    if let Some(index) = clean::create_index(spec, &name) {
        sqlx::raw_sql(AssertSqlSafe(index)).execute(&mut *transaction).await.map_err(failed)?;
    }
    remember(&mut transaction, spec, &name, &new_columns).await.map_err(failed)?;
    transaction.commit().await.map_err(failed)?;
    Ok(name)
}

/// What does not fit, if a generation is there and cannot become what is declared.
pub(super) async fn check(
    pool: &SqlitePool,
    spec: &TableSpec,
    served: Option<i32>,
) -> Result<Result<(), String>, sqlx::Error> {
    let name = if served == Some(spec.generation) {
        spec.plan.name.clone()
    } else {
        sql::waiting_name(&spec.plan.name, spec.generation)
    };
    let mut connection = pool.acquire().await?;
    let existing: Option<(String, String)> =
        sqlx::query_as(r#"SELECT "keep", "primary_key" FROM "_millrace_tables" WHERE "table" = ?"#)
            .bind(&name)
            .fetch_optional(&mut *connection)
            .await?;
    let Some((keep, key)) = existing else { return Ok(Ok(())) };
    let known = columns(&mut connection, &name).await?;
    Ok(compare(&spec.plan, &keep, &key, &known).map(|_| ()))
}

/// The name that a generation has in the database. The first generation of a table is served from
/// now on.
async fn physical_name(
    connection: &mut SqliteConnection,
    spec: &TableSpec,
) -> Result<String, sqlx::Error> {
    let (served,): (i32,) = sqlx::query_as(
        r#"INSERT INTO "_millrace_served" ("table", "generation") VALUES (?, ?)
           ON CONFLICT DO UPDATE SET "generation" = "generation" RETURNING "generation""#,
    )
    .bind(&spec.plan.name)
    .bind(spec.generation)
    .fetch_one(connection)
    .await?;
    Ok(if served == spec.generation {
        spec.plan.name.clone()
    } else {
        sql::waiting_name(&spec.plan.name, spec.generation)
    })
}

async fn exists(connection: &mut SqliteConnection, name: &str) -> Result<bool, sqlx::Error> {
    let found: Option<(i64,)> =
        sqlx::query_as("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?")
            .bind(name)
            .fetch_optional(connection)
            .await?;
    Ok(found.is_some())
}

/// The table that is served under a name, as it is in the database: its plan may be gone.
pub(super) async fn served_plan(
    pool: &SqlitePool,
    name: &str,
) -> Result<Option<TablePlan>, sqlx::Error> {
    let found: Option<(String, String)> =
        sqlx::query_as(r#"SELECT "keep", "primary_key" FROM "_millrace_tables" WHERE "table" = ?"#)
            .bind(name)
            .fetch_optional(pool)
            .await?;
    let Some((keep, primary_key)) = found else { return Ok(None) };
    let columns: Vec<(String, String, bool)> = sqlx::query_as(
        r#"SELECT c."column", c."type", c."nullable"
           FROM pragma_table_info(?1) AS i JOIN "_millrace_columns" AS c ON c."column" = i.name
           WHERE c."table" = ?1 ORDER BY i.cid"#,
    )
    .bind(name)
    .fetch_all(pool)
    .await?;
    let keep = keep_of(&keep).unwrap_or(Keep::All);
    let columns = columns.into_iter().filter_map(|(name, kind, nullable)| {
        let kind = kind_of(&kind)?;
        // Where its values came from does not matter for look-ups.
        Some(ColumnPlan { name, kind, source: ColumnSource::EventId, nullable })
    });
    Ok(Some(TablePlan {
        name: name.to_owned(),
        columns: columns.collect(),
        primary_key: key_of(&primary_key),
        keep,
        partitions: None,
    }))
}

async fn create(
    connection: &mut SqliteConnection,
    spec: &TableSpec,
    name: &str,
    primary_key: &str,
) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(AssertSqlSafe(sql::create(&spec.plan, name))).execute(&mut *connection).await?;
    if spec.plan.primary_key.is_empty() {
        let index = sql::create_time_index(&spec.plan.name, spec.generation, name);
        sqlx::raw_sql(AssertSqlSafe(index)).execute(&mut *connection).await?;
    }
    sqlx::query(
        r#"INSERT INTO "_millrace_tables" ("table", "keep", "primary_key") VALUES (?, ?, ?)"#,
    )
    .bind(name)
    .bind(keep_text(spec.plan.keep))
    .bind(primary_key)
    .execute(connection)
    .await?;
    Ok(())
}

/// What is known of an existing table's columns: type and nullability by name.
async fn columns(
    connection: &mut SqliteConnection,
    name: &str,
) -> Result<KnownColumns, sqlx::Error> {
    let rows: Vec<(String, String, bool)> = sqlx::query_as(
        r#"SELECT "column", "type", "nullable" FROM "_millrace_columns" WHERE "table" = ?"#,
    )
    .bind(name)
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|(name, kind, nullable)| (name, (kind, nullable))).collect())
}

/// Remembers new columns, and which ones may be empty from now on.
async fn remember(
    connection: &mut SqliteConnection,
    spec: &TableSpec,
    name: &str,
    new: &[&ColumnPlan],
) -> Result<(), sqlx::Error> {
    for column in new {
        sqlx::query(
            r#"INSERT INTO "_millrace_columns" ("table", "column", "type", "nullable") VALUES (?, ?, ?, ?)"#,
        )
        .bind(name)
        .bind(&column.name)
        .bind(kind_text(column.kind))
        .bind(column.nullable)
        .execute(&mut *connection)
        .await?;
    }
    let required: Vec<&str> = spec
        .plan
        .columns
        .iter()
        .filter(|column| !column.nullable)
        .map(|column| column.name.as_str())
        .collect();
    sqlx::query(
        r#"UPDATE "_millrace_columns" SET "nullable" = 1
           WHERE "table" = ? AND "column" NOT IN (SELECT "value" FROM json_each(?))"#,
    )
    .bind(name)
    .bind(serde_json::json!(required).to_string())
    .execute(connection)
    .await?;
    Ok(())
}
