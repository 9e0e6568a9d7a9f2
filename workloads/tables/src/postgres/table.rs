//! A table's names and statements, made once from its plan.

use std::fmt::Write as _;
use std::sync::Arc;

use millrace_plan::model::ColumnPlan;
use millrace_plan::model::TablePlan;
use parking_lot::RwLock;

use super::names::Names;
use super::partitions::Partitions;
use super::values::plain_type;
use super::values::sql_type;
use crate::batch::Distinct;
use crate::select::Shape;
use crate::sql::EVENT_ID;
use crate::sql::EVENT_TIME;
use crate::sql::key;
use crate::sql::list;
use crate::sql::on_conflict;
use crate::sql::quote;
use crate::sql::written_columns;

/// A generation of a table that this process fills.
pub(super) struct Table {
    /// As it is declared.
    pub(super) plan: TablePlan,
    /// Its name in the database.
    pub(super) physical: String,
    /// Which rows of a commit are written.
    pub(super) distinct: Distinct,
    /// The statement that moves the position and writes rows.
    pub(super) upsert: Arc<str>,
    /// Which partitions there were when that was last looked for.
    pub(super) partitions: RwLock<Option<Arc<Partitions>>>,
}

impl Table {
    pub(super) fn new(names: &Names, plan: &TablePlan, physical: &str) -> Self {
        Self {
            upsert: upsert(names, plan, physical).into(),
            distinct: Distinct::of(plan),
            physical: physical.to_owned(),
            plan: plan.clone(),
            partitions: RwLock::default(),
        }
    }
}

/// A table that is served, as the catalogue has it.
pub(super) struct ServedTable {
    pub(super) name: String,
    /// Changes with every change of what the table looks like, and with the generation.
    pub(super) revision: i64,
    /// Its name in the database, quoted.
    pub(super) quoted: String,
    pub(super) columns: Arc<[ColumnPlan]>,
    pub(super) primary_key: Vec<String>,
}

impl ServedTable {
    /// What look-ups need to know.
    pub(super) fn shape(&self) -> Shape<'_> {
        Shape {
            name: &self.name,
            quoted: &self.quoted,
            columns: &self.columns,
            primary_key: &self.primary_key,
        }
    }
}

/// The statement that creates a table. Only key columns are NOT NULL in the database, so that a
/// column can become nullable later; the others are checked before rows get here.
pub(super) fn create(names: &Names, plan: &TablePlan, physical: &str) -> String {
    let mut sql = format!("CREATE TABLE {} (", names.of(physical));
    for column in &plan.columns {
        let constraint = if plan.primary_key.contains(&column.name) { " NOT NULL" } else { "" };
        let _ = write!(sql, "{} {}{constraint}, ", quote(&column.name), sql_type(column.kind));
    }
    let _ = write!(
        sql,
        "\"{EVENT_TIME}\" bigint NOT NULL, \"{EVENT_ID}\" uuid NOT NULL, PRIMARY KEY ({}))",
        key(plan)
    );
    if let Some(partitions) = &plan.partitions {
        let _ = write!(sql, " PARTITION BY RANGE ({})", quote(&partitions.by));
    }
    if plan.primary_key.is_empty() {
        // Rows without a primary key are read in order of time. The database names the index.
        let _ = write!(
            sql,
            "; CREATE INDEX ON {} (\"{EVENT_TIME}\", \"{EVENT_ID}\")",
            names.of(physical)
        );
    }
    sql
}

/// The part of a statement that moves a position: it binds the parameters 1 to 10, which are the
/// new position, the commit's id, sink, generation, stream, partition, epoch, the position so far,
/// and the table's name in the resource and in the database.
///
/// The table is locked when the statement is parsed, before it sees what a switch of generations
/// has left; so rows never get into a table that has got another generation's name meanwhile.
pub(super) fn move_position(names: &Names) -> String {
    format!(
        r#"UPDATE {} SET "next" = $1, "commit" = $2
           WHERE "sink" = $3 AND "generation" = $4 AND "stream" = $5 AND "partition" = $6
             AND "epoch" = $7 AND "next" = $8
             AND EXISTS (SELECT FROM {} WHERE "table" = $9 AND "generation" = $4 AND "physical" = $10)"#,
        names.positions, names.tables
    )
}

/// The statement of a commit: a transaction of its own, in one message each way. The rows depend on
/// the position that has moved: the database moves it first, and waits there for whoever holds it.
fn upsert(names: &Names, plan: &TablePlan, physical: &str) -> String {
    let mut arrays: Vec<String> = (11..)
        .zip(&plan.columns)
        .map(|(number, column)| format!("${number}::{}[]", plain_type(column.kind)))
        .collect();
    arrays.push(format!("${}::bigint[]", 11 + plan.columns.len()));
    arrays.push(format!("${}::uuid[]", 12 + plan.columns.len()));
    format!(
        r#"WITH "moved" AS ({} RETURNING 1)
           INSERT INTO {} AS old ({}) SELECT * FROM unnest({}) WHERE EXISTS (SELECT FROM "moved") {}"#,
        move_position(names),
        names.of(physical),
        list(written_columns(plan).into_iter()),
        arrays.join(", "),
        on_conflict(plan)
    )
}
