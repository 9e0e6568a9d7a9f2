//! One way in: what a message becomes. Decides everything by the message and its arrival time,
//! and does no I/O.

use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use millrace_core::EventId;
use millrace_core::Headers;
use millrace_core::Partition;
use millrace_core::Record;
use millrace_core::StreamName;
use millrace_core::Value;
use millrace_core::key::key_of;
use millrace_core::key::partition_of;
use millrace_core::record::MAX_VALUE_BYTES;
use millrace_core::time::event_time;
use millrace_core::time::rfc3339;
use millrace_plan::model::IngestPlan;
use millrace_plan::model::IngestSource;
use millrace_plan::model::IngestedStream;
use millrace_plan::program::Evaluation;
use millrace_plan::program::Program;
use millrace_plan::program::context_of_message;

use crate::acceptor::metrics::RouteMetrics;
use crate::acceptor::refusal::Refusal;
use crate::topics;

/// A message as it came in.
#[derive(Debug, Clone)]
pub struct Incoming<'a> {
    /// The topic it was published on.
    pub topic: &'a str,
    /// The client that published it.
    pub client_id: Option<&'a str>,
    /// The user that the client has authenticated as.
    pub user: Option<&'a str>,
    /// The bytes.
    pub body: Bytes,
    /// When it arrived, in milliseconds since 1970-01-01T00:00:00Z.
    pub arrival: i64,
}

/// One way in, ready to use.
#[derive(Debug)]
pub struct Route {
    name: String,
    stage: String,
    filters: Vec<String>,
    stream: StreamName,
    partitions: Partition,
    ingested: Arc<IngestedStream>,
    map: Option<Program>,
    max_body_bytes: usize,
    pub(crate) metrics: RouteMetrics,
}

/// What a message became.
#[derive(Debug)]
pub(crate) enum Decision {
    /// A record of a partition of the route's stream.
    Event(Partition, Record),
    /// Nothing: the mapping said `abort`.
    Dropped,
}

impl Route {
    pub(crate) fn new(
        plan: &IngestPlan,
        ingested: Arc<IngestedStream>,
        partitions: Partition,
        metrics: RouteMetrics,
    ) -> Self {
        let filters = match &plan.source {
            IngestSource::MqttListen(listen) => listen.topics.clone(),
            _ => Vec::new(),
        };
        Self {
            name: plan.name.clone(),
            stage: format!("ingest/{}", plan.name),
            filters,
            stream: plan.to.clone(),
            partitions,
            ingested,
            map: plan.map.clone(),
            max_body_bytes: plan.max_body_bytes,
            metrics,
        }
    }

    /// The name of the way in.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The stage of its dead letters: `ingest/<name>`.
    #[must_use]
    pub fn stage(&self) -> &str {
        &self.stage
    }

    /// The stream that it writes.
    #[must_use]
    pub fn stream(&self) -> &StreamName {
        &self.stream
    }

    /// Whether it takes messages that clients publish to our own endpoint on this topic.
    #[must_use]
    pub fn listens_on(&self, topic: &str) -> bool {
        self.filters.iter().any(|filter| topics::matches(filter, topic))
    }

    /// Decides what a message becomes.
    pub(crate) fn decide(&self, incoming: &Incoming<'_>) -> Result<Decision, Refusal> {
        let size = incoming.body.len();
        if size > self.max_body_bytes {
            return Err(Refusal::TooLarge { size, limit: self.max_body_bytes });
        }
        let (event, value) = match &self.map {
            None => (self.parse(&incoming.body)?, incoming.body.clone()),
            Some(map) => match self.map(map, incoming)? {
                Some(mapped) => mapped,
                None => return Ok(Decision::Dropped),
            },
        };
        if !event.is_object() {
            return Err(Refusal::NotObject);
        }
        let time = self.event_time(&event, incoming.arrival)?;
        let key = key_of(&event, &self.ingested.key)?;
        let id = match &self.ingested.event_id {
            Some(path) => {
                let declared = key_of(&event, std::slice::from_ref(path)).map_err(Refusal::Id)?;
                EventId::declared(self.stream.as_str(), &declared)
            }
            None => EventId::of_content(self.stream.as_str(), &key, &value),
        };
        let partition = partition_of(&key, self.partitions);
        let record = Record {
            key,
            event_time: time,
            ingest_time: incoming.arrival,
            id,
            headers: Headers::default(),
            value,
        };
        Ok(Decision::Event(partition, record))
    }

    /// Reads and validates a body that is the event itself. `serde_json` refuses NaN, infinities,
    /// numbers out of a double's range, and more than 128 levels.
    fn parse(&self, body: &[u8]) -> Result<Value, Refusal> {
        let event = serde_json::from_slice(body).map_err(Refusal::NotJson)?;
        self.validate(&event)?;
        Ok(event)
    }

    /// Maps a body to an event and its compact JSON; none if the program said `abort`.
    fn map(
        &self,
        map: &Program,
        incoming: &Incoming<'_>,
    ) -> Result<Option<(Value, Bytes)>, Refusal> {
        let body: Value = serde_json::from_slice(&incoming.body).map_err(Refusal::NotJson)?;
        if !body.is_object() {
            return Err(Refusal::NotObject);
        }
        let context =
            context_of_message(incoming.topic, incoming.client_id, incoming.user, incoming.arrival);
        let event = match map.evaluate(body, context) {
            Evaluation::Done { event, .. } => event,
            Evaluation::Aborted => return Ok(None),
            Evaluation::Failed(message) => return Err(Refusal::Map(message)),
        };
        let text = serde_json::to_vec(&event).map_err(Refusal::Write)?;
        if text.len() > MAX_VALUE_BYTES {
            return Err(Refusal::MappedTooLarge { size: text.len(), limit: MAX_VALUE_BYTES });
        }
        self.validate(&event)?;
        Ok(Some((event, text.into())))
    }

    fn validate(&self, event: &Value) -> Result<(), Refusal> {
        let Some(schema) = &self.ingested.schema else { return Ok(()) };
        schema.validate(event).map_err(|violations| {
            let mut text = String::new();
            for violation in violations {
                let separator = if text.is_empty() { "" } else { "; " };
                // Writing to a string cannot fail.
                let _ = write!(text, "{separator}{violation}");
            }
            Refusal::Schema { stream: self.stream.as_str().to_owned(), violations: text }
        })
    }

    fn event_time(&self, event: &Value, arrival: i64) -> Result<i64, Refusal> {
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
