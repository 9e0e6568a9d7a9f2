//! Identity of events: derived from content wherever possible, so that a retry, a redelivery
//! and a replay have the same id.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::Serialize;
use uuid::Uuid;

use crate::record::Offset;
use crate::record::Partition;

/// Identity of an event: 128 bits in the form of a UUID.
///
/// Ids from content are UUIDs of version 8 over a BLAKE3 hash; ids made at ingest are UUIDs of
/// version 7. The order is that of the bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventId(Uuid);

impl EventId {
    /// The id of a declared identity (an `eventId` path or an idempotency key) in a stream.
    #[must_use]
    pub fn declared(stream: &str, declared: &[u8]) -> Self {
        Self::hash(b"declared", &[stream.as_bytes(), declared])
    }

    /// The id of an event that is known by its content alone.
    #[must_use]
    pub fn of_content(stream: &str, key: &[u8], value: &[u8]) -> Self {
        Self::hash(b"content", &[stream.as_bytes(), key, value])
    }

    /// The id of a record of a topic that others write: its place, which never changes.
    #[must_use]
    pub fn of_external(topic: &str, partition: Partition, offset: Offset) -> Self {
        Self::hash(
            b"external",
            &[topic.as_bytes(), &partition.to_be_bytes(), &offset.to_be_bytes()],
        )
    }

    /// The id of a processor's output. It names no offset: those differ between runs.
    #[must_use]
    pub fn of_output(
        processor: &str,
        generation: i32,
        key: &[u8],
        event_time: i64,
        cause: EventId,
        ordinal: u32,
    ) -> Self {
        Self::hash(
            b"output",
            &[
                processor.as_bytes(),
                &generation.to_be_bytes(),
                key,
                &event_time.to_be_bytes(),
                cause.as_bytes(),
                &ordinal.to_be_bytes(),
            ],
        )
    }

    /// The id of a dead letter: the same bytes refused again at the same place have the same id.
    #[must_use]
    pub fn of_dead_letter(stage: &str, context: &[u8], original: &[u8]) -> Self {
        Self::hash(b"dead-letter", &[stage.as_bytes(), context, original])
    }

    /// An id that was made elsewhere, such as a UUIDv7 at ingest.
    #[must_use]
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// The id as a UUID.
    #[must_use]
    pub const fn as_uuid(&self) -> Uuid {
        self.0
    }

    /// The 16 bytes of the id.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// Hashes length-prefixed parts, so that no two different lists of parts give the same bytes.
    fn hash(domain: &[u8], parts: &[&[u8]]) -> Self {
        let mut hasher = blake3::Hasher::new();
        for part in std::iter::once(&domain).chain(parts) {
            hasher.update(&(part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        Self(uuid::Builder::from_custom_bytes(bytes).into_uuid())
    }
}

impl From<[u8; 16]> for EventId {
    fn from(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }
}

impl FromStr for EventId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::parse_str(text).map(Self)
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_content_has_the_same_id_in_every_version_of_the_program() {
        let id = EventId::of_content("coordinates", b"race", br#"{"carIndex":1}"#);
        assert_eq!(id, EventId::of_content("coordinates", b"race", br#"{"carIndex":1}"#));
        assert_eq!(id.as_uuid().get_version_num(), 8);
    }

    #[test]
    fn a_record_of_a_topic_is_known_by_its_place_alone() {
        let id = EventId::of_external("plant.meters.v1", 3, 41);
        assert_eq!(id.to_string(), "743fda0b-d538-8a52-8918-c1d2600366d5");
        assert_ne!(id, EventId::of_external("plant.meters.v1", 41, 3));
        assert_ne!(id, EventId::of_external("plant.meters.v2", 3, 41));
    }

    #[test]
    fn moving_a_byte_between_parts_changes_the_id() {
        assert_ne!(EventId::of_content("a", b"bc", b"d"), EventId::of_content("ab", b"c", b"d"));
        assert_ne!(EventId::of_content("a", b"b", b""), EventId::declared("a", b"b"));
    }
}
