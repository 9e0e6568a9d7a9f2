//! The form of a task's changelog: what keys and values of its partition mean.
//!
//! The first byte of a key says what it is of and in which version; a program refuses kinds that
//! it does not know, since leaving out what a later one wrote would be a wrong state. A record
//! without a value removes its key. Keys of state order as (store, key) do.

use bytes::Bytes;
use millrace_core::Offset;
use millrace_core::Partition;
use millrace_core::StreamName;
use serde::Deserialize;
use serde::Serialize;

use crate::InputPosition;

/// A commit that has neither state nor positions: it leaves a record all the same, from which
/// others see that the partition is written.
const TOUCH: u8 = 0x01;
/// A position, version 1.
const POSITION: u8 = 0x10;
/// An entry of state, version 1.
const STATE: u8 = 0x20;

/// Stands between a store's name and the key within it.
const END_OF_STORE: [u8; 2] = [0, 1];
/// A zero byte in a store's name.
const ZERO: [u8; 2] = [0, 0xff];

/// What a key of a changelog is of.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// Nothing that is kept.
    Touch,
    /// How far an input was read.
    Position(StreamName, Partition),
    /// State: its store, and where in the bytes the key within the store begins.
    State(String, usize),
}

/// The key of a commit that has neither state nor positions.
pub(super) fn touch() -> Bytes {
    Bytes::from_static(&[TOUCH])
}

/// The key of an entry of state.
pub(super) fn state(store: &str, key: &[u8]) -> Bytes {
    let mut bytes = Vec::with_capacity(1 + store.len() + END_OF_STORE.len() + key.len());
    bytes.push(STATE);
    for byte in store.bytes() {
        if byte == 0 { bytes.extend(ZERO) } else { bytes.push(byte) }
    }
    bytes.extend(END_OF_STORE);
    bytes.extend_from_slice(key);
    bytes.into()
}

/// The key of a position.
pub(super) fn position(stream: &StreamName, partition: Partition) -> Bytes {
    let mut bytes = vec![POSITION];
    bytes.extend(partition.to_be_bytes());
    bytes.extend_from_slice(stream.as_str().as_bytes());
    bytes.into()
}

/// Whether a key is of state, which is most of them.
pub(super) fn is_state(key: &[u8]) -> bool {
    key.first() == Some(&STATE)
}

/// What a key is of; none if a later program wrote it.
pub(super) fn parse(key: &[u8]) -> Option<Key> {
    let (kind, rest) = key.split_first()?;
    match *kind {
        TOUCH => Some(Key::Touch),
        POSITION => {
            let (partition, stream) = rest.split_first_chunk()?;
            let stream = str::from_utf8(stream).ok()?.parse().ok()?;
            Some(Key::Position(stream, Partition::from_be_bytes(*partition)))
        }
        STATE => {
            let mut store = Vec::new();
            let mut at = 0;
            loop {
                match (rest.get(at)?, rest.get(at + 1)) {
                    (0, Some(1)) => break,
                    (0, Some(0xff)) => {
                        store.push(0);
                        at += 2;
                    }
                    (0, _) => return None,
                    (byte, _) => {
                        store.push(*byte);
                        at += 1;
                    }
                }
            }
            Some(Key::State(String::from_utf8(store).ok()?, 1 + at + END_OF_STORE.len()))
        }
        _ => None,
    }
}

/// What is kept of a position beside its key. Variants are never changed, only added.
#[derive(Serialize, Deserialize)]
enum Value<'a> {
    V1 { next: Offset, metadata: &'a [u8] },
}

/// The value of a position.
pub(super) fn position_value(position: &InputPosition) -> Result<Bytes, postcard::Error> {
    let value = Value::V1 { next: position.next, metadata: &position.metadata };
    postcard::to_stdvec(&value).map(Bytes::from)
}

/// A position as its value says it.
pub(super) fn parse_position(
    stream: StreamName,
    partition: Partition,
    value: &[u8],
) -> Result<InputPosition, postcard::Error> {
    let Value::V1 { next, metadata } = postcard::from_bytes(value)?;
    let metadata = Bytes::copy_from_slice(metadata);
    Ok(InputPosition { stream, partition, next, metadata })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_state_come_back_and_order_as_store_and_key_do() {
        let mut pairs = [
            ("", &b"\x00\xff"[..]),
            ("a", b""),
            ("a", b"\x00\x01"),
            ("a", b"bc"),
            ("a", b"\xff"),
            ("a\0", b"a"),
            ("a\0\u{1}", b"a"),
            ("ab", b"c"),
            ("b", b"\x00"),
        ];
        pairs.sort_unstable();
        let keys: Vec<_> = pairs.iter().map(|(store, key)| state(store, key)).collect();
        assert!(keys.is_sorted(), "{keys:?}");
        for ((store, key), bytes) in pairs.iter().zip(&keys) {
            let Some(Key::State(parsed, at)) = parse(bytes) else { panic!("{bytes:?}") };
            assert_eq!((parsed.as_str(), &bytes[at..]), (*store, *key));
        }
    }

    #[test]
    fn positions_come_back() {
        let stream: StreamName = "laps.g1".parse().unwrap();
        let key = position(&stream, 300);
        assert_eq!(parse(&key), Some(Key::Position(stream.clone(), 300)));
        let position = InputPosition {
            stream: stream.clone(),
            partition: 300,
            next: 7,
            metadata: Bytes::from_static(b"m\0"),
        };
        let value = position_value(&position).unwrap();
        assert_eq!(&value[..], b"\x00\x0e\x02m\0");
        assert_eq!(parse_position(stream, 300, &value).unwrap(), position);
    }

    #[test]
    fn what_a_later_program_wrote_is_not_understood() {
        assert_eq!(parse(b""), None);
        assert_eq!(parse(b"\x02"), None);
        assert_eq!(parse(b"\x20without an end"), None);
        assert_eq!(parse(&touch()), Some(Key::Touch));
    }
}
