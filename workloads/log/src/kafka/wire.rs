//! What an entry is as a message, version 1. Pure.
//!
//! Key and value of a record are those of the message, its arrival time is the message's
//! timestamp, its headers are headers. All that Kafka has no place for is in one header of ours,
//! the first: `millrace`. One is much cheaper than several, to write and to read.
//!
//! ```text
//! 1 byte    version: 1
//! 1 byte    kind: 0 record, 1 record with arrival time, 2 record with arrival time and headers, 3 mark
//! record:   event time, 8 bytes big-endian; id, 16 bytes;
//!           kinds 1 and 2: arrival time, 8 bytes big-endian;
//!           kind 2: headers, postcard
//! mark:     postcard; the message has neither key nor value
//! ```

use bytes::Bytes;
use bytes::BytesMut;
use millrace_core::EventId;
use millrace_core::Mark;
use millrace_core::Record;
use rdkafka::Timestamp;
use rdkafka::message::Header;
use rdkafka::message::Headers as _;
use rdkafka::message::Message;
use rdkafka::message::OwnedHeaders;

use crate::Entry;

/// The name of our header.
pub(super) const HEADER: &str = "millrace";
const VERSION: u8 = 1;

const RECORD: u8 = 0;
const RECORD_WITH_ARRIVAL: u8 = 1;
const RECORD_WITH_HEADERS: u8 = 2;
const MARK: u8 = 3;

/// Where the parts of our header end.
const EVENT_TIME_END: usize = 2 + 8;
const ID_END: usize = EVENT_TIME_END + 16;
const ARRIVAL_END: usize = ID_END + 8;

/// Timestamps that brokers and their tools take as they are: after 1970, until the year 9999.
const TIMESTAMPS: std::ops::RangeInclusive<i64> = 1..=253_402_300_799_999;

/// Memory for keys and values that are read together: one allocation serves many messages.
const ARENA_BYTES: usize = 64 << 10;

/// An entry as a message; keys and values are not copied.
pub(super) struct Encoded<'a> {
    pub(super) key: Option<&'a [u8]>,
    pub(super) value: &'a [u8],
    /// None: the time of sending.
    pub(super) timestamp: Option<i64>,
    pub(super) headers: OwnedHeaders,
}

/// The entry as a message.
pub(super) fn encode(entry: &Entry) -> Encoded<'_> {
    match entry {
        Entry::Record(record) => encode_record(record),
        Entry::Mark(mark) => encode_mark(mark),
    }
}

fn encode_record(record: &Record) -> Encoded<'_> {
    let Record { key, event_time, ingest_time, id, headers, value } = record;
    let has_timestamp = TIMESTAMPS.contains(ingest_time);
    let has_plain_headers = headers.0.iter().all(|(name, _)| is_plain(name));
    let mut ours = [0; ARRIVAL_END];
    ours[0] = VERSION;
    ours[2..EVENT_TIME_END].copy_from_slice(&event_time.to_be_bytes());
    ours[EVENT_TIME_END..ID_END].copy_from_slice(id.as_bytes());
    ours[ID_END..].copy_from_slice(&ingest_time.to_be_bytes());
    let written = if !has_plain_headers {
        ours[1] = RECORD_WITH_HEADERS;
        let ours = postcard::to_extend(headers, ours.to_vec()).unwrap_or_default();
        first_header(0, &ours)
    } else if has_timestamp {
        ours[1] = RECORD;
        first_header(headers.0.len(), &ours[..ID_END])
    } else {
        ours[1] = RECORD_WITH_ARRIVAL;
        first_header(headers.0.len(), &ours)
    };
    let headers = if has_plain_headers {
        headers.0.iter().fold(written, |written, (name, value)| {
            written.insert(Header { key: name, value: Some(value.as_ref()) })
        })
    } else {
        written
    };
    Encoded { key: Some(key), value, timestamp: has_timestamp.then_some(*ingest_time), headers }
}

fn encode_mark(mark: &Mark) -> Encoded<'static> {
    let ours = postcard::to_extend(mark, vec![VERSION, MARK]).unwrap_or_default();
    Encoded { key: None, value: &[], timestamp: None, headers: first_header(0, &ours) }
}

fn first_header(following: usize, ours: &[u8]) -> OwnedHeaders {
    OwnedHeaders::new_with_capacity(1 + following).insert(Header { key: HEADER, value: Some(ours) })
}

/// Whether Kafka's headers can have this name: librdkafka ends it at a zero.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && !name.contains('\0')
}

/// Memory for what is read.
#[derive(Default)]
pub(super) struct Arena(BytesMut);

impl Arena {
    pub(super) fn key_and_value(&mut self, key: &[u8], value: &[u8]) -> (Bytes, Bytes) {
        let bytes = key.len() + value.len();
        if bytes > self.0.capacity() {
            self.0 = BytesMut::with_capacity(bytes.max(ARENA_BYTES));
        }
        self.0.extend_from_slice(key);
        self.0.extend_from_slice(value);
        let mut both = self.0.split().freeze();
        let key = both.split_to(key.len());
        (key, both)
    }
}

/// The entry of a message, or what is wrong with it.
pub(super) fn decode(message: &impl Message, arena: &mut Arena) -> Result<Entry, String> {
    let headers = message.headers();
    let ours = headers
        .filter(|headers| headers.count() > 0)
        .map(|headers| headers.get(0))
        .filter(|first| first.key == HEADER)
        .and_then(|first| first.value);
    let Some(ours) = ours else {
        return Err(format!(
            "its first header is not `{HEADER}`: it was not written by Millrace, and only Millrace may write to this \
             topic. Let events from elsewhere in by `ingest`"
        ));
    };
    match *ours {
        [VERSION, MARK, ref mark @ ..] => {
            postcard::from_bytes(mark).map(Entry::Mark).map_err(|error| damaged(&error.to_string()))
        }
        [VERSION, kind @ (RECORD | RECORD_WITH_ARRIVAL | RECORD_WITH_HEADERS), ..] => {
            decode_record(message, kind, ours, arena).map(Entry::Record)
        }
        [VERSION, ..] | [] => Err(damaged("its kind is unknown")),
        [version, ..] => Err(format!(
            "it has format {version}, this program reads {VERSION}: use a newer Millrace"
        )),
    }
}

fn decode_record(
    message: &impl Message,
    kind: u8,
    ours: &[u8],
    arena: &mut Arena,
) -> Result<Record, String> {
    let short = || damaged("it is too short");
    let event_time = number(ours, 2).ok_or_else(short)?;
    let id = ours.get(EVENT_TIME_END..ID_END).and_then(|id| <[u8; 16]>::try_from(id).ok());
    let id = EventId::from(id.ok_or_else(short)?);
    let ingest_time = match (kind, message.timestamp()) {
        (RECORD, Timestamp::CreateTime(time) | Timestamp::LogAppendTime(time)) => time,
        (RECORD, Timestamp::NotAvailable) => {
            return Err("it has no timestamp: set the topic's message.timestamp.type".to_owned());
        }
        _ => number(ours, ID_END).ok_or_else(short)?,
    };
    let headers = if kind == RECORD_WITH_HEADERS {
        let headers = ours.get(ARRIVAL_END..).ok_or_else(short)?;
        postcard::from_bytes(headers).map_err(|error| damaged(&error.to_string()))?
    } else {
        users_headers(message)
    };
    let key = message.key().unwrap_or_default();
    let (key, value) = arena.key_and_value(key, message.payload().unwrap_or_default());
    Ok(Record { key, event_time, ingest_time, id, headers, value })
}

fn users_headers(message: &impl Message) -> millrace_core::Headers {
    let mut users = millrace_core::Headers::default();
    if let Some(headers) = message.headers() {
        for header in headers.iter().skip(1) {
            users.push(header.key, Bytes::copy_from_slice(header.value.unwrap_or_default()));
        }
    }
    users
}

fn number(bytes: &[u8], at: usize) -> Option<i64> {
    let bytes = bytes.get(at..at + 8)?;
    Some(i64::from_be_bytes(bytes.try_into().ok()?))
}

fn damaged(what: &str) -> String {
    format!("its header `{HEADER}` cannot be read: {what}")
}

#[cfg(test)]
mod tests {
    use millrace_core::Headers;
    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;
    use rdkafka::message::OwnedMessage;

    use super::*;

    /// The message as a broker would give it back.
    fn message(entry: &Entry) -> OwnedMessage {
        let Encoded { key, value, timestamp, headers } = encode(entry);
        let timestamp = Timestamp::CreateTime(timestamp.unwrap_or(1_700_000_000_000));
        let key = key.map(<[u8]>::to_vec);
        OwnedMessage::new(Some(value.to_vec()), key, "t".into(), timestamp, 0, 0, Some(headers))
    }

    fn with_header(ours: &[u8]) -> OwnedMessage {
        let headers = first_header(0, ours);
        let timestamp = Timestamp::CreateTime(5);
        OwnedMessage::new(None, None, "t".into(), timestamp, 0, 0, Some(headers))
    }

    fn record() -> impl Strategy<Value = Entry> {
        let bytes = || vec(any::<u8>(), 0..40).prop_map(Bytes::from);
        let headers = vec((any::<String>(), bytes()), 0..4).prop_map(Headers);
        let time = prop_oneof![any::<i64>(), 1_600_000_000_000..1_800_000_000_000_i64];
        (bytes(), any::<i64>(), time, any::<[u8; 16]>(), headers, bytes()).prop_map(
            |(key, event_time, ingest_time, id, headers, value)| {
                let id = EventId::from(id);
                Entry::Record(Record { key, event_time, ingest_time, id, headers, value })
            },
        )
    }

    fn mark() -> impl Strategy<Value = Entry> {
        (option::of(any::<i32>()), any::<i64>()).prop_map(|(task, watermark)| {
            Entry::Mark(match task {
                Some(task) => Mark::Task { task, watermark },
                None => Mark::Idle { watermark },
            })
        })
    }

    proptest! {
        #[test]
        fn entries_come_back_as_they_were(entries in vec(prop_oneof![record(), mark()], 1..20)) {
            let mut arena = Arena::default();
            let read: Vec<_> =
                entries.iter().map(|e| decode(&message(e), &mut arena).unwrap()).collect();
            prop_assert_eq!(read, entries);
        }

        #[test]
        fn no_header_of_ours_makes_us_fail_otherwise_than_by_an_error(ours in vec(any::<u8>(), 0..60)) {
            drop(decode(&with_header(&ours), &mut Arena::default()));
        }
    }

    #[test]
    fn the_format_stays_as_it_is() {
        let mut headers = Headers::default();
        headers.push("traceparent", Bytes::from_static(b"t"));
        let entry = Entry::Record(Record {
            key: Bytes::from_static(b"k"),
            event_time: -2,
            ingest_time: 1_700_000_000_000,
            id: EventId::from([7; 16]),
            headers,
            value: Bytes::from_static(b"v"),
        });
        let Encoded { key, value, timestamp, headers } = encode(&entry);
        assert_eq!((key, value, timestamp), (Some(&b"k"[..]), &b"v"[..], Some(1_700_000_000_000)));
        let mut ours = vec![1, 0, 255, 255, 255, 255, 255, 255, 255, 254];
        ours.extend([7; 16]);
        assert_eq!(headers.count(), 2);
        assert_eq!(headers.get(0), Header { key: "millrace", value: Some(&ours[..]) });
        assert_eq!(headers.get(1), Header { key: "traceparent", value: Some(&b"t"[..]) });

        let idle = Entry::Mark(Mark::Idle { watermark: -1 });
        let expected = Header { key: "millrace", value: Some(&[1, 3, 0, 1][..]) };
        assert_eq!(encode(&idle).headers.get(0), expected);
    }

    #[test]
    fn a_foreign_message_is_told_as_such() {
        let timestamp = Timestamp::CreateTime(5);
        let foreign = OwnedMessage::new(None, None, "t".into(), timestamp, 0, 0, None);
        let error = decode(&foreign, &mut Arena::default()).unwrap_err();
        assert!(error.contains("not written by Millrace"), "{error}");
    }

    #[test]
    fn a_later_version_is_refused() {
        let error = decode(&with_header(&[2, 0, 1]), &mut Arena::default()).unwrap_err();
        assert_eq!(error, "it has format 2, this program reads 1: use a newer Millrace");
        assert!(decode(&with_header(&[1, 9]), &mut Arena::default()).is_err());
        assert!(decode(&with_header(&[1, 0, 3]), &mut Arena::default()).is_err());
        assert!(decode(&with_header(&[]), &mut Arena::default()).is_err());
    }

    #[test]
    fn what_is_read_together_shares_memory() {
        let mut arena = Arena::default();
        let (key, value) = arena.key_and_value(b"key", b"value");
        let (next, _) = arena.key_and_value(b"next", b"");
        assert_eq!((&key[..], &value[..], &next[..]), (&b"key"[..], &b"value"[..], &b"next"[..]));
        assert_eq!(value.as_ptr() as usize, key.as_ptr() as usize + 3);
        assert_eq!(next.as_ptr() as usize, key.as_ptr() as usize + 8);
    }
}
