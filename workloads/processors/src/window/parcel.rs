//! What a task has of the groups of a pane, as an event that another task can merge.
//!
//! The event's value has the pane's `start` and `end`, a `format`, and in `groups` the identities
//! and the aggregates of groups: postcard as base64, which is JSON and small.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use millrace_core::Value;
use millrace_core::event::text;

use super::identity::Grouping;
use super::layout::Layout;
use super::pane::Pane;
use crate::object::object;

/// The key of all of them, and the value of the field that makes it.
pub(super) const KEY: &str = "all";

/// The field that makes the key.
const KEY_FIELD: &str = "window";

/// The format that is written, and the latest that is read.
const FORMAT: i64 = 1;

/// A parcel that has this many bytes is full: the groups of a pane may need several.
const FULL: usize = 1 << 20;

/// Groups of a pane, with what a task has of each.
#[derive(Default)]
pub(super) struct Parcel(Vec<u8>);

/// Why a parcel cannot be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum ReadParcel {
    #[error("the partial window has format {found}, this program reads up to {FORMAT}")]
    Format { found: i64 },
    #[error("the partial window is damaged: {0}")]
    Damaged(&'static str),
}

impl Parcel {
    /// Adds a group.
    pub(super) fn add(&mut self, identity: &[u8], pane: &Pane) {
        let bytes = std::mem::take(&mut self.0);
        self.0 =
            postcard::to_extend(&(identity, pane), bytes).expect("plain data always serialises");
    }

    pub(super) fn is_full(&self) -> bool {
        self.0.len() >= FULL
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The event's value, for a pane from `start` to `end`. The parcel is empty then.
    pub(super) fn take(&mut self, (start, end): (i64, i64)) -> Value {
        let groups = STANDARD.encode(&self.0);
        self.0.clear();
        object([
            (KEY_FIELD, Value::from(KEY)),
            ("start", Value::Integer(start)),
            ("end", Value::Integer(end)),
            ("format", Value::Integer(FORMAT)),
            ("groups", Value::from(groups)),
        ])
    }
}

/// The identity of a group, and what a task has of it.
pub(super) type Group = (Vec<u8>, Pane);

/// The end of a parcel's pane, and its groups, all of them sound.
pub(super) fn read(
    value: &Value,
    layout: &Layout,
    grouping: &Grouping,
) -> Result<(i64, Vec<Group>), ReadParcel> {
    let Value::Object(fields) = value else { return Err(ReadParcel::Damaged("it is no object")) };
    match fields.get("format") {
        Some(Value::Integer(FORMAT)) => {}
        Some(Value::Integer(found)) => return Err(ReadParcel::Format { found: *found }),
        _ => return Err(ReadParcel::Damaged("it has no format")),
    }
    let Some(Value::Integer(end)) = fields.get("end") else {
        return Err(ReadParcel::Damaged("it has no end"));
    };
    let encoded = fields.get("groups").and_then(text);
    let bytes = encoded
        .and_then(|encoded| STANDARD.decode(encoded).ok())
        .ok_or(ReadParcel::Damaged("its groups cannot be decoded"))?;
    let mut groups = Vec::new();
    let mut rest = &bytes[..];
    while !rest.is_empty() {
        let ((identity, pane), after): ((&[u8], Pane), _) = postcard::take_from_bytes(rest)
            .map_err(|_| ReadParcel::Damaged("its groups cannot be decoded"))?;
        if grouping.read(identity).is_none() || !pane.is_sound(layout) {
            return Err(ReadParcel::Damaged("a group is not one of these aggregates"));
        }
        groups.push((identity.to_vec(), pane));
        rest = after;
    }
    Ok((*end, groups))
}
