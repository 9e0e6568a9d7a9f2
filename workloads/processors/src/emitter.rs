//! Where operators put what they make: events, dead letters and counts.

use std::sync::Arc;

use bytes::Bytes;
use millrace_core::Event;
use millrace_core::EventId;
use millrace_core::Headers;
use millrace_core::Value;

/// The event that an output is due to. Outputs have its key, time, headers and arrival time.
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
    /// The same or an earlier time than the entity's last.
    Duplicate,
}

/// An event that an operator refused.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// The event as the operator got it.
    pub event: Event,
    /// Why, for a person.
    pub reason: String,
}

/// Collects what one operator makes.
pub struct Emitter<'a> {
    processor: &'a Arc<str>,
    generation: i32,
    last_cause: Option<EventId>,
    ordinal: u32,
    outputs: &'a mut Vec<Event>,
    refusals: &'a mut Vec<Refusal>,
    count: &'a mut dyn FnMut(Counted),
}

impl<'a> Emitter<'a> {
    /// An emitter for one call of an operator.
    pub fn new(
        processor: &'a Arc<str>,
        generation: i32,
        outputs: &'a mut Vec<Event>,
        refusals: &'a mut Vec<Refusal>,
        count: &'a mut dyn FnMut(Counted),
    ) -> Self {
        Self { processor, generation, last_cause: None, ordinal: 0, outputs, refusals, count }
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
        let id = EventId::of_output(
            self.processor,
            self.generation,
            &cause.key,
            cause.time,
            cause.id,
            self.ordinal,
        );
        self.outputs.push(Event {
            stream: Arc::clone(self.processor),
            key: cause.key.clone(),
            time: cause.time,
            ingest_time: cause.ingest_time,
            id,
            headers: Arc::clone(&cause.headers),
            value,
        });
    }

    /// Refuses an event: it becomes a dead letter with this reason.
    pub fn refuse(&mut self, event: &Event, reason: impl Into<String>) {
        self.refusals.push(Refusal { event: event.clone(), reason: reason.into() });
    }

    /// Counts an event that is deliberately passed over.
    pub fn count(&mut self, counted: Counted) {
        (self.count)(counted);
    }
}
