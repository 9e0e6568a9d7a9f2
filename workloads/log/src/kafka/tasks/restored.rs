//! What a task's changelog says, as far as it was read.

use std::collections::BTreeMap;
use std::collections::HashMap;

use bytes::Bytes;
use millrace_core::Offset;
use millrace_core::Partition;
use millrace_core::StreamName;
use xxhash_rust::xxh3::Xxh3DefaultBuilder;

use super::keys;
use super::keys::Key;
use crate::InputPosition;
use crate::StateEntry;
use crate::TaskSnapshot;

/// A record that this program does not understand.
#[derive(Debug, thiserror::Error)]
#[error("it was written by a later program: use a newer Millrace")]
pub(super) struct NotUnderstood;

/// Bytes of memory that an entry takes beside its key and value, about: their handles, its place
/// in the map, and what the allocator rounds up.
const ENTRY_BYTES: usize = 128;

/// What a task's changelog says.
#[derive(Debug, Default)]
pub(super) struct Restored {
    state: HashMap<Bytes, Bytes, Xxh3DefaultBuilder>,
    bytes: usize,
    without_state: bool,
    positions: BTreeMap<(StreamName, Partition), InputPosition>,
    /// Up to where it was read.
    pub(super) end: Offset,
}

impl Restored {
    /// Of everything that is read, only positions are kept.
    pub(super) fn of_positions() -> Self {
        Self { without_state: true, ..Self::default() }
    }

    /// Takes a record over.
    pub(super) fn apply(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), NotUnderstood> {
        if keys::is_state(key) {
            if !self.without_state {
                self.change(key, value);
            }
            return Ok(());
        }
        match keys::parse(key).ok_or(NotUnderstood)? {
            Key::Touch | Key::State(..) => {}
            Key::Position(stream, partition) => {
                let at = (stream, partition);
                match value {
                    None => drop(self.positions.remove(&at)),
                    Some(value) => {
                        let position = keys::parse_position(at.0.clone(), partition, value)
                            .map_err(|_| NotUnderstood)?;
                        self.positions.insert(at, position);
                    }
                }
            }
        }
        Ok(())
    }

    fn change(&mut self, key: &[u8], value: Option<&[u8]>) {
        let Some(value) = value else {
            if let Some(gone) = self.state.remove(key) {
                self.bytes -= key.len() + gone.len();
            }
            return;
        };
        self.bytes += value.len();
        let value = Bytes::copy_from_slice(value);
        if let Some(known) = self.state.get_mut(key) {
            self.bytes -= known.len();
            *known = value;
        } else {
            self.bytes += key.len();
            self.state.insert(Bytes::copy_from_slice(key), value);
        }
    }

    /// Bytes of keys and values.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Entries of state.
    pub(super) fn entries(&self) -> usize {
        self.state.len()
    }

    /// Bytes of memory that the state takes, about.
    pub(super) fn footprint(&self) -> usize {
        self.bytes + self.state.len() * ENTRY_BYTES
    }

    /// Positions of inputs, in order.
    pub(super) fn positions(&self) -> Vec<InputPosition> {
        self.positions.values().cloned().collect()
    }

    /// State, ordered by (store, key).
    pub(super) fn state(&self) -> Result<Vec<StateEntry>, NotUnderstood> {
        entries(self.state.iter().map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    /// Keys of everything that is there.
    pub(super) fn keys(&self) -> Vec<Bytes> {
        let positions = self.positions.keys();
        let positions = positions.map(|(stream, partition)| keys::position(stream, *partition));
        positions.chain(self.state.keys().cloned()).collect()
    }

    /// All of it.
    pub(super) fn into_snapshot(self) -> Result<TaskSnapshot, NotUnderstood> {
        let positions = self.positions.into_values().collect();
        Ok(TaskSnapshot { state: entries(self.state.into_iter().collect())?, positions })
    }
}

fn entries(mut all: Vec<(Bytes, Bytes)>) -> Result<Vec<StateEntry>, NotUnderstood> {
    // Keys are made so that they order as (store, key) do.
    all.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    all.into_iter()
        .map(|(bytes, value)| match keys::parse(&bytes) {
            Some(Key::State(store, at)) => Ok(StateEntry { store, key: bytes.slice(at..), value }),
            _ => Err(NotUnderstood),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(store: &str, key: &'static [u8], value: &'static [u8]) -> StateEntry {
        let (key, value) = (Bytes::from_static(key), Bytes::from_static(value));
        StateEntry { store: store.to_owned(), key, value }
    }

    #[test]
    fn the_last_value_of_a_key_counts_and_none_removes_it() {
        let mut restored = Restored::default();
        for (store, key, value) in [
            ("b", &b"k"[..], Some(&b"1"[..])),
            ("a", b"z", Some(b"")),
            ("a", b"gone", Some(b"22")),
            ("b", b"k", Some(b"333")),
            ("a", b"gone", None),
            ("a", b"never", None),
        ] {
            restored.apply(&keys::state(store, key), value).unwrap();
        }
        assert_eq!(restored.bytes(), 2 * (1 + 1 + 2 + 1) + 3);
        let expected = vec![entry("a", b"z", b""), entry("b", b"k", b"333")];
        assert_eq!(restored.state().unwrap(), expected);
        assert_eq!(restored.into_snapshot().unwrap().state, expected);
    }

    #[test]
    fn positions_are_kept_for_each_partition_of_an_input() {
        let position = |stream: &str, partition, next| InputPosition {
            stream: stream.parse().unwrap(),
            partition,
            next,
            metadata: Bytes::new(),
        };
        let mut restored = Restored::default();
        for one in [position("b", 0, 1), position("a", 1, 2), position("b", 0, 5)] {
            let value = keys::position_value(&one).unwrap();
            let key = keys::position(&one.stream, one.partition);
            restored.apply(&key, Some(&value)).unwrap();
        }
        assert_eq!(restored.positions(), [position("a", 1, 2), position("b", 0, 5)]);
        restored.apply(&keys::position(&"b".parse().unwrap(), 0), None).unwrap();
        assert_eq!(restored.positions(), [position("a", 1, 2)]);
    }

    #[test]
    fn a_record_of_a_later_program_is_an_error() {
        assert!(Restored::default().apply(b"\x21x", Some(b"y")).is_err());
        let position = keys::position(&"a".parse().unwrap(), 0);
        assert!(Restored::default().apply(&position, Some(b"\x07")).is_err());
    }
}
