//! Look-ups: which rows of a table, in which order, and where the next page begins.
//!
//! Pages are found by key and not by number, so that rows written meanwhile neither repeat nor
//! hide others.

use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use millrace_plan::model::ColumnPlan;
use millrace_plan::model::ColumnType;

use crate::Cell;
use crate::LookUpError;

/// Most rows of a page.
pub const MAX_PAGE_ROWS: usize = 1000;

/// What to look up.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LookUp {
    /// Columns and the values that they must have; [`Cell::Null`] asks for rows without a value.
    pub equals: Vec<(String, Cell)>,
    /// The times between which a column must be.
    pub time: Option<TimeRange>,
    /// The column to order by; none: by the primary key, ascending, or by time where there is no
    /// primary key.
    pub order: Option<Order>,
    /// Most rows; at most [`MAX_PAGE_ROWS`].
    pub limit: usize,
    /// Where the page begins: [`Page::next`] of the page before.
    pub cursor: Option<String>,
}

/// A range of times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeRange {
    /// A column of type timestamp.
    pub column: String,
    /// The first time, in microseconds since 1970.
    pub from: Option<i64>,
    /// The time after the last one, in microseconds since 1970.
    pub to: Option<i64>,
}

/// An order. Rows of equal values are ordered by the primary key, in the same direction; rows
/// without a value come first when ascending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// The column.
    pub column: String,
    /// The direction.
    pub direction: Direction,
}

/// A direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Direction {
    /// The lowest first.
    #[default]
    Ascending,
    /// The highest first.
    Descending,
}

/// A page of rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// The columns, in declared order.
    pub columns: Arc<[ColumnPlan]>,
    /// The rows, a cell per column.
    pub rows: Vec<Vec<Cell>>,
    /// Where the next page begins, if there is one.
    pub next: Option<String>,
}

/// Writes a cursor: what it is a cursor of, and the sort key of the last row.
pub(crate) fn write_cursor(of: &str, key: &[Cell]) -> String {
    let texts: Vec<Option<String>> = key.iter().map(cursor_text).collect();
    let json = serde_json::json!([of, texts]).to_string();
    BASE64_URL_SAFE_NO_PAD.encode(json)
}

/// Reads a cursor back.
pub(crate) fn read_cursor(
    cursor: &str,
    of: &str,
    kinds: &[ColumnType],
) -> Result<Vec<Cell>, LookUpError> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(cursor).map_err(|_| LookUpError::Cursor)?;
    let (written_for, texts): (String, Vec<Option<String>>) =
        serde_json::from_slice(&bytes).map_err(|_| LookUpError::Cursor)?;
    if written_for != of || texts.len() != kinds.len() {
        return Err(LookUpError::Cursor);
    }
    texts
        .iter()
        .zip(kinds)
        .map(|(text, kind)| match text {
            None => Ok(Cell::Null),
            Some(text) if *kind == ColumnType::Timestamp => {
                text.parse().map(Cell::Timestamp).map_err(|_| LookUpError::Cursor)
            }
            Some(text) => Cell::parse(text, *kind).map_err(|_| LookUpError::Cursor),
        })
        .collect()
}

fn cursor_text(cell: &Cell) -> Option<String> {
    Some(match cell {
        Cell::Null => return None,
        Cell::Text(text) | Cell::Json(text) => text.clone(),
        Cell::Integer(number) | Cell::Timestamp(number) => number.to_string(),
        Cell::Double(number) => format!("{number:?}"),
        Cell::Boolean(truth) => truth.to_string(),
        Cell::Uuid(uuid) => uuid.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_carries_every_type_of_cell_exactly() {
        let key = [
            Cell::Null,
            Cell::Text("a\"b".into()),
            Cell::Integer(i64::MIN),
            Cell::Double(0.1 + 0.2),
            Cell::Boolean(true),
            Cell::Timestamp(-1),
            Cell::Uuid(uuid::Uuid::from_u128(5)),
            Cell::Json("[1]".into()),
        ];
        let kinds = [
            ColumnType::Text,
            ColumnType::Text,
            ColumnType::Integer,
            ColumnType::Double,
            ColumnType::Boolean,
            ColumnType::Timestamp,
            ColumnType::Uuid,
            ColumnType::Json,
        ];
        let cursor = write_cursor("laps:-at", &key);
        assert_eq!(read_cursor(&cursor, "laps:-at", &kinds).unwrap(), key);
        assert!(matches!(read_cursor(&cursor, "laps:at", &kinds), Err(LookUpError::Cursor)));
        assert!(matches!(read_cursor("?", "laps:-at", &kinds), Err(LookUpError::Cursor)));
    }
}
