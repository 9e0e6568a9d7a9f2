//! Topics that others write: they are read as they are, and never altered.

use bytes::Bytes;
use millrace_core::EventId;
use millrace_core::Headers;
use millrace_core::Partition;
use millrace_core::Record;
use millrace_core::StreamName;
use rdkafka::message::Headers as _;
use rdkafka::message::Message;

use super::extent::Topic;
use super::topics::Topics;
use super::wire;
use super::wire::Arena;
use crate::AttachExternalError;
use crate::Entry;

/// Makes a topic readable as a stream of this name; returns how many partitions it has. Where it
/// is readable already, its extent is looked at anew.
pub(super) async fn attach(
    topics: &Topics,
    stream: &StreamName,
    name: &str,
) -> Result<Partition, AttachExternalError> {
    let topic = name.to_owned();
    let prefix = topics.prefix();
    if !prefix.is_empty() && name.starts_with(prefix) {
        return Err(AttachExternalError::Own { topic, prefix: prefix.to_owned() });
    }
    let unavailable =
        |reason: String| AttachExternalError::Unavailable { topic: name.to_owned(), reason };
    let described = topics.cluster().describe_topic(name).await;
    let Some(described) = described.map_err(|error| unavailable(error.to_string()))? else {
        topics.forget(stream);
        return Err(AttachExternalError::NotFound { topic });
    };
    let found = topics.know_external(stream, name, described.partitions);
    let measured = topics.cluster().measure(std::slice::from_ref(&found)).await;
    measured.map_err(|error| unavailable(error.to_string()))?;
    Ok(found.partitions())
}

/// The entry of a message of a topic, or what is wrong with it. Nothing can be wrong with those
/// that others write.
pub(super) fn decode(
    topic: &Topic,
    message: &impl Message,
    arena: &mut Arena,
) -> Result<Entry, String> {
    if !topic.is_external {
        return wire::decode(message, arena);
    }
    let mut headers = Headers::default();
    if let Some(given) = message.headers() {
        for header in given.iter() {
            headers.push(header.key, Bytes::copy_from_slice(header.value.unwrap_or_default()));
        }
    }
    let key = message.key().unwrap_or_default();
    let (key, value) = arena.key_and_value(key, message.payload().unwrap_or_default());
    // Messages without a timestamp are from before Kafka 0.10: as old as can be.
    let time = message.timestamp().to_millis().unwrap_or(0);
    let id = EventId::of_external(&topic.name, message.partition(), message.offset());
    Ok(Entry::Record(Record { key, event_time: time, ingest_time: time, id, headers, value }))
}

#[cfg(test)]
mod tests {
    use rdkafka::Timestamp;
    use rdkafka::message::Header;
    use rdkafka::message::OwnedHeaders;
    use rdkafka::message::OwnedMessage;

    use super::*;

    fn read(message: &OwnedMessage) -> Record {
        let topic = Topic::external("ingest.m".parse().unwrap(), "plant.v1".to_owned(), 3);
        match decode(&topic, message, &mut Arena::default()) {
            Ok(Entry::Record(record)) => record,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_message_of_others_is_taken_as_it_is_and_known_by_its_place() {
        let header = |key, value| Header { key, value };
        let headers = OwnedHeaders::new()
            .insert(header("unit", Some(&b"kg"[..])))
            .insert(header("none", None))
            .insert(header("unit", Some(&b"\xff"[..])));
        let (key, value) = (Some(b"k".to_vec()), Some(b"v".to_vec()));
        let time = Timestamp::LogAppendTime(1_700_000_000_000);
        let message = OwnedMessage::new(value, key, "plant.v1".into(), time, 2, 41, Some(headers));
        let mut expected = Headers::default();
        expected.push("unit", Bytes::from_static(b"kg"));
        expected.push("none", Bytes::new());
        expected.push("unit", Bytes::from_static(b"\xff"));
        assert_eq!(
            read(&message),
            Record {
                key: Bytes::from_static(b"k"),
                event_time: 1_700_000_000_000,
                ingest_time: 1_700_000_000_000,
                id: EventId::of_external("plant.v1", 2, 41),
                headers: expected,
                value: Bytes::from_static(b"v"),
            }
        );
    }

    #[test]
    fn a_message_without_anything_is_an_empty_record() {
        let time = Timestamp::NotAvailable;
        let message = OwnedMessage::new(None, None, "plant.v1".into(), time, 0, 0, None);
        let record = read(&message);
        assert_eq!((&record.key[..], &record.value[..]), (&b""[..], &b""[..]));
        assert_eq!(record.ingest_time, 0);
    }

    #[test]
    fn what_we_wrote_to_a_topic_of_others_is_read_as_theirs() {
        // Another pipeline's topic: its header is one among others.
        let headers = OwnedHeaders::new().insert(Header { key: "millrace", value: Some(&[9]) });
        let time = Timestamp::CreateTime(5);
        let message =
            OwnedMessage::new(Some(vec![b'v']), None, "plant.v1".into(), time, 0, 0, Some(headers));
        assert_eq!(read(&message).headers.get("millrace").map(|value| value[0]), Some(9));
    }
}
