//! `alert`: tells once when a condition has held for a while, and once when it has not held for a
//! while.
//!
//! Both are decided by events alone: by the one that comes when the time is over. Whom nothing is
//! wrong with takes no room.

use std::time::Duration;

use bytes::Bytes;
use millrace_core::Event;
use millrace_core::Value;
use millrace_core::key::KeyError;
use millrace_core::key::key_of;
use millrace_plan::model::AlertSettings;
use millrace_plan::program::Stopped;
use serde::Deserialize;
use serde::Serialize;

use crate::Cause;
use crate::Counted;
use crate::Emitter;
use crate::Operator;
use crate::RestoreError;
use crate::StateChange;
use crate::object::object;
use crate::state::KeyTable;
use crate::state::decode_key;
use crate::state::decode_value;
use crate::state::encode_key;
use crate::state::encode_value;

/// The operator.
pub(crate) struct Alert {
    settings: AlertSettings,
    /// In milliseconds.
    hold: i64,
    /// In milliseconds.
    until: i64,
    /// Those with whom something is wrong, or was until a moment ago.
    states: KeyTable<Trouble>,
}

/// Something is wrong. Times are event times in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Trouble {
    /// The condition holds since then, not for long enough yet.
    Pending { since: i64 },
    /// It was raised.
    Raised,
    /// It was raised, and the condition does not hold since then, not for long enough yet.
    Easing { since: i64 },
}

/// What is told of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Told {
    kind: &'static str,
    since: i64,
}

/// What an event leads to: the new state, none for nothing wrong, and what is told.
type Step = (Option<Trouble>, Option<Told>);

/// Why an event is refused.
#[derive(Debug, thiserror::Error)]
enum RefuseEvent {
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("the condition gave a value of type {0}, no boolean")]
    Type(String),
    #[error("{0}")]
    Failed(String),
    #[error("there are already {0} entities in trouble, as many as `maxEntities` allows")]
    TooMany(usize),
}

impl Alert {
    pub(crate) fn new(settings: AlertSettings) -> Self {
        let millis = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        let (hold, until) = (millis(settings.hold), millis(settings.until));
        Self { settings, hold, until, states: KeyTable::default() }
    }

    fn take(&mut self, event: &Event, out: &mut Emitter<'_>) -> Result<(), RefuseEvent> {
        let key = match &self.settings.by[..] {
            [] => event.key.clone(),
            by => key_of(&event.value, by)?,
        };
        let holds = match self.settings.when.value_of(event) {
            Ok(Value::Boolean(holds)) => holds,
            Ok(other) => return Err(RefuseEvent::Type(other.kind_str().to_owned())),
            Err(Stopped::Aborted) => {
                out.count(Counted::Filtered);
                return Ok(());
            }
            Err(Stopped::Failed(message)) => return Err(RefuseEvent::Failed(message)),
        };
        let before = self.states.get(&key).copied();
        let (after, told) = self.step(before, holds, event.time);
        if before.is_none() && after.is_some() && self.states.len() >= self.settings.max_entities {
            return Err(RefuseEvent::TooMany(self.settings.max_entities));
        }
        if after != before {
            self.change(&key, after);
        }
        if let Some(told) = told {
            out.emit(&Cause::from(event), self.described(event, told));
        }
        Ok(())
    }

    fn change(&mut self, key: &Bytes, after: Option<Trouble>) {
        match after {
            Some(trouble) => self.states.set(key, trouble),
            None => self.states.remove(key),
        }
    }

    fn step(&self, before: Option<Trouble>, holds: bool, time: i64) -> Step {
        match (before, holds) {
            (None | Some(Trouble::Pending { .. }), false) => (None, None),
            (None, true) => self.pending(time, time),
            (Some(Trouble::Pending { since }), true) => self.pending(since, time),
            (Some(Trouble::Raised | Trouble::Easing { .. }), true) => (Some(Trouble::Raised), None),
            (Some(Trouble::Raised), false) => self.easing(time, time),
            (Some(Trouble::Easing { since }), false) => self.easing(since, time),
        }
    }

    fn pending(&self, since: i64, time: i64) -> Step {
        if time.saturating_sub(since) >= self.hold {
            (Some(Trouble::Raised), Some(Told { kind: "raised", since }))
        } else {
            (Some(Trouble::Pending { since }), None)
        }
    }

    fn easing(&self, since: i64, time: i64) -> Step {
        if time.saturating_sub(since) >= self.until {
            (None, Some(Told { kind: "resolved", since }))
        } else {
            (Some(Trouble::Easing { since }), None)
        }
    }

    fn described(&self, event: &Event, told: Told) -> Value {
        let mut value = object([
            ("kind", Value::from(told.kind)),
            ("since", Value::Integer(told.since)),
            ("timestamp", Value::Integer(event.time)),
            ("event", event.value.clone()),
        ]);
        if let Value::Object(fields) = &mut value {
            for path in &self.settings.by {
                let of = path.get(&event.value).cloned().unwrap_or(Value::Null);
                fields.entry(path.leaf().into()).or_insert(of);
            }
        }
        value
    }
}

impl Operator for Alert {
    fn process(&mut self, event: &Event, out: &mut Emitter<'_>) {
        if let Err(reason) = self.take(event, out) {
            out.refuse(event, reason.to_string());
        }
    }

    fn restore(&mut self, key: &[u8], value: &[u8]) -> Result<(), RestoreError> {
        let key: &[u8] = decode_key(key)?;
        self.states.restore(Bytes::copy_from_slice(key), decode_value(value)?);
        Ok(())
    }

    fn take_changes(&mut self, change: &mut StateChange<'_>) {
        self.states.take_changes(|key, trouble| {
            change(&encode_key(&key.as_ref()), trouble.map(encode_value));
        });
    }

    fn state_entries(&self) -> usize {
        self.states.len()
    }
}
