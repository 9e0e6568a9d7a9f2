//! `enrich`: adds to each event the value that another stream has for its key as of its time.
//!
//! The value of a key is the latest event of the other stream in release order. At equal times it
//! comes first, so that events wait for the end of their time; none waits longer, and none is ever
//! part of the state. Values that have become too old for any event to come are forgotten.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use millrace_core::Event;
use millrace_core::Value;
use millrace_plan::model::EnrichSettings;
use millrace_plan::model::Missing;
use serde::Deserialize;
use serde::Serialize;

use crate::Cause;
use crate::Counted;
use crate::Emitter;
use crate::Operator;
use crate::RestoreError;
use crate::StateChange;
use crate::state::KeyTable;
use crate::state::decode_key;
use crate::state::decode_value;
use crate::state::encode_key;
use crate::state::encode_value;

/// The operator.
pub(crate) struct Enrich {
    settings: EnrichSettings,
    /// In milliseconds.
    max_age: Option<i64>,
    values: KeyTable<Latest>,
    /// Keys by the time of their value, where values become too old.
    by_time: BTreeSet<(i64, Bytes)>,
    /// Events of the current time.
    waiting: Vec<Event>,
}

/// The value of a key.
struct Latest {
    time: i64,
    value: Value,
}

/// The value of a key as it is stored: the value as JSON text.
#[derive(Serialize, Deserialize)]
struct Stored<'a> {
    time: i64,
    #[serde(borrow)]
    json: &'a str,
}

/// Why an event is refused.
#[derive(Debug, thiserror::Error)]
enum RefuseEvent {
    #[error("the event is not an object, so nothing can be added to it")]
    Form,
    #[error("`{0}` has no value for the key at this time")]
    Missing(String),
    #[error("there are already values of {0} keys, as many as `maxKeys` allows")]
    TooMany(usize),
    #[error("the value cannot be kept: {0}")]
    Value(#[source] serde_json::Error),
}

impl Enrich {
    pub(crate) fn new(settings: EnrichSettings) -> Self {
        let millis = |age: Duration| i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
        let max_age = settings.max_age.map(millis);
        Self {
            settings,
            max_age,
            values: KeyTable::default(),
            by_time: BTreeSet::new(),
            waiting: Vec::new(),
        }
    }

    fn keep(&mut self, event: &Event) -> Result<(), RefuseEvent> {
        self.forget_old(event.time);
        let limit = self.settings.max_keys;
        if self.values.get(&event.key).is_none() && self.values.len() >= limit {
            return Err(RefuseEvent::TooMany(limit));
        }
        let value = as_stored(&event.value).map_err(RefuseEvent::Value)?;
        self.note_time(&event.key, event.time);
        self.values.set(&event.key, Latest { time: event.time, value });
        Ok(())
    }

    /// Forgets the values that no event can take any more: none comes before this time.
    fn forget_old(&mut self, now: i64) {
        let Some(max_age) = self.max_age else { return };
        let horizon = now.saturating_sub(max_age);
        while self.by_time.first().is_some_and(|(time, _)| *time < horizon) {
            if let Some((_, key)) = self.by_time.pop_first() {
                self.values.remove(&key);
            }
        }
    }

    /// Notes the time of a key's new value, which is not set yet.
    fn note_time(&mut self, key: &Bytes, time: i64) {
        if self.max_age.is_none() {
            return;
        }
        if let Some(before) = self.values.get(key).filter(|before| before.time != time) {
            self.by_time.remove(&(before.time, key.clone()));
        }
        self.by_time.insert((time, key.clone()));
    }

    /// The value of the event's key, unless it is too old.
    fn value_for(&self, event: &Event) -> Option<&Value> {
        let latest = self.values.get(&event.key)?;
        let age = event.time.saturating_sub(latest.time);
        self.max_age.is_none_or(|most| age <= most).then_some(&latest.value)
    }

    fn complete(&self, event: Event, out: &mut Emitter<'_>) {
        let value = match (self.value_for(&event), self.settings.missing) {
            (Some(value), _) => value.clone(),
            (None, Missing::Null) => Value::Null,
            (None, Missing::Drop) => return out.count(Counted::Filtered),
            (None, Missing::DeadLetter) => {
                let reason = RefuseEvent::Missing(self.settings.with.clone());
                return out.refuse(&event, reason.to_string());
            }
        };
        let cause = Cause::from(&event);
        let mut completed = event.value;
        if let Value::Object(fields) = &mut completed {
            fields.insert(self.settings.field.as_str().into(), value);
        }
        out.emit(&cause, completed);
    }
}

/// The value as a restart gives it back: types that JSON does not have have become texts.
fn as_stored(value: &Value) -> Result<Value, serde_json::Error> {
    if is_json(value) {
        return Ok(value.clone());
    }
    serde_json::from_slice(&serde_json::to_vec(value)?)
}

fn is_json(value: &Value) -> bool {
    match value {
        Value::Regex(_) | Value::Timestamp(_) => false,
        Value::Object(fields) => fields.values().all(is_json),
        Value::Array(items) => items.iter().all(is_json),
        _ => true,
    }
}

impl Operator for Enrich {
    fn process(&mut self, event: &Event, out: &mut Emitter<'_>) {
        if *event.stream == *self.settings.with {
            if let Err(reason) = self.keep(event) {
                out.refuse(event, reason.to_string());
            }
        } else if matches!(event.value, Value::Object(_)) {
            self.waiting.push(event.clone());
        } else {
            out.refuse(event, RefuseEvent::Form.to_string());
        }
    }

    fn end_of_time(&mut self, _time: i64, out: &mut Emitter<'_>) {
        for event in std::mem::take(&mut self.waiting) {
            self.complete(event, out);
        }
    }

    fn restore(&mut self, key: &[u8], value: &[u8]) -> Result<(), RestoreError> {
        let key: &[u8] = decode_key(key)?;
        let Stored { time, json } = decode_value(value)?;
        let value = serde_json::from_str(json)
            .map_err(|_| RestoreError::Inconsistent("a value is no JSON"))?;
        let key = Bytes::copy_from_slice(key);
        self.note_time(&key, time);
        self.values.restore(key, Latest { time, value });
        Ok(())
    }

    fn take_changes(&mut self, change: &mut StateChange<'_>) {
        self.values.take_changes(|key, latest| {
            let value = latest.map(|latest| {
                let json = serde_json::to_string(&latest.value)
                    .expect("a value that was kept has been written as JSON or is plain");
                encode_value(&Stored { time: latest.time, json: &json })
            });
            change(&encode_key(&key.as_ref()), value);
        });
    }

    fn state_entries(&self) -> usize {
        self.values.len()
    }
}
