//! Whether an event is one of its stream: everything that is wrong with it at once, each with its
//! place.

use bytes::Bytes;
use millrace_core::Borrowed;
use millrace_core::FieldPath;
use millrace_core::Tree;
use millrace_core::Value;
use millrace_core::key::KeyError;
use millrace_core::key::key_of;
use millrace_core::time::event_time;
use millrace_core::time::rfc3339;
use serde::Serialize;

use crate::acceptor::refusal::Refusal;
use crate::acceptor::route::Route;

/// What the record of a valid event needs of it.
#[derive(Debug)]
pub(crate) struct Checked {
    /// Event time, in milliseconds since 1970.
    pub(super) time: i64,
    /// Its key.
    pub(super) key: Bytes,
    /// The identity that it declares, where its stream says where.
    pub(super) declared: Option<Bytes>,
}

/// Something that is wrong with an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Fault {
    /// JSON Pointer to the field; empty for the event itself.
    pub(crate) pointer: String,
    /// What is wrong with it.
    pub(crate) detail: String,
}

impl Route {
    /// Checks an event.
    ///
    /// # Errors
    /// All that is wrong with it, at least one refusal.
    pub(super) fn check(&self, event: &Value, arrival: i64) -> Result<Checked, Vec<Refusal>> {
        let schema = self.validate(event);
        if !event.is_object() {
            return Err(vec![schema.err().unwrap_or(Refusal::NotObject)]);
        }
        let time = self.event_time(event, arrival);
        let key = key_of(event, &self.ingested.key);
        let id = self.ingested.event_id.as_ref();
        let declared = id.map(|path| key_of(event, std::slice::from_ref(path))).transpose();
        match (schema, time, key, declared) {
            (Ok(()), Ok(time), Ok(key), Ok(declared)) => Ok(Checked { time, key, declared }),
            (schema, time, key, declared) => {
                let mut refusals = Vec::new();
                refusals.extend(schema.err());
                refusals.extend(time.err());
                if let Err(first) = key {
                    refusals.extend(self.key_faults(event, first));
                }
                refusals.extend(declared.err().map(Refusal::Id));
                Err(refusals)
            }
        }
    }

    /// Checks an event as it came; none if anything is wrong with it, which [`Self::check`] tells.
    pub(super) fn check_in_place(&self, event: &Borrowed<'_>, arrival: i64) -> Option<Checked> {
        let ingested = &self.ingested;
        let valid = matches!(event, Borrowed::Object(_))
            && ingested.schema.as_ref().is_none_or(|schema| schema.accepts(event));
        if !valid {
            return None;
        }
        let time = self.event_time(event, arrival).ok()?;
        let key = key_of(event, &ingested.key).ok()?;
        let id = ingested.event_id.as_ref();
        let declared = id.map(|path| key_of(event, std::slice::from_ref(path))).transpose().ok()?;
        Some(Checked { time, key, declared })
    }

    /// What is wrong, each with its place in the event.
    pub(crate) fn faults(&self, refusals: &[Refusal]) -> Vec<Fault> {
        let mut faults = Vec::new();
        for refusal in refusals {
            let pointer = match refusal {
                Refusal::Schema { violations, .. } => {
                    faults.extend(violations.iter().map(|violation| Fault {
                        pointer: violation.pointer.clone(),
                        detail: violation.message.clone(),
                    }));
                    continue;
                }
                Refusal::EventTime(_) | Refusal::Ahead { .. } | Refusal::Behind { .. } => {
                    self.ingested.event_time.as_ref().map(|field| field.path.pointer())
                }
                Refusal::Key(KeyError::Missing(path) | KeyError::Type(path)) => {
                    path.parse::<FieldPath>().ok().map(|path| path.pointer())
                }
                Refusal::Key(KeyError::TooLong(_)) => match &self.ingested.key[..] {
                    [path] => Some(path.pointer()),
                    _ => None,
                },
                Refusal::Id(_) => self.ingested.event_id.as_ref().map(FieldPath::pointer),
                Refusal::File(field) => {
                    Some(format!("/{}", field.replace('~', "~0").replace('/', "~1")))
                }
                _ => None,
            };
            faults
                .push(Fault { pointer: pointer.unwrap_or_default(), detail: refusal.to_string() });
        }
        faults
    }

    /// Every field of the key that is wrong; `first` where each for itself is right.
    fn key_faults(&self, event: &Value, first: KeyError) -> Vec<Refusal> {
        let each = self.ingested.key.iter().map(std::slice::from_ref);
        let faults: Vec<_> =
            each.filter_map(|path| key_of(event, path).err()).map(Refusal::Key).collect();
        if faults.is_empty() { vec![Refusal::Key(first)] } else { faults }
    }

    fn validate(&self, event: &Value) -> Result<(), Refusal> {
        let Some(schema) = &self.ingested.schema else { return Ok(()) };
        schema.validate(event).map_err(|violations| Refusal::Schema {
            stream: self.stream.as_str().to_owned(),
            violations,
        })
    }

    fn event_time<T: Tree>(&self, event: &T, arrival: i64) -> Result<i64, Refusal> {
        let Some(field) = &self.ingested.event_time else { return Ok(arrival) };
        let time = event_time(event, &field.path, field.format)?;
        let ahead = u128::try_from(i128::from(time) - i128::from(arrival)).unwrap_or(0);
        let behind = u128::try_from(i128::from(arrival) - i128::from(time)).unwrap_or(0);
        let limit = self.ingested.max_ahead.as_millis();
        if ahead > limit {
            return Err(Refusal::Ahead { time: rfc3339(time), limit, arrival: rfc3339(arrival) });
        }
        match self.ingested.max_behind.map(|limit| limit.as_millis()) {
            Some(limit) if behind > limit => {
                Err(Refusal::Behind { time: rfc3339(time), limit, arrival: rfc3339(arrival) })
            }
            _ => Ok(time),
        }
    }
}
