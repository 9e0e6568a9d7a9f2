//! Names and pieces of SQL that all databases read alike.

use std::fmt::Write as _;

use millrace_core::Offset;
use millrace_plan::model::Keep;
use millrace_plan::model::TablePlan;

/// The hidden column that `first` and `latest` compare first.
pub(crate) const EVENT_TIME: &str = "_event_time";
/// The hidden column of the event's id.
pub(crate) const EVENT_ID: &str = "_event_id";

/// An identifier in SQL.
pub(crate) fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Names in SQL, with commas between them.
pub(crate) fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(quote).collect::<Vec<_>>().join(", ")
}

/// The columns that make a row distinct.
pub(crate) fn key(plan: &TablePlan) -> String {
    if plan.primary_key.is_empty() {
        quote(EVENT_ID)
    } else {
        list(plan.primary_key.iter().map(String::as_str))
    }
}

/// All columns of a row, in declared order and then the hidden ones.
pub(crate) fn written_columns(plan: &TablePlan) -> Vec<&str> {
    plan.columns.iter().map(|column| column.name.as_str()).chain([EVENT_TIME, EVENT_ID]).collect()
}

/// How far a sink has read in any of its partitions, of sinks with the next offset of each.
pub(crate) fn read_to(positions: &[(String, Offset)], sink: &str) -> Offset {
    let own = positions.iter().filter(|(of, _)| of == sink);
    own.map(|(_, next)| *next).max().unwrap_or_default()
}

/// The statement that moves all rows of a table back by as much as a parameter says: those that are in
/// the order of their offsets then come before offset 0, in the order that they had.
pub(crate) fn before(table: &str, parameter: &str) -> String {
    let time = quote(EVENT_TIME);
    format!("UPDATE {table} SET {time} = {time} - {parameter}")
}

/// What an INSERT does where a row of the key is there already. The table's alias is `old`.
pub(crate) fn on_conflict(plan: &TablePlan) -> String {
    let mut sql = format!("ON CONFLICT ({}) DO ", key(plan));
    // With a primary key, `all` keeps the first of two different events of one key: which one
    // stays must not depend on which one came first.
    let comparison = match plan.keep {
        Keep::All if plan.primary_key.is_empty() => {
            sql.push_str("NOTHING");
            return sql;
        }
        Keep::All | Keep::First => '<',
        Keep::Latest => '>',
    };
    let changed: Vec<String> = written_columns(plan)
        .into_iter()
        .filter(|name| !plan.primary_key.iter().any(|key| key == name))
        .map(|name| format!("{0} = excluded.{0}", quote(name)))
        .collect();
    let _ = write!(
        sql,
        "UPDATE SET {} WHERE (excluded.\"{EVENT_TIME}\", excluded.\"{EVENT_ID}\") {comparison} (old.\"{EVENT_TIME}\", old.\"{EVENT_ID}\")",
        changed.join(", ")
    );
    sql
}
