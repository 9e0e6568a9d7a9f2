//! `dedupe`: passes on the first of several events of one value.
//!
//! A value is remembered for a span of event time from the event that was passed on; repetitions do
//! not prolong it. Beyond the most that is remembered, the oldest are forgotten first, those of one
//! time in the order of their bytes, so that a restart changes nothing.

use std::collections::BTreeSet;

use bytes::Bytes;
use millrace_core::Event;
use millrace_plan::model::DedupeSettings;
use serde::Deserialize;
use serde::Serialize;

use crate::Cause;
use crate::Counted;
use crate::Emitter;
use crate::Operator;
use crate::RestoreError;
use crate::StateChange;
use crate::entity::Entity;
use crate::entity::EntityError;
use crate::entity::EntityRef;
use crate::state::KeyTable;
use crate::state::decode_key;
use crate::state::decode_value;
use crate::state::encode_key;
use crate::state::encode_value;

/// The operator.
pub(crate) struct Dedupe {
    settings: DedupeSettings,
    /// In milliseconds.
    within: i64,
    /// When each value was passed on, by its encoded [`Identity`].
    seen: KeyTable<i64>,
    /// The same in order of time.
    by_time: BTreeSet<(i64, Bytes)>,
}

/// What makes events the same.
#[derive(Serialize, Deserialize)]
enum Identity<E> {
    Id([u8; 16]),
    Value(E),
}

impl Dedupe {
    pub(crate) fn new(settings: DedupeSettings) -> Self {
        let within = i64::try_from(settings.within.as_millis()).unwrap_or(i64::MAX);
        Self { settings, within, seen: KeyTable::default(), by_time: BTreeSet::new() }
    }

    /// Whether the event is the first of its value.
    fn is_first(&mut self, event: &Event, out: &mut Emitter<'_>) -> Result<bool, EntityError> {
        let identity = match &self.settings.by {
            None => Identity::Id(*event.id.as_bytes()),
            Some(path) => Identity::Value(EntityRef::of(&event.value, path)?),
        };
        self.forget_before(event.time.saturating_sub(self.within));
        let key = Bytes::from(encode_key(&identity));
        if self.seen.get(&key).is_some() {
            return Ok(false);
        }
        while self.seen.len() >= self.settings.max_keys.max(1) {
            let Some((_, oldest)) = self.by_time.pop_first() else { break };
            self.seen.remove(&oldest);
            out.count(Counted::Forgotten);
        }
        self.seen.set(&key, event.time);
        self.by_time.insert((event.time, key));
        Ok(true)
    }

    fn forget_before(&mut self, horizon: i64) {
        while self.by_time.first().is_some_and(|(time, _)| *time < horizon) {
            if let Some((_, key)) = self.by_time.pop_first() {
                self.seen.remove(&key);
            }
        }
    }
}

impl Operator for Dedupe {
    fn process(&mut self, event: &Event, out: &mut Emitter<'_>) {
        match self.is_first(event, out) {
            Ok(true) => out.emit(&Cause::from(event), event.value.clone()),
            Ok(false) => out.count(Counted::Duplicate),
            Err(reason) => out.refuse(event, reason.to_string()),
        }
    }

    fn restore(&mut self, key: &[u8], value: &[u8]) -> Result<(), RestoreError> {
        let by_id = match decode_key::<Identity<Entity>>(key)? {
            Identity::Id(_) => true,
            Identity::Value(_) => false,
        };
        if by_id != self.settings.by.is_none() {
            return Err(RestoreError::Inconsistent("an event is known by something else"));
        }
        let (key, time) = (Bytes::copy_from_slice(key), decode_value(value)?);
        if let Some(other) = self.seen.get(&key) {
            self.by_time.remove(&(*other, key.clone()));
        }
        self.seen.restore(key.clone(), time);
        self.by_time.insert((time, key));
        Ok(())
    }

    fn take_changes(&mut self, change: &mut StateChange<'_>) {
        self.seen.take_changes(|key, time| change(key, time.map(encode_value)));
    }

    fn state_entries(&self) -> usize {
        self.seen.len()
    }
}
