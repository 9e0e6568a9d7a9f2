//! Who a group is, as bytes: the event key where windows are per key, then the values of `by`.
//!
//! Texts and integers differ even where they look alike.

use bytes::Bytes;
use millrace_core::Event;
use millrace_core::FieldPath;

use crate::entity::Entity;
use crate::entity::EntityError;
use crate::entity::EntityRef;

const INTEGER: u8 = 0;
const TEXT: u8 = 1;

/// What makes a group.
pub(super) struct Grouping {
    /// The fields whose values make it.
    pub(super) by: Vec<FieldPath>,
    /// Whether the event key does, too.
    pub(super) per_key: bool,
}

/// A group's identity, read back.
pub(super) struct Identity {
    /// The event key; empty for a group over all keys.
    pub(super) key: Bytes,
    /// The values of `by`.
    pub(super) values: Vec<Entity>,
}

impl Grouping {
    /// Writes the identity of an event's group.
    pub(super) fn write(&self, event: &Event, identity: &mut Vec<u8>) -> Result<(), EntityError> {
        identity.clear();
        if self.per_key {
            put(&event.key, identity);
        }
        for path in &self.by {
            match EntityRef::of(&event.value, path)? {
                EntityRef::Integer(number) => {
                    identity.push(INTEGER);
                    identity.extend_from_slice(&number.to_be_bytes());
                }
                EntityRef::Text(text) => {
                    identity.push(TEXT);
                    put(text.as_bytes(), identity);
                }
            }
        }
        Ok(())
    }

    /// Reads an identity; none where it has another form.
    pub(super) fn read(&self, identity: &[u8]) -> Option<Identity> {
        let (key, mut rest) = if self.per_key { take(identity)? } else { (&[][..], identity) };
        let mut values = Vec::with_capacity(self.by.len());
        for _ in &self.by {
            let (form, after) = rest.split_first()?;
            let (value, after) = match *form {
                INTEGER => {
                    let (number, after) = after.split_first_chunk()?;
                    (Entity::Integer(i64::from_be_bytes(*number)), after)
                }
                TEXT => {
                    let (text, after) = take(after)?;
                    (Entity::Text(std::str::from_utf8(text).ok()?.into()), after)
                }
                _ => return None,
            };
            values.push(value);
            rest = after;
        }
        rest.is_empty().then(|| Identity { key: Bytes::copy_from_slice(key), values })
    }
}

/// Writes bytes behind their length.
fn put(bytes: &[u8], identity: &mut Vec<u8>) {
    // Keys and texts have at most 1024 bytes.
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    identity.extend_from_slice(&length.to_be_bytes());
    identity.extend_from_slice(bytes);
}

/// Reads bytes behind their length, and gives what follows.
fn take(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
}
