//! What a stream's partition holds: records and marks at offsets.

use bytes::Bytes;
use serde::Deserialize;
use serde::Serialize;

use crate::id::EventId;

/// Position in a partition. Offsets grow but need not be dense: a log may use some for itself.
pub type Offset = i64;

/// Number of a partition of a stream, from 0.
pub type Partition = i32;

/// Largest value of an event, in bytes: what a stream takes, and about the largest message of MQTT.
pub const MAX_VALUE_BYTES: usize = 16 << 20;

/// Header names that Millrace sets and reads; names of users' headers must differ.
pub mod header {
    /// W3C trace context of the request that brought the event.
    pub const TRACEPARENT: &str = "traceparent";
    /// The caller's correlation id.
    pub const CORRELATION_ID: &str = "correlationId";
}

/// Named values carried beside a record, in order. Most records have none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Headers(pub Vec<(String, Bytes)>);

impl Headers {
    /// The value of the first header of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Bytes> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, v)| v)
    }

    /// The value of the first header of this name as text, if it is UTF-8.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(|v| std::str::from_utf8(v).ok())
    }

    /// Adds a header at the end.
    pub fn push(&mut self, name: impl Into<String>, value: impl Into<Bytes>) {
        self.0.push((name.into(), value.into()));
    }
}

/// One event as the log keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Ordering key; its bytes choose the partition.
    pub key: Bytes,
    /// When it happened, in milliseconds since 1970-01-01T00:00:00Z.
    pub event_time: i64,
    /// When it reached us, in milliseconds since 1970-01-01T00:00:00Z. Not part of the content.
    pub ingest_time: i64,
    /// Identity of the event; equal ids mean the same event delivered again.
    pub id: EventId,
    /// Trace context, correlation id and the like. Not part of the content.
    pub headers: Headers,
    /// The event as JSON text (dead letters: the original bytes, whatever they are).
    pub value: Bytes,
}

/// A statement about event time in a partition, in its place among the records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mark {
    /// An ingested partition has been silent: nothing below this time is expected any more.
    Idle {
        /// The watermark from here on, in event-time milliseconds.
        watermark: i64,
    },
    /// A task that writes a derived stream has released everything below this time.
    Task {
        /// Partition number of the upstream task within its stage.
        task: Partition,
        /// The task's watermark, in event-time milliseconds.
        watermark: i64,
    },
}
