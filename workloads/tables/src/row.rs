//! Rows: what a record becomes in a table.

use std::cell::OnceCell;

use millrace_core::EventId;
use millrace_core::Record;
use millrace_core::Value;
use millrace_core::borrowed::Borrowed;
use millrace_core::path::FieldPath;
use millrace_plan::model::ColumnSource;
use millrace_plan::model::ColumnType;
use millrace_plan::model::TablePlan;
use uuid::Uuid;

use crate::Cell;
use crate::CellError;

/// A row of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// A cell per column, in declared order.
    pub cells: Vec<Cell>,
    /// With the id, what `first` and `latest` compare: the event time in milliseconds, or the
    /// offset where the stream has no event time of its own.
    pub order: i64,
    /// The event's id.
    pub event_id: EventId,
}

/// A record that is not a row of the table.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RowError {
    /// The record's value is not JSON.
    #[error("the event is not JSON: {0}")]
    NotJson(String),
    /// A column must have a value and gets none.
    #[error("column `{column}` must have a value, and {origin} is missing or null")]
    Missing {
        /// The column.
        column: String,
        /// Where its value should have come from.
        origin: String,
    },
    /// A column cannot hold its value.
    #[error("column `{column}`: {origin} {reason}")]
    Cell {
        /// The column.
        column: String,
        /// Where its value came from.
        origin: String,
        /// Why not.
        reason: CellError,
    },
}

impl Row {
    /// The row of a record. `order` is what `first` and `latest` compare before the id.
    ///
    /// # Errors
    /// When the value is not JSON, or a column cannot hold what it should get.
    pub fn of(record: &Record, order: i64, table: &TablePlan) -> Result<Self, RowError> {
        let event = Event::read(&record.value)?;
        let mut cells = Vec::with_capacity(table.columns.len());
        for column in &table.columns {
            let is_key = table.primary_key.contains(&column.name);
            let cell = match &column.source {
                ColumnSource::Field(path) => event.cell(path, column.kind),
                ColumnSource::EventTime => {
                    Cell::from_value(&Value::Integer(record.event_time), column.kind)
                }
                ColumnSource::IngestTime => {
                    Cell::from_value(&Value::Integer(record.ingest_time), column.kind)
                }
                ColumnSource::EventId => match column.kind {
                    ColumnType::Uuid => Ok(Cell::Uuid(Uuid::from_bytes(*record.id.as_bytes()))),
                    kind => Cell::parse(&record.id.to_string(), kind),
                },
                ColumnSource::Key => {
                    Cell::parse(&String::from_utf8_lossy(&record.key), column.kind)
                }
                ColumnSource::Header(name) => record
                    .headers
                    .text(name)
                    .map_or(Ok(Cell::Null), |text| Cell::parse(text, column.kind)),
            };
            let cell = cell
                .and_then(|cell| {
                    if is_key {
                        cell.check_key_length()?;
                    }
                    Ok(cell)
                })
                .map_err(|reason| RowError::Cell {
                    column: column.name.clone(),
                    origin: origin(&column.source),
                    reason,
                })?;
            if cell == Cell::Null && (is_key || !column.nullable) {
                return Err(RowError::Missing {
                    column: column.name.clone(),
                    origin: origin(&column.source),
                });
            }
            cells.push(cell);
        }
        Ok(Self { cells, order, event_id: record.id })
    }
}

/// An event's value, read where it lies as far as that does.
struct Event<'a> {
    json: &'a [u8],
    /// None if it can be read only the long way.
    borrowed: Option<Borrowed<'a>>,
    value: OnceCell<Value>,
}

impl<'a> Event<'a> {
    fn read(json: &'a [u8]) -> Result<Self, RowError> {
        let event =
            Self { json, borrowed: serde_json::from_slice(json).ok(), value: OnceCell::new() };
        if event.borrowed.is_none() {
            let read = serde_json::from_slice(json);
            let value = read.map_err(|error| RowError::NotJson(error.to_string()))?;
            // It was empty.
            let _ = event.value.set(value);
        }
        Ok(event)
    }

    fn cell(&self, path: &FieldPath, kind: ColumnType) -> Result<Cell, CellError> {
        if let Some(borrowed) = &self.borrowed
            && let Some(cell) = Cell::from_borrowed(path.find(borrowed), kind)
        {
            return Ok(cell);
        }
        // What was read before can be read again.
        let value =
            self.value.get_or_init(|| serde_json::from_slice(self.json).unwrap_or(Value::Null));
        Cell::from_value(path.get(value).unwrap_or(&Value::Null), kind)
    }
}

fn origin(source: &ColumnSource) -> String {
    match source {
        ColumnSource::Field(path) => format!("the field `{path}`"),
        ColumnSource::EventTime => "the event time".to_owned(),
        ColumnSource::IngestTime => "the arrival time".to_owned(),
        ColumnSource::EventId => "the event id".to_owned(),
        ColumnSource::Key => "the key".to_owned(),
        ColumnSource::Header(name) => format!("the header `{name}`"),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use millrace_core::Headers;
    use millrace_plan::model::ColumnPlan;
    use millrace_plan::model::ColumnType;
    use millrace_plan::model::Keep;

    use super::*;

    fn column(name: &str, kind: ColumnType, source: ColumnSource, nullable: bool) -> ColumnPlan {
        ColumnPlan { name: name.into(), kind, source, nullable }
    }

    fn table() -> TablePlan {
        let field = |path: &str| ColumnSource::Field(path.parse().unwrap());
        TablePlan {
            name: "laps".into(),
            columns: vec![
                column("race", ColumnType::Text, ColumnSource::Key, false),
                column("car", ColumnType::Integer, field(".car.index"), false),
                column("lap_time", ColumnType::Double, field(".lapTime"), true),
                column("at", ColumnType::Timestamp, ColumnSource::EventTime, false),
                column("id", ColumnType::Uuid, ColumnSource::EventId, false),
                column("trace", ColumnType::Text, ColumnSource::Header("trace".into()), true),
            ],
            primary_key: vec!["race".into(), "car".into()],
            keep: Keep::Latest,
            partitions: None,
        }
    }

    fn record(value: &str) -> Record {
        Record {
            key: Bytes::from_static(b"spa"),
            event_time: 1500,
            ingest_time: 2000,
            id: EventId::from([7; 16]),
            headers: Headers(vec![("trace".into(), Bytes::from_static(b"abc"))]),
            value: Bytes::copy_from_slice(value.as_bytes()),
        }
    }

    #[test]
    fn a_row_takes_its_cells_from_the_event_and_what_is_beside_it() {
        let row = Row::of(&record(r#"{"car":{"index":3}}"#), 1500, &table()).unwrap();
        assert_eq!(
            serde_json::to_string(&row.cells).unwrap(),
            r#"["spa",3,null,"1970-01-01T00:00:01.5Z","07070707-0707-0707-0707-070707070707","abc"]"#
        );
    }

    #[test]
    fn a_record_that_is_no_row_is_refused_with_column_and_reason() {
        let reason = |value| Row::of(&record(value), 0, &table()).unwrap_err().to_string();
        assert_eq!(
            reason("{}"),
            "column `car` must have a value, and the field `.car.index` is missing or null"
        );
        assert_eq!(
            reason(r#"{"car":{"index":"three"}}"#),
            "column `car`: the field `.car.index` is a text, not an integer"
        );
        assert_eq!(reason("no"), "the event is not JSON: expected ident at line 1 column 2");
    }

    #[test]
    fn an_event_with_a_field_twice_is_a_row_by_the_last_one() {
        let row = Row::of(&record(r#"{"car":{"index":3},"car":{"index":4}}"#), 1500, &table());
        assert_eq!(row.unwrap().cells[1], Cell::Integer(4));
    }

    #[test]
    fn a_text_too_long_for_a_key_is_refused() {
        let mut long = record(r#"{"car":{"index":3}}"#);
        long.key = Bytes::from("x".repeat(513));
        assert_eq!(
            Row::of(&long, 0, &table()).unwrap_err().to_string(),
            "column `race`: the key has 513 bytes; at most 512 are allowed"
        );
    }
}
