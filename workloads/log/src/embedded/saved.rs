//! Bookkeeping as it is stored: a format byte and postcard.

use std::time::Duration;

use bytes::Bytes;
use millrace_core::Offset;
use millrace_core::Partition;
use millrace_core::StreamName;
use millrace_plan::model::Retention;
use serde::Deserialize;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::InputPosition;
use crate::StreamConfig;

const FORMAT: u8 = 1;

/// A stream's settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SavedStream {
    name: StreamName,
    partitions: Partition,
    retention_time: Option<Duration>,
    retention_bytes: Option<u64>,
}

impl From<&StreamConfig> for SavedStream {
    fn from(config: &StreamConfig) -> Self {
        Self {
            name: config.name.clone(),
            partitions: config.partitions,
            retention_time: config.retention.time,
            retention_bytes: config.retention.bytes,
        }
    }
}

impl From<SavedStream> for StreamConfig {
    fn from(saved: SavedStream) -> Self {
        Self {
            name: saved.name,
            partitions: saved.partitions,
            retention: Retention { time: saved.retention_time, bytes: saved.retention_bytes },
        }
    }
}

/// A task's position in an input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SavedPosition {
    stream: StreamName,
    partition: Partition,
    next: Offset,
    metadata: Bytes,
}

impl From<InputPosition> for SavedPosition {
    fn from(position: InputPosition) -> Self {
        Self {
            stream: position.stream,
            partition: position.partition,
            next: position.next,
            metadata: position.metadata,
        }
    }
}

impl From<SavedPosition> for InputPosition {
    fn from(saved: SavedPosition) -> Self {
        Self {
            stream: saved.stream,
            partition: saved.partition,
            next: saved.next,
            metadata: saved.metadata,
        }
    }
}

/// Encodes a piece of bookkeeping.
pub(super) fn encode(value: &impl Serialize) -> Bytes {
    postcard::to_extend(value, vec![FORMAT])
        .expect("plain data without custom serialisation can be encoded")
        .into()
}

/// Decodes a piece of bookkeeping.
pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, &'static str> {
    match bytes.split_first() {
        Some((&FORMAT, rest)) => {
            postcard::from_bytes(rest).map_err(|_| "bookkeeping cannot be decoded")
        }
        Some(_) => Err("bookkeeping has an unknown format"),
        None => Err("bookkeeping is empty"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bookkeeping_is_read_back_and_anything_else_refused() {
        let position = SavedPosition {
            stream: "a".parse().unwrap(),
            partition: 1,
            next: 7,
            metadata: Bytes::from_static(b"x"),
        };
        let bytes = encode(&position);
        assert_eq!(decode(&bytes), Ok(position));
        assert_eq!(decode::<SavedPosition>(&bytes[..3]), Err("bookkeeping cannot be decoded"));
        assert_eq!(decode::<SavedPosition>(&[2, 0]), Err("bookkeeping has an unknown format"));
        assert_eq!(decode::<SavedPosition>(&[]), Err("bookkeeping is empty"));
    }
}
