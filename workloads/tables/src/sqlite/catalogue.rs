//! Creates and extends tables, and refuses what an existing table cannot become.
//!
//! What a table looks like is kept beside it, because SQLite's own types are fewer than ours.

use std::collections::HashMap;

use millrace_plan::model::ColumnPlan;
use millrace_plan::model::ColumnType;
use millrace_plan::model::Keep;
use sqlx::AssertSqlSafe;
use sqlx::SqliteConnection;
use sqlx::SqlitePool;

use super::sql;
use crate::EnsureTableError;
use crate::TableSpec;

/// Creates the table, or extends it to what is declared now.
pub(super) async fn ensure(writer: &SqlitePool, spec: &TableSpec) -> Result<(), EnsureTableError> {
    let failed = |source: sqlx::Error| EnsureTableError::Create {
        table: spec.plan.name.clone(),
        source: source.into(),
    };
    let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
    let name = sql::physical_name(spec);
    let primary_key = spec.plan.primary_key.join(",");
    let existing: Option<(String, String)> =
        sqlx::query_as(r#"SELECT "keep", "primary_key" FROM "_millrace_tables" WHERE "table" = ?"#)
            .bind(&name)
            .fetch_optional(&mut *transaction)
            .await
            .map_err(failed)?;

    let new_columns = match existing {
        None => {
            create(&mut transaction, spec, &name, &primary_key).await.map_err(failed)?;
            spec.plan.columns.iter().collect()
        }
        Some((keep, key)) => {
            let known = columns(&mut transaction, &name).await.map_err(failed)?;
            let new = compare(spec, &keep, &key, &known).map_err(|reason| {
                EnsureTableError::Incompatible { table: spec.plan.name.clone(), reason }
            })?;
            for column in &new {
                let statement = format!(
                    "ALTER TABLE {} ADD COLUMN {} {}",
                    sql::quote(&name),
                    sql::quote(&column.name),
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
    remember(&mut transaction, spec, &name, &new_columns).await.map_err(failed)?;
    transaction.commit().await.map_err(failed)
}

async fn create(
    connection: &mut SqliteConnection,
    spec: &TableSpec,
    name: &str,
    primary_key: &str,
) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(AssertSqlSafe(sql::create(spec))).execute(&mut *connection).await?;
    if spec.plan.primary_key.is_empty() {
        sqlx::raw_sql(AssertSqlSafe(sql::create_time_index(spec)))
            .execute(&mut *connection)
            .await?;
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
) -> Result<HashMap<String, (String, bool)>, sqlx::Error> {
    let rows: Vec<(String, String, bool)> = sqlx::query_as(
        r#"SELECT "column", "type", "nullable" FROM "_millrace_columns" WHERE "table" = ?"#,
    )
    .bind(name)
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|(name, kind, nullable)| (name, (kind, nullable))).collect())
}

/// The columns to add, or what does not fit.
fn compare<'a>(
    spec: &'a TableSpec,
    keep: &str,
    key: &str,
    known: &HashMap<String, (String, bool)>,
) -> Result<Vec<&'a ColumnPlan>, String> {
    let wanted_key = spec.plan.primary_key.join(",");
    if key != wanted_key {
        return Err(format!("its primary key is ({key}), not ({wanted_key})"));
    }
    if keep != keep_text(spec.plan.keep) {
        return Err(format!("it keeps `{keep}`, not `{}`", keep_text(spec.plan.keep)));
    }
    let mut new = Vec::new();
    for column in &spec.plan.columns {
        match known.get(&column.name) {
            Some((kind, _)) if kind != kind_text(column.kind) => {
                return Err(format!(
                    "column `{}` is of type {kind}, not {}",
                    column.name,
                    kind_text(column.kind)
                ));
            }
            Some((_, true)) if !column.nullable => {
                return Err(format!(
                    "column `{}` may be empty in existing rows and can no longer be required",
                    column.name
                ));
            }
            Some(_) => {}
            None if !column.nullable => {
                return Err(format!(
                    "column `{}` is new and required, and existing rows have no value for it",
                    column.name
                ));
            }
            None => new.push(column),
        }
    }
    Ok(new)
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

fn keep_text(keep: Keep) -> &'static str {
    match keep {
        Keep::All => "all",
        Keep::First => "first",
        Keep::Latest => "latest",
    }
}

fn kind_text(kind: ColumnType) -> &'static str {
    match kind {
        ColumnType::Text => "text",
        ColumnType::Integer => "integer",
        ColumnType::Double => "double",
        ColumnType::Boolean => "boolean",
        ColumnType::Timestamp => "timestamp",
        ColumnType::Uuid => "uuid",
        ColumnType::Json => "json",
    }
}
