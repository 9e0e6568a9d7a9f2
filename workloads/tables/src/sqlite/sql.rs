//! A table's names and statements, made once from its plan.

use std::fmt::Write;
use std::sync::Arc;

use millrace_plan::model::ColumnPlan;
use millrace_plan::model::ColumnType;
use millrace_plan::model::Keep;
use millrace_plan::model::TablePlan;

use crate::batch::Distinct;
use crate::select::Shape;
use crate::sql::EVENT_ID;
use crate::sql::EVENT_TIME;
use crate::sql::key;
use crate::sql::list;
use crate::sql::on_conflict;
use crate::sql::quote;
use crate::sql::written_columns;

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
    /// Which rows of a commit are written.
    pub(super) distinct: Distinct,
    keep: Keep,
    upserts: [Arc<str>; CHUNKS.len()],
}

impl Table {
    /// The table of a plan that has this name in the database.
    pub(super) fn new(plan: &TablePlan, physical: &str) -> Self {
        let quoted = quote(physical);
        Self {
            upserts: CHUNKS.map(|rows| upsert(&quoted, plan, rows).into()),
            name: plan.name.clone(),
            quoted,
            columns: plan.columns.clone().into(),
            primary_key: plan.primary_key.clone(),
            distinct: Distinct::of(plan),
            keep: plan.keep,
        }
    }

    /// What look-ups need to know.
    pub(super) fn shape(&self) -> Shape<'_> {
        Shape {
            name: &self.name,
            quoted: &self.quoted,
            columns: &self.columns,
            primary_key: &self.primary_key,
        }
    }

    /// The same table under another name in the database.
    pub(super) fn renamed(&self, physical: &str) -> Self {
        let plan = TablePlan {
            name: self.name.clone(),
            columns: self.columns.to_vec(),
            primary_key: self.primary_key.clone(),
            keep: self.keep,
            // Nothing of a table's statements depends on them.
            partitions: None,
        };
        Self::new(&plan, physical)
    }

    /// Cuts a number of rows into chunks: the statements that write them, one after the other, and
    /// how many each takes.
    pub(super) fn chunks(&self, mut rows: usize) -> Vec<(Arc<str>, usize)> {
        let mut chunks = Vec::new();
        for (size, upsert) in CHUNKS.iter().zip(&self.upserts) {
            while rows >= *size {
                chunks.push((Arc::clone(upsert), *size));
                rows -= size;
            }
        }
        chunks
    }
}

/// The name in the database of a generation that is not served; the served one has the table's own
/// name, so that whoever reads the file finds it. Declared names have no `@`, so generations
/// cannot collide.
pub(super) fn waiting_name(table: &str, generation: i32) -> String {
    format!("{table}@{generation}")
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
pub(super) fn create(plan: &TablePlan, physical: &str) -> String {
    let quoted = quote(physical);
    let mut sql = format!("CREATE TABLE {quoted} (");
    for column in &plan.columns {
        let constraint = if plan.primary_key.contains(&column.name) { " NOT NULL" } else { "" };
        let _ = write!(sql, "{} {}{constraint}, ", quote(&column.name), sql_type(column.kind));
    }
    let _ = write!(
        sql,
        "\"{EVENT_TIME}\" INTEGER NOT NULL, \"{EVENT_ID}\" BLOB NOT NULL, PRIMARY KEY ({})) STRICT, WITHOUT ROWID",
        key(plan)
    );
    sql
}

/// The statement that lets rows without a primary key be read in order of time. The index keeps
/// its name when the table gets another one, so that name has to be a generation's own.
pub(super) fn create_time_index(table: &str, generation: i32, physical: &str) -> String {
    format!(
        "CREATE INDEX IF NOT EXISTS {} ON {} (\"{EVENT_TIME}\")",
        quote(&format!("{}:time", waiting_name(table, generation))),
        quote(physical)
    )
}

/// The statement that writes a number of rows.
fn upsert(quoted: &str, plan: &TablePlan, rows: usize) -> String {
    let names = written_columns(plan);
    let values = format!("({})", vec!["?"; names.len()].join(", "));
    format!(
        "INSERT INTO {quoted} AS old ({}) VALUES {} {}",
        list(names.iter().copied()),
        vec![values.as_str(); rows].join(", "),
        on_conflict(plan)
    )
}
