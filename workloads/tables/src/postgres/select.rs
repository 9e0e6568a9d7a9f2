//! Look-ups in Postgres.

use millrace_plan::model::ColumnType;
use sqlx::Arguments as _;
use sqlx::AssertSqlSafe;
use sqlx::PgConnection;
use sqlx::postgres::PgArguments;

use super::table::ServedTable;
use super::values::Scalar;
use super::values::read;
use crate::Direction;
use crate::LookUp;
use crate::LookUpError;
use crate::Page;
use crate::select::Dialect;
use crate::select::Selection;
use crate::select::SortColumn;
use crate::sql::EVENT_ID;
use crate::sql::quote;

/// SQL as Postgres writes it.
pub(super) struct Postgres;

impl Dialect for Postgres {
    fn parameter(number: usize) -> String {
        format!("${number}")
    }

    fn comparable(quoted: &str, kind: ColumnType) -> String {
        match kind {
            // JSON has no order and no equality of its own.
            ColumnType::Json => format!("({quoted}::text COLLATE \"C\")"),
            _ => quoted.to_owned(),
        }
    }

    fn event_id() -> SortColumn {
        let id = quote(EVENT_ID);
        // In cursors it is hexadecimal digits, as in every database.
        let shown = format!("upper(replace({id}::text, '-', ''))");
        SortColumn { shown, compared: id, kind: ColumnType::Text, parameter: "{}::uuid" }
    }

    fn order(compared: &str, direction: Direction) -> String {
        match direction {
            Direction::Ascending => format!("{compared} NULLS FIRST"),
            Direction::Descending => format!("{compared} DESC NULLS LAST"),
        }
    }
}

/// The statement of a look-up. It names the revision, so that what a connection has prepared for
/// an earlier form of the table is not used for this one.
pub(super) fn selection(
    table: &ServedTable,
    query: &LookUp,
) -> Result<Selection<Postgres>, LookUpError> {
    let mut selection = Selection::of(&table.shape(), query)?;
    selection.statement.push_str(&format!(" /* {} */", table.revision));
    Ok(selection)
}

/// Looks a page up.
pub(super) async fn look_up(
    connection: &mut PgConnection,
    selection: &Selection<Postgres>,
) -> Result<Page, sqlx::Error> {
    let mut arguments = PgArguments::default();
    for (cell, kind) in &selection.bound {
        arguments.add(Scalar(cell, *kind)).map_err(sqlx::Error::Encode)?;
    }
    let found = sqlx::query_with(AssertSqlSafe(selection.statement.clone()), arguments)
        .fetch_all(connection)
        .await?;
    selection.page(&found, read)
}
