//! Where operators put what they make: events, dead letters and counts.
//!
//! Keys and ids of outputs are made here and nowhere else.

use std::sync::Arc;

use bytes::Bytes;
use millrace_core::Event;
use millrace_core::EventId;
use millrace_core::FieldPath;
use millrace_core::Headers;
use millrace_core::Value;
use millrace_core::key::key_of;

/// The event that an output is due to. Outputs have its time, headers and arrival time, and its
/// key unless the operator declares another.
#[derive(Debug, Clone)]
pub struct Cause {
    /// Identity of the event.
    pub id: EventId,
    /// Its key.
    pub key: Bytes,
    /// Its event time in milliseconds.
    pub time: i64,
    /// Its arrival time in milliseconds.
    pub ingest_time: i64,
    /// Its headers.
    pub headers: Arc<Headers>,
}

impl From<&Event> for Cause {
    fn from(event: &Event) -> Self {
        Self {
            id: event.id,
            key: event.key.clone(),
            time: event.time,
            ingest_time: event.ingest_time,
            headers: Arc::clone(&event.headers),
        }
    }
}

/// What an operator may count, by reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Counted {
    /// Dropped by a filter or by `abort`.
    Filtered,
    /// The same or an earlier time than the entity's last, or a value that was there before.
    Duplicate,
    /// A value or a group that was given up, while it could still come again, to make room for
    /// another one.
    Forgotten,
    /// A window without events, between two with some, that is one too many to be reported.
    SkippedWindow,
}

/// An event that an operator refused.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// The event as the operator got it; where an output's key could not be made, the output
    /// under the key of its cause.
    pub event: Event,
    /// Why, for a person.
    pub reason: String,
}

/// Collects what one operator makes.
pub struct Emitter<'a> {
    processor: &'a Arc<str>,
    generation: i32,
    key: &'a [FieldPath],
    last_cause: Option<EventId>,
    ordinal: u32,
    outputs: &'a mut Vec<Event>,
    refusals: &'a mut Vec<Refusal>,
    count: &'a mut dyn FnMut(Counted, u64),
}

impl<'a> Emitter<'a> {
    /// An emitter for one call of an operator. `key` is the operator's own key
    /// ([`millrace_plan::model::OperatorPlan::key`]); with none, outputs have that of their cause.
    pub fn new(
        processor: &'a Arc<str>,
        generation: i32,
        key: &'a [FieldPath],
        outputs: &'a mut Vec<Event>,
        refusals: &'a mut Vec<Refusal>,
        count: &'a mut dyn FnMut(Counted, u64),
    ) -> Self {
        Self { processor, generation, key, last_cause: None, ordinal: 0, outputs, refusals, count }
    }

    /// Emits an event. Its id follows from the processor, the cause and the ordinal: outputs of
    /// one cause must be emitted one after the other, in an order that is always the same.
    pub fn emit(&mut self, cause: &Cause, value: Value) {
        if self.last_cause == Some(cause.id) {
            self.ordinal += 1;
        } else {
            self.last_cause = Some(cause.id);
            self.ordinal = 0;
        }
        self.emit_nth(cause, self.ordinal, value);
    }

    /// Emits an event as the output of this number of its cause, for operators whose outputs of
    /// several causes come mixed. A number must be used once for each cause.
    pub fn emit_nth(&mut self, cause: &Cause, ordinal: u32, value: Value) {
        let (key, error) = match self.key {
            [] => (cause.key.clone(), None),
            paths => match key_of(&value, paths) {
                Ok(key) => (key, None),
                Err(error) => (cause.key.clone(), Some(error)),
            },
        };
        let id = EventId::of_output(
            self.processor,
            self.generation,
            &key,
            cause.time,
            cause.id,
            ordinal,
        );
        let event = Event {
            stream: Arc::clone(self.processor),
            key,
            time: cause.time,
            ingest_time: cause.ingest_time,
            id,
            headers: Arc::clone(&cause.headers),
            value,
        };
        match error {
            None => self.outputs.push(event),
            Some(error) => self.refusals.push(Refusal { event, reason: error.to_string() }),
        }
    }

    /// Refuses an event: it becomes a dead letter with this reason.
    pub fn refuse(&mut self, event: &Event, reason: impl Into<String>) {
        self.refusals.push(Refusal { event: event.clone(), reason: reason.into() });
    }

    /// Counts an event that is deliberately passed over.
    pub fn count(&mut self, counted: Counted) {
        self.count_many(counted, 1);
    }

    /// Counts so many things of one kind.
    pub fn count_many(&mut self, counted: Counted, number: u64) {
        if number > 0 {
            (self.count)(counted, number);
        }
    }
}
