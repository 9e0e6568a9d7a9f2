//! Dead letters: what could not be decoded, validated, mapped, computed or written, with the
//! original bytes, the place and the reason.

use bytes::Bytes;
use serde::Deserialize;
use serde::Serialize;

use crate::id::EventId;
use crate::record::Headers;
use crate::record::Offset;
use crate::record::Partition;
use crate::record::Record;

/// Header names of a dead letter's record.
const STAGE: &str = "deadLetterStage";
const REASON: &str = "deadLetterReason";
const CONTEXT: &str = "deadLetterContext";
const SOURCE: &str = "deadLetterSource";

/// Longest reason kept, in bytes; a longer one is cut.
pub const MAX_REASON_BYTES: usize = 4096;

/// Where a dead letter's event stood in a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SourcePosition {
    /// The stream it was read from.
    pub stream: String,
    /// Its partition.
    pub partition: Partition,
    /// Its offset.
    pub offset: Offset,
}

/// Something that was not processed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Who refused it: `ingest/<name>`, `stream/<name>`, `processor/<name>` or `sink/<name>`.
    pub stage: String,
    /// Why, for a person.
    pub reason: String,
    /// How it came in: the MQTT topic or the request's path. Empty where there is none.
    pub context: String,
    /// Where it stood, if it was read from a stream.
    pub source: Option<SourcePosition>,
    /// Key of the event, empty if it never had one.
    pub key: Bytes,
    /// Event time in milliseconds; arrival time if it never had one.
    pub event_time: i64,
    /// Arrival time in milliseconds.
    pub ingest_time: i64,
    /// Identity: the same event refused at the same place has the same id.
    pub id: EventId,
    /// The bytes as they came.
    pub original: Bytes,
}

impl DeadLetter {
    /// The record that the stream of dead letters keeps.
    #[must_use]
    pub fn into_record(self) -> Record {
        let mut headers = Headers::default();
        headers.push(STAGE, self.stage);
        let mut reason = self.reason;
        reason.truncate(reason.floor_char_boundary(MAX_REASON_BYTES));
        headers.push(REASON, reason);
        if !self.context.is_empty() {
            headers.push(CONTEXT, self.context);
        }
        if let Some(source) = self.source {
            headers
                .push(SOURCE, format!("{}/{}/{}", source.stream, source.partition, source.offset));
        }
        Record {
            key: self.key,
            event_time: self.event_time,
            ingest_time: self.ingest_time,
            id: self.id,
            headers,
            value: self.original,
        }
    }

    /// Reads a dead letter back from its record; missing headers read as empty.
    #[must_use]
    pub fn from_record(record: Record) -> Self {
        let text = |name| record.headers.text(name).unwrap_or_default().to_owned();
        let source = record.headers.text(SOURCE).and_then(|text| {
            let (rest, offset) = text.rsplit_once('/')?;
            let (stream, partition) = rest.rsplit_once('/')?;
            Some(SourcePosition {
                stream: stream.to_owned(),
                partition: partition.parse().ok()?,
                offset: offset.parse().ok()?,
            })
        });
        Self {
            stage: text(STAGE),
            reason: text(REASON),
            context: text(CONTEXT),
            source,
            key: record.key,
            event_time: record.event_time,
            ingest_time: record.ingest_time,
            id: record.id,
            original: record.value,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_letter_survives_its_record_with_bytes_that_are_not_text() {
        let letter = DeadLetter {
            stage: "processor/motion".into(),
            reason: "latitude 91 is outside of [-90, 90]".into(),
            context: "carCoordinates/spa".into(),
            source: Some(SourcePosition { stream: "coordinates".into(), partition: 3, offset: 42 }),
            key: "spa".into(),
            event_time: 7,
            ingest_time: 8,
            id: EventId::of_dead_letter("processor/motion", b"", b"\xff\x00"),
            original: Bytes::from_static(b"\xff\x00"),
        };
        assert_eq!(DeadLetter::from_record(letter.clone().into_record()), letter);
    }
}
