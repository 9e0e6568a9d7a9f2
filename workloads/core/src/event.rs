//! An event on its way through processors: a record whose value has been parsed.

use std::sync::Arc;

use bytes::Bytes;

use crate::id::EventId;
use crate::record::Headers;
use crate::record::Record;

/// A JSON value as processors and VRL see it. Object fields are ordered by name, so that the same
/// value is always the same text.
pub type Value = vrl::value::Value;

/// The text of a string value, whichever of VRL's two forms it has.
#[must_use]
pub fn text(value: &Value) -> Option<&str> {
    match value {
        Value::Bytes(bytes) => std::str::from_utf8(bytes).ok(),
        Value::String(text) => Some(text),
        _ => None,
    }
}

/// An event, parsed once and passed by reference from processor to processor.
#[derive(Debug, Clone)]
pub struct Event {
    /// The stream it was read from, or the processor that made it.
    pub stream: Arc<str>,
    /// Ordering key.
    pub key: Bytes,
    /// Event time in milliseconds since 1970-01-01T00:00:00Z.
    pub time: i64,
    /// Arrival time of the event that caused it, in the same unit.
    pub ingest_time: i64,
    /// Identity.
    pub id: EventId,
    /// Headers of the record that caused it; shared, since they rarely differ.
    pub headers: Arc<Headers>,
    /// The event itself.
    pub value: Value,
}

impl Event {
    /// Parses a record of a stream.
    ///
    /// # Errors
    /// When the record's value is not JSON.
    pub fn parse(stream: Arc<str>, record: Record) -> Result<Self, serde_json::Error> {
        Ok(Self {
            value: serde_json::from_slice(&record.value)?,
            stream,
            key: record.key,
            time: record.event_time,
            ingest_time: record.ingest_time,
            id: record.id,
            headers: Arc::new(record.headers),
        })
    }
}
