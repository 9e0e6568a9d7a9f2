//! Parameters read by the types of columns, and rows as programs see them.

use millrace_core::Value;
use millrace_http::Problem;
use millrace_plan::model::ColumnPlan;
use millrace_plan::model::ColumnType;
use millrace_tables::Cell;

use crate::params::short;

/// Reads a parameter as a value of a column. One form of each value is taken, that which answers
/// have, so that what the description of the API says holds.
pub(super) fn cell(name: &str, text: &str, kind: ColumnType) -> Result<Cell, Problem> {
    let is_form = match kind {
        ColumnType::Integer => text.parse::<i64>().is_ok_and(|number| number.to_string() == text),
        ColumnType::Double => serde_json::from_str::<serde_json::Number>(text).is_ok(),
        ColumnType::Timestamp => text.contains(['T', 't', ' ']),
        ColumnType::Uuid => text.len() == 36,
        ColumnType::Text | ColumnType::Boolean | ColumnType::Json => true,
    };
    if !is_form {
        return Err(Problem::parameter(
            name,
            format_args!("`{}` is not {}", short(text), expected(kind)),
        ));
    }
    Cell::parse(text, kind).map_err(|error| match error {
        millrace_tables::CellError::Form { .. } => {
            Problem::parameter(name, format_args!("`{}` is not {}", short(text), expected(kind)))
        }
        error => Problem::parameter(name, error),
    })
}

/// Reads a bound of a range of times, in microseconds since 1970.
pub(super) fn time(name: &str, text: &str) -> Result<Option<i64>, Problem> {
    match cell(name, text, ColumnType::Timestamp)? {
        Cell::Timestamp(micros) => Ok(Some(micros)),
        _ => Ok(None),
    }
}

const fn expected(kind: ColumnType) -> &'static str {
    match kind {
        ColumnType::Text => "a text",
        ColumnType::Integer => "an integer",
        ColumnType::Double => "a number",
        ColumnType::Boolean => "`true` or `false`",
        ColumnType::Timestamp => {
            "a time: write RFC 3339 with an offset, such as 2026-01-01T00:00:00Z"
        }
        ColumnType::Uuid => "a UUID",
        ColumnType::Json => "JSON",
    }
}

/// A row as an object.
///
/// # Errors
/// When a cell's JSON cannot be read.
pub(super) fn row(columns: &[ColumnPlan], cells: &[Cell]) -> Result<Value, serde_json::Error> {
    let mut fields = Vec::with_capacity(cells.len());
    for (column, cell) in columns.iter().zip(cells) {
        fields.push((column.name.as_str().into(), value(cell)?));
    }
    Ok(Value::Object(fields.into_iter().collect()))
}

/// A cell as answers show it: times and UUIDs are texts.
fn value(cell: &Cell) -> Result<Value, serde_json::Error> {
    Ok(match cell {
        Cell::Null => Value::Null,
        Cell::Text(text) => Value::from(text.as_str()),
        Cell::Integer(number) => Value::Integer(*number),
        Cell::Double(number) => Value::from(serde_json::Value::from(*number)),
        Cell::Boolean(truth) => Value::Boolean(*truth),
        Cell::Uuid(uuid) => Value::from(uuid.to_string()),
        Cell::Json(json) => serde_json::from_str(json)?,
        Cell::Timestamp(_) => serde_json::from_str(&serde_json::to_string(cell)?)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_taken_in_the_form_that_answers_have() {
        let refused = |text: &str, kind| cell("x", text, kind).unwrap_err().detail().to_owned();
        let not = |text: &str, what: &str| format!("parameter `x`: `{text}` is not {what}");
        for (text, kind, what) in [
            ("+5", ColumnType::Integer, "an integer"),
            ("5.0", ColumnType::Integer, "an integer"),
            ("9223372036854775808", ColumnType::Integer, "an integer"),
            ("inf", ColumnType::Double, "a number"),
            (".5", ColumnType::Double, "a number"),
            ("1", ColumnType::Boolean, "`true` or `false`"),
            ("6f6d6d616e6b696e64736565746f3135", ColumnType::Uuid, "a UUID"),
            (
                "1700000000000",
                ColumnType::Timestamp,
                "a time: write RFC 3339 with an offset, such as 2026-01-01T00:00:00Z",
            ),
        ] {
            assert_eq!(refused(text, kind), not(text, what));
        }
        assert_eq!(
            cell("x", "-9223372036854775808", ColumnType::Integer).unwrap(),
            Cell::Integer(i64::MIN)
        );
        assert_eq!(cell("x", "1e3", ColumnType::Double).unwrap(), Cell::Double(1000.0));
        assert_eq!(time("x", "1970-01-01T01:00:00.5+01:00").unwrap(), Some(500_000));
    }
}
