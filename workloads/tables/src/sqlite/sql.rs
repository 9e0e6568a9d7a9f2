//! A table's names and statements, made once from its plan.

use std::fmt::Write;
use std::sync::Arc;

use millrace_plan::model::ColumnPlan;
use millrace_plan::model::ColumnType;
use millrace_plan::model::Keep;

use crate::TableSpec;

/// The hidden column that `first` and `latest` compare first.
pub(super) const EVENT_TIME: &str = "_event_time";
/// The hidden column of the event's id.
pub(super) const EVENT_ID: &str = "_event_id";

/// Rows per statement, the largest first; each size is one prepared statement.
const CHUNKS: [usize; 3] = [64, 8, 1];

/// A table with its statements.
pub(super) struct Table {
    /// Its name in the resource.
    pub(super) name: String,
    /// Its name in the database, quoted.
    pub(super) quoted: String,
    /// Its columns, in declared order.
    pub(super) columns: Arc<[ColumnPlan]>,
    /// Names of the primary key's columns; empty where rows are known by their event id.
    pub(super) primary_key: Vec<String>,
    upserts: [Arc<str>; CHUNKS.len()],
}

impl Table {
    pub(super) fn new(spec: &TableSpec) -> Self {
        let plan = &spec.plan;
        let quoted = quote(&physical_name(spec));
        Self {
            upserts: CHUNKS.map(|rows| upsert(&quoted, spec, rows).into()),
            name: plan.name.clone(),
            quoted,
            columns: plan.columns.clone().into(),
            primary_key: plan.primary_key.clone(),
        }
    }

    /// Cuts rows into chunks, each with the statement that writes it.
    pub(super) fn chunks<'a, T>(&self, mut rows: &'a [T]) -> Vec<(Arc<str>, &'a [T])> {
        let mut chunks = Vec::new();
        for (size, upsert) in CHUNKS.iter().zip(&self.upserts) {
            while rows.len() >= *size {
                let (chunk, rest) = rows.split_at(*size);
                chunks.push((Arc::clone(upsert), chunk));
                rows = rest;
            }
        }
        chunks
    }

    /// The column of this name.
    pub(super) fn column(&self, name: &str) -> Option<&ColumnPlan> {
        self.columns.iter().find(|column| column.name == name)
    }
}

/// The name in the database: declared names have no `@`, so generations cannot collide.
pub(super) fn physical_name(spec: &TableSpec) -> String {
    match spec.generation {
        0 => spec.plan.name.clone(),
        generation => format!("{}@{generation}", spec.plan.name),
    }
}

/// An identifier in SQL.
pub(super) fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The type in the database.
pub(super) fn sql_type(kind: ColumnType) -> &'static str {
    match kind {
        ColumnType::Text | ColumnType::Uuid | ColumnType::Json => "TEXT",
        ColumnType::Integer | ColumnType::Boolean | ColumnType::Timestamp => "INTEGER",
        ColumnType::Double => "REAL",
    }
}

/// The statement that creates a table. Only key columns are NOT NULL in the database, so that a
/// column can become nullable later; the others are checked before rows get here.
pub(super) fn create(spec: &TableSpec) -> String {
    let plan = &spec.plan;
    let quoted = quote(&physical_name(spec));
    let mut sql = format!("CREATE TABLE {quoted} (");
    for column in &plan.columns {
        let constraint = if plan.primary_key.contains(&column.name) { " NOT NULL" } else { "" };
        let _ = write!(sql, "{} {}{constraint}, ", quote(&column.name), sql_type(column.kind));
    }
    let _ = write!(
        sql,
        "\"{EVENT_TIME}\" INTEGER NOT NULL, \"{EVENT_ID}\" BLOB NOT NULL, PRIMARY KEY ({})) STRICT, WITHOUT ROWID",
        key(spec)
    );
    sql
}

/// The statement that lets rows without a primary key be read in order of time.
pub(super) fn create_time_index(spec: &TableSpec) -> String {
    let name = physical_name(spec);
    format!(
        "CREATE INDEX {} ON {} (\"{EVENT_TIME}\")",
        quote(&format!("{name}:time")),
        quote(&name)
    )
}

fn key(spec: &TableSpec) -> String {
    if spec.plan.primary_key.is_empty() {
        quote(EVENT_ID)
    } else {
        list(spec.plan.primary_key.iter().map(String::as_str))
    }
}

/// The statement that writes a number of rows.
fn upsert(quoted: &str, spec: &TableSpec, rows: usize) -> String {
    let names: Vec<&str> = spec
        .plan
        .columns
        .iter()
        .map(|column| column.name.as_str())
        .chain([EVENT_TIME, EVENT_ID])
        .collect();
    let values = format!("({})", vec!["?"; names.len()].join(", "));
    let mut sql = format!(
        "INSERT INTO {quoted} AS old ({}) VALUES {} ON CONFLICT ({}) DO ",
        list(names.iter().copied()),
        vec![values.as_str(); rows].join(", "),
        key(spec)
    );
    // With a primary key, `all` keeps the first of two different events of one key: which one
    // stays must not depend on which one came first.
    let comparison = match spec.plan.keep {
        Keep::All if spec.plan.primary_key.is_empty() => {
            sql.push_str("NOTHING");
            return sql;
        }
        Keep::All | Keep::First => '<',
        Keep::Latest => '>',
    };
    sql.push_str("UPDATE SET ");
    let changed: Vec<String> = names
        .iter()
        .filter(|name| !spec.plan.primary_key.iter().any(|key| key == *name))
        .map(|name| format!("{0} = excluded.{0}", quote(name)))
        .collect();
    let _ = write!(
        sql,
        "{} WHERE (excluded.\"{EVENT_TIME}\", excluded.\"{EVENT_ID}\") {comparison} (old.\"{EVENT_TIME}\", old.\"{EVENT_ID}\")",
        changed.join(", ")
    );
    sql
}

/// Names in SQL, with commas between them.
pub(super) fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(quote).collect::<Vec<_>>().join(", ")
}
