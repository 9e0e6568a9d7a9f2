//! Cells in the binary form of Postgres, written without a copy in between.

use millrace_plan::model::ColumnPlan;
use millrace_plan::model::ColumnType;
use sqlx::Encode;
use sqlx::Postgres;
use sqlx::Row as _;
use sqlx::Type;
use sqlx::TypeInfo as _;
use sqlx::ValueRef as _;
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::PgArgumentBuffer;
use sqlx::postgres::PgRow;
use sqlx::postgres::PgTypeInfo;
use sqlx::postgres::PgValueFormat;
use sqlx::postgres::types::Oid;
use uuid::Uuid;

use crate::Cell;
use crate::Row;

/// Microseconds from 1970, where ours begin, to 2000, where those of Postgres do.
const EPOCH: i64 = 946_684_800_000_000;

/// The type's number in Postgres, and that of its arrays. They are the same in every server.
fn oids(kind: ColumnType) -> (u32, u32) {
    match kind {
        ColumnType::Text => (25, 1009),
        ColumnType::Integer => (20, 1016),
        ColumnType::Double => (701, 1022),
        ColumnType::Boolean => (16, 1000),
        ColumnType::Timestamp => (1184, 1185),
        ColumnType::Uuid => (2950, 2951),
        ColumnType::Json => (114, 199),
    }
}

/// The type in a declaration.
pub(super) fn sql_type(kind: ColumnType) -> &'static str {
    match kind {
        ColumnType::Text => "text COLLATE \"C\"",
        other => plain_type(other),
    }
}

/// The type by its name alone.
pub(super) fn plain_type(kind: ColumnType) -> &'static str {
    match kind {
        ColumnType::Text => "text",
        ColumnType::Integer => "bigint",
        ColumnType::Double => "double precision",
        ColumnType::Boolean => "boolean",
        ColumnType::Timestamp => "timestamp with time zone",
        ColumnType::Uuid => "uuid",
        ColumnType::Json => "json",
    }
}

/// What an array is made of.
#[derive(Clone, Copy)]
pub(super) enum Values<'a> {
    /// The cells of a column.
    Cells(usize, &'a ColumnPlan),
    /// What `first` and `latest` compare.
    Orders,
    /// The events' ids.
    Ids,
}

/// An array of one value per row.
pub(super) struct Column<'a> {
    pub(super) rows: &'a [&'a Row],
    pub(super) values: Values<'a>,
}

impl Column<'_> {
    fn kind(&self) -> ColumnType {
        match self.values {
            Values::Cells(_, column) => column.kind,
            Values::Orders => ColumnType::Integer,
            Values::Ids => ColumnType::Uuid,
        }
    }
}

impl Type<Postgres> for Column<'_> {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(oids(ColumnType::Text).1))
    }
}

impl Encode<'_, Postgres> for Column<'_> {
    fn produces(&self) -> Option<PgTypeInfo> {
        Some(PgTypeInfo::with_oid(Oid(oids(self.kind()).1)))
    }

    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        // One dimension, no statement about NULLs, the type, the length, and the lower bound.
        buffer.extend_from_slice(&1_i32.to_be_bytes());
        buffer.extend_from_slice(&0_i32.to_be_bytes());
        buffer.extend_from_slice(&oids(self.kind()).0.to_be_bytes());
        buffer.extend_from_slice(&i32::try_from(self.rows.len())?.to_be_bytes());
        buffer.extend_from_slice(&1_i32.to_be_bytes());
        match self.values {
            Values::Orders => {
                for row in self.rows {
                    sized(buffer, &row.order.to_be_bytes())?;
                }
            }
            Values::Ids => {
                for row in self.rows {
                    sized(buffer, row.event_id.as_bytes())?;
                }
            }
            Values::Cells(index, column) => {
                for row in self.rows {
                    let cell = row.cells.get(index).unwrap_or(&Cell::Null);
                    element(buffer, cell, column)?;
                }
            }
        }
        Ok(IsNull::No)
    }
}

/// Writes an array's element: its length, and its bytes.
fn element(
    buffer: &mut PgArgumentBuffer,
    cell: &Cell,
    column: &ColumnPlan,
) -> Result<(), BoxDynError> {
    match (cell, column.kind) {
        (Cell::Null, _) => buffer.extend_from_slice(&(-1_i32).to_be_bytes()),
        (Cell::Text(text), ColumnType::Text) | (Cell::Json(text), ColumnType::Json) => {
            sized(buffer, text.as_bytes())?;
        }
        (Cell::Integer(number), ColumnType::Integer) => sized(buffer, &number.to_be_bytes())?,
        (Cell::Double(number), ColumnType::Double) => sized(buffer, &number.to_be_bytes())?,
        (Cell::Boolean(truth), ColumnType::Boolean) => sized(buffer, &[u8::from(*truth)])?,
        (Cell::Uuid(id), ColumnType::Uuid) => sized(buffer, id.as_bytes())?,
        (Cell::Timestamp(micros), ColumnType::Timestamp) => {
            let since = micros
                .checked_sub(EPOCH)
                .ok_or_else(|| format!("column `{}` gets a time out of range", column.name))?;
            sized(buffer, &since.to_be_bytes())?;
        }
        _ => return Err(format!("column `{}` gets a value of another type", column.name).into()),
    }
    Ok(())
}

fn sized(buffer: &mut PgArgumentBuffer, bytes: &[u8]) -> Result<(), BoxDynError> {
    buffer.extend_from_slice(&i32::try_from(bytes.len())?.to_be_bytes());
    buffer.extend_from_slice(bytes);
    Ok(())
}

/// A single value, such as one that a column is compared with.
pub(super) struct Scalar<'a>(pub(super) &'a Cell, pub(super) ColumnType);

impl Type<Postgres> for Scalar<'_> {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(oids(ColumnType::Text).0))
    }
}

impl Encode<'_, Postgres> for Scalar<'_> {
    fn produces(&self) -> Option<PgTypeInfo> {
        // A JSON text is compared as a text: the database has no order of JSON.
        let kind = if self.1 == ColumnType::Json { ColumnType::Text } else { self.1 };
        Some(PgTypeInfo::with_oid(Oid(oids(kind).0)))
    }

    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        match self.0 {
            Cell::Null => return Ok(IsNull::Yes),
            Cell::Text(text) | Cell::Json(text) => buffer.extend_from_slice(text.as_bytes()),
            Cell::Integer(number) => buffer.extend_from_slice(&number.to_be_bytes()),
            Cell::Double(number) => buffer.extend_from_slice(&number.to_be_bytes()),
            Cell::Boolean(truth) => buffer.extend_from_slice(&[u8::from(*truth)]),
            Cell::Uuid(id) => buffer.extend_from_slice(id.as_bytes()),
            // A bound beyond what the database can hold is as good as its end.
            Cell::Timestamp(micros) => {
                let since = micros.saturating_sub(EPOCH).clamp(MIN_TIME, MAX_TIME);
                buffer.extend_from_slice(&since.to_be_bytes());
            }
        }
        Ok(IsNull::No)
    }
}

/// The first time that Postgres holds, 4714-11-24 before Christ, in its own microseconds.
const MIN_TIME: i64 = -211_813_488_000_000_000;
/// The last one, the end of the year 294276.
const MAX_TIME: i64 = 9_223_371_331_199_999_999;

/// Reads a cell from its form in the database.
pub(super) fn read(row: &PgRow, index: usize, kind: ColumnType) -> Result<Cell, sqlx::Error> {
    let value = row.try_get_raw(index)?;
    let wrong = |text: String| sqlx::Error::Decode(text.into());
    let found = value.type_info().oid().map(|oid| oid.0);
    if found != Some(oids(kind).0) {
        let name = value.type_info().name().to_owned();
        return Err(wrong(format!("a column has the type {name}, not {}", plain_type(kind))));
    }
    if value.is_null() {
        return Ok(Cell::Null);
    }
    if value.format() != PgValueFormat::Binary {
        return Err(wrong("a value is not in binary form".to_owned()));
    }
    let bytes = value.as_bytes().map_err(sqlx::Error::Decode)?;
    let text = || String::from_utf8(bytes.to_vec()).map_err(|error| wrong(error.to_string()));
    let eight = || <[u8; 8]>::try_from(bytes).map_err(|error| wrong(error.to_string()));
    Ok(match kind {
        ColumnType::Text => Cell::Text(text()?),
        ColumnType::Json => Cell::Json(text()?),
        ColumnType::Integer => Cell::Integer(i64::from_be_bytes(eight()?)),
        ColumnType::Double => Cell::Double(f64::from_be_bytes(eight()?)),
        ColumnType::Boolean => Cell::Boolean(bytes != [0]),
        ColumnType::Timestamp => {
            Cell::Timestamp(i64::from_be_bytes(eight()?).saturating_add(EPOCH))
        }
        ColumnType::Uuid => {
            Cell::Uuid(Uuid::from_slice(bytes).map_err(|error| wrong(error.to_string()))?)
        }
    })
}
