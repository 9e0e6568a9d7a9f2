//! Numbers and positions that operators read from events, with the reasons where they cannot.

use millrace_core::FieldPath;
use millrace_core::Value;
use serde::Deserialize;
use serde::Serialize;

const MAX_LATITUDE: f64 = 90.0;
const MAX_LONGITUDE: f64 = 180.0;

/// Why a number or a position cannot be read.
#[derive(Debug, thiserror::Error, PartialEq)]
pub(crate) enum FieldError {
    #[error("the {name} `{path}` is missing or null")]
    Missing { name: &'static str, path: String },
    #[error("the {name} `{path}` is not a number")]
    NotANumber { name: &'static str, path: String },
    #[error("the {name} `{path}` is {found}, outside of -{limit} to {limit} degrees")]
    OutOfRange { name: &'static str, path: String, found: f64, limit: f64 },
}

/// A point on the Earth, in degrees.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Position {
    pub(crate) latitude: f64,
    pub(crate) longitude: f64,
}

impl Position {
    /// Whether both angles are within their limits.
    pub(crate) fn is_on_earth(&self) -> bool {
        (-MAX_LATITUDE..=MAX_LATITUDE).contains(&self.latitude)
            && (-MAX_LONGITUDE..=MAX_LONGITUDE).contains(&self.longitude)
    }
}

/// Reads a number; `name` is what reasons call it.
pub(crate) fn number(
    value: &Value,
    path: &FieldPath,
    name: &'static str,
) -> Result<f64, FieldError> {
    path.number(value).ok_or_else(|| match path.get(value) {
        None | Some(Value::Null) => FieldError::Missing { name, path: path.to_string() },
        Some(_) => FieldError::NotANumber { name, path: path.to_string() },
    })
}

/// Reads a position; both limits are inclusive.
pub(crate) fn position(
    value: &Value,
    latitude: &FieldPath,
    longitude: &FieldPath,
) -> Result<Position, FieldError> {
    Ok(Position {
        latitude: angle(value, latitude, "latitude", MAX_LATITUDE)?,
        longitude: angle(value, longitude, "longitude", MAX_LONGITUDE)?,
    })
}

fn angle(
    value: &Value,
    path: &FieldPath,
    name: &'static str,
    limit: f64,
) -> Result<f64, FieldError> {
    let found = number(value, path, name)?;
    if (-limit..=limit).contains(&found) {
        Ok(found)
    } else {
        Err(FieldError::OutOfRange { name, path: path.to_string(), found, limit })
    }
}
