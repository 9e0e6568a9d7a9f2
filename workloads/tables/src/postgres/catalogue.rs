//! Creates and extends tables, and keeps what they look like.
//!
//! What changes nothing only reads, and so needs no right to write.

use std::collections::HashMap;

use millrace_plan::model::ColumnPlan;
use millrace_plan::model::ColumnSource;
use millrace_plan::model::TablePlan;
use sqlx::AssertSqlSafe;
use sqlx::Connection as _;
use sqlx::PgConnection;
use tracing::warn;

use super::names::Names;
use super::names::waiting_name;
use super::schema::exists;
use super::schema::lock;
use super::table;
use super::table::ServedTable;
use super::values::sql_type;
use crate::TableSpec;
use crate::catalogue::KnownColumns;
use crate::catalogue::compare;
use crate::catalogue::keep_text;
use crate::catalogue::key_of;
use crate::catalogue::kind_of;
use crate::catalogue::kind_text;
use crate::sql::quote;

/// A generation as it is in the database.
struct Found {
    physical: String,
    keep: String,
    primary_key: String,
    columns: KnownColumns,
    /// The column that it is divided by, if it is.
    divided_by: Option<String>,
    /// Names of the columns that were declared last, in order.
    declared: Vec<String>,
}

/// Creates the table, or extends it to what is declared now. Returns its name in the database, or
/// what does not fit.
pub(super) async fn ensure(
    connection: &mut PgConnection,
    names: &Names,
    spec: &TableSpec,
) -> Result<Result<String, String>, sqlx::Error> {
    if let Some(found) = find(connection, names, spec).await?
        && exists(connection, &names.schema, &found.physical).await?
    {
        match fits(&spec.plan, &found) {
            Err(reason) => return Ok(Err(reason)),
            Ok(new) if new.is_empty() && is_as_declared(&spec.plan, &found) => {
                return Ok(Ok(found.physical));
            }
            Ok(_) => {}
        }
    }
    let mut transaction = connection.begin().await?;
    lock(&mut transaction, names).await?;
    let mut found = find(&mut transaction, names, spec).await?;
    if let Some(gone) = &found
        && !exists(&mut transaction, &names.schema, &gone.physical).await?
    {
        warn!(
            message = "A table was dropped by someone else and is made anew, empty; \
                       `millrace rebuild` fills it from the log.",
            table = gone.physical
        );
        forget(&mut transaction, names, &spec.plan.name, spec.generation).await?;
        found = None;
    }
    let physical = match &found {
        None => create(&mut transaction, names, spec).await?,
        Some(found) => {
            let new = match fits(&spec.plan, found) {
                Ok(new) => new,
                Err(reason) => return Ok(Err(reason)),
            };
            for column in new {
                let statement = format!(
                    "ALTER TABLE {} ADD COLUMN {} {}",
                    names.of(&found.physical),
                    quote(&column.name),
                    sql_type(column.kind)
                );
                sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut *transaction).await?;
            }
            found.physical.clone()
        }
    };
    let known = found.map(|found| found.columns).unwrap_or_default();
    remember(&mut transaction, names, spec, &known).await?;
    transaction.commit().await?;
    Ok(Ok(physical))
}

/// What does not fit, if a generation is there and cannot become what is declared.
pub(super) async fn check(
    connection: &mut PgConnection,
    names: &Names,
    spec: &TableSpec,
) -> Result<Result<(), String>, sqlx::Error> {
    match find(connection, names, spec).await? {
        Some(found) if exists(connection, &names.schema, &found.physical).await? => {
            Ok(fits(&spec.plan, &found).map(|_| ()))
        }
        _ => Ok(Ok(())),
    }
}

/// The columns to add, or what does not fit.
fn fits<'a>(plan: &'a TablePlan, found: &Found) -> Result<Vec<&'a ColumnPlan>, String> {
    let by = plan.partitions.as_ref().map(|partitions| &partitions.by);
    match (by, &found.divided_by) {
        (Some(by), None) => {
            return Err(format!("it is one table, and no table can be divided by `{by}` later"));
        }
        (None, Some(by)) => {
            return Err(format!("it is divided by `{by}`, and no `partitions` are declared"));
        }
        (Some(by), Some(found)) if by != found => {
            return Err(format!("it is divided by `{found}`, not by `{by}`"));
        }
        _ => {}
    }
    compare(plan, &found.keep, &found.primary_key, &found.columns)
}

/// The column that a table is divided by, if it is: what else it may be divided by, as the
/// database says it.
async fn divided_by(
    connection: &mut PgConnection,
    names: &Names,
    physical: &str,
) -> Result<Option<String>, sqlx::Error> {
    let found: Option<(String,)> = sqlx::query_as(
        "SELECT CASE WHEN p.partstrat = 'r' AND p.partnatts = 1 AND a.attname IS NOT NULL
                     THEN a.attname::text ELSE pg_get_partkeydef(c.oid) END
         FROM pg_catalog.pg_partitioned_table p
              JOIN pg_catalog.pg_class c ON c.oid = p.partrelid
              JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
              LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = p.partattrs[0]
         WHERE n.nspname = $1 AND c.relname = $2",
    )
    .bind(&names.schema)
    .bind(physical)
    .fetch_optional(connection)
    .await?;
    Ok(found.map(|(by,)| by))
}

/// Whether the catalogue says what is declared.
fn is_as_declared(plan: &TablePlan, found: &Found) -> bool {
    let names = plan.columns.iter().map(|column| &column.name);
    names.eq(&found.declared)
        && found.columns.iter().all(|(name, (_, nullable))| {
            let column = plan.columns.iter().find(|column| column.name == *name);
            column.map_or(*nullable, |column| column.nullable == *nullable)
        })
}

async fn find(
    connection: &mut PgConnection,
    names: &Names,
    spec: &TableSpec,
) -> Result<Option<Found>, sqlx::Error> {
    let table = format!(
        r#"SELECT "physical", "keep", "primary_key" FROM {}
           WHERE "table" = $1 AND "generation" = $2"#,
        names.tables
    );
    let found: Option<(String, String, String)> = sqlx::query_as(AssertSqlSafe(table))
        .bind(&spec.plan.name)
        .bind(spec.generation)
        .fetch_optional(&mut *connection)
        .await?;
    let Some((physical, keep, primary_key)) = found else { return Ok(None) };
    let columns = format!(
        r#"SELECT "column", "type", "nullable", "place" IS NOT NULL FROM {}
           WHERE "table" = $1 AND "generation" = $2 ORDER BY "place""#,
        names.columns
    );
    let columns: Vec<(String, String, bool, bool)> = sqlx::query_as(AssertSqlSafe(columns))
        .bind(&spec.plan.name)
        .bind(spec.generation)
        .fetch_all(&mut *connection)
        .await?;
    let divided_by = divided_by(connection, names, &physical).await?;
    let declared = columns.iter().filter(|column| column.3).map(|column| column.0.clone());
    let declared = declared.collect();
    let columns =
        columns.into_iter().map(|(name, kind, nullable, _)| (name, (kind, nullable))).collect();
    Ok(Some(Found { physical, keep, primary_key, columns, divided_by, declared }))
}

/// Creates a generation's table. The first generation of a table is served from now on.
async fn create(
    connection: &mut PgConnection,
    names: &Names,
    spec: &TableSpec,
) -> Result<String, sqlx::Error> {
    let name = &spec.plan.name;
    let serve = format!(
        r#"INSERT INTO {} AS old ("table", "generation") VALUES ($1, $2)
           ON CONFLICT ("table") DO UPDATE SET "generation" = old."generation"
           RETURNING "generation""#,
        names.served
    );
    let (served,): (i32,) = sqlx::query_as(AssertSqlSafe(serve))
        .bind(name)
        .bind(spec.generation)
        .fetch_one(&mut *connection)
        .await?;
    let physical =
        if served == spec.generation { name.clone() } else { waiting_name(name, spec.generation) };
    sqlx::raw_sql(AssertSqlSafe(table::create(names, &spec.plan, &physical)))
        .execute(&mut *connection)
        .await?;
    let insert = format!(
        r#"INSERT INTO {} ("table", "generation", "physical", "keep", "primary_key", "revision")
           VALUES ($1, $2, $3, $4, $5, 0)"#,
        names.tables
    );
    sqlx::query(AssertSqlSafe(insert))
        .bind(name)
        .bind(spec.generation)
        .bind(&physical)
        .bind(keep_text(spec.plan.keep))
        .bind(spec.plan.primary_key.join(","))
        .execute(connection)
        .await?;
    Ok(physical)
}

/// Remembers what is declared, and the columns that are no longer.
async fn remember(
    connection: &mut PgConnection,
    names: &Names,
    spec: &TableSpec,
    known: &KnownColumns,
) -> Result<(), sqlx::Error> {
    let Names { columns, tables, revisions, .. } = names;
    let clear = format!(r#"DELETE FROM {columns} WHERE "table" = $1 AND "generation" = $2"#);
    sqlx::query(AssertSqlSafe(clear))
        .bind(&spec.plan.name)
        .bind(spec.generation)
        .execute(&mut *connection)
        .await?;
    let insert = format!(
        r#"INSERT INTO {columns} ("table", "generation", "column", "type", "nullable", "place")
           VALUES ($1, $2, $3, $4, $5, $6)"#
    );
    let declared: HashMap<&str, i32> =
        spec.plan.columns.iter().map(|column| column.name.as_str()).zip(0..).collect();
    let of_plan = spec.plan.columns.iter().map(|column| {
        let place = declared.get(column.name.as_str()).copied();
        (column.name.as_str(), kind_text(column.kind), column.nullable, place)
    });
    let of_old = known
        .iter()
        .filter(|(name, _)| !declared.contains_key(name.as_str()))
        .map(|(name, (kind, _))| (name.as_str(), kind.as_str(), true, None));
    for (column, kind, nullable, place) in of_plan.chain(of_old) {
        sqlx::query(AssertSqlSafe(insert.clone()))
            .bind(&spec.plan.name)
            .bind(spec.generation)
            .bind(column)
            .bind(kind)
            .bind(nullable)
            .bind(place)
            .execute(&mut *connection)
            .await?;
    }
    let revise = format!(
        r#"UPDATE {tables} SET "revision" = nextval('{}') WHERE "table" = $1 AND "generation" = $2"#,
        revisions.replace('\'', "''")
    );
    sqlx::query(AssertSqlSafe(revise))
        .bind(&spec.plan.name)
        .bind(spec.generation)
        .execute(connection)
        .await
        .map(|_| ())
}

/// Forgets what a generation looks like.
pub(super) async fn forget(
    connection: &mut PgConnection,
    names: &Names,
    table: &str,
    generation: i32,
) -> Result<(), sqlx::Error> {
    for of in [&names.tables, &names.columns] {
        let delete = format!(r#"DELETE FROM {of} WHERE "table" = $1 AND "generation" = $2"#);
        sqlx::query(AssertSqlSafe(delete))
            .bind(table)
            .bind(generation)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// The name in the database of a generation.
pub(super) async fn physical(
    connection: &mut PgConnection,
    names: &Names,
    table: &str,
    generation: i32,
) -> Result<Option<String>, sqlx::Error> {
    let statement = format!(
        r#"SELECT "physical" FROM {} WHERE "table" = $1 AND "generation" = $2"#,
        names.tables
    );
    let found: Option<(String,)> = sqlx::query_as(AssertSqlSafe(statement))
        .bind(table)
        .bind(generation)
        .fetch_optional(connection)
        .await?;
    Ok(found.map(|(physical,)| physical))
}

/// The revision of the table that is served under a name; none if there is no such table.
pub(super) async fn revision(
    connection: &mut PgConnection,
    names: &Names,
    table: &str,
) -> Result<Option<i64>, sqlx::Error> {
    let statement = format!(
        r#"SELECT t."revision" FROM {} s JOIN {} t USING ("table", "generation")
           WHERE "table" = $1"#,
        names.served, names.tables
    );
    let found: Option<(i64,)> =
        sqlx::query_as(AssertSqlSafe(statement)).bind(table).fetch_optional(connection).await?;
    Ok(found.map(|(revision,)| revision))
}

/// The table that is served under a name, as it was declared last.
pub(super) async fn served(
    connection: &mut PgConnection,
    names: &Names,
    table: &str,
) -> Result<Option<ServedTable>, sqlx::Error> {
    let statement = format!(
        r#"SELECT t."revision", t."physical", t."primary_key",
                  c."column", c."type", c."nullable"
           FROM {} s JOIN {} t USING ("table", "generation")
                JOIN {} c USING ("table", "generation")
           WHERE "table" = $1 AND c."place" IS NOT NULL ORDER BY c."place""#,
        names.served, names.tables, names.columns
    );
    let found: Vec<(i64, String, String, String, String, bool)> =
        sqlx::query_as(AssertSqlSafe(statement)).bind(table).fetch_all(connection).await?;
    let Some((revision, physical, primary_key, ..)) = found.first() else { return Ok(None) };
    let columns = found.iter().filter_map(|(.., name, kind, nullable)| {
        // Where its values came from does not matter for look-ups.
        let source = ColumnSource::EventId;
        let kind = kind_of(kind)?;
        Some(ColumnPlan { name: name.clone(), kind, source, nullable: *nullable })
    });
    Ok(Some(ServedTable {
        name: table.to_owned(),
        revision: *revision,
        quoted: names.of(physical),
        columns: columns.collect(),
        primary_key: key_of(primary_key),
    }))
}
