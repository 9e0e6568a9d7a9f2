//! One way in: what a message becomes. Decides everything by the message and its arrival time,
//! and does no I/O.

use std::sync::Arc;

use bytes::Bytes;
use millrace_core::EventId;
use millrace_core::Headers;
use millrace_core::Partition;
use millrace_core::Record;
use millrace_core::StreamName;
use millrace_core::Value;
use millrace_core::key::partition_of;
use millrace_core::record::MAX_VALUE_BYTES;
use millrace_plan::model::IngestPlan;
use millrace_plan::model::IngestSource;
use millrace_plan::model::IngestedStream;
use millrace_plan::program::Evaluation;
use millrace_plan::program::Program;
use millrace_plan::program::context_of_message;
use millrace_plan::program::context_of_topic;

use crate::acceptor::check::Checked;
use crate::acceptor::event::InPlace;
use crate::acceptor::metrics::RouteMetrics;
use crate::acceptor::refusal::Refusal;
use crate::acceptor::request::RequestRules;
use crate::topics;

/// A message as it came in.
#[derive(Debug, Clone)]
pub struct Incoming<'a> {
    /// The topic it was published on; for a way in over HTTP or WebSocket the path of the request,
    /// with its query.
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
    pub(super) stream: StreamName,
    partitions: Partition,
    pub(super) ingested: Arc<IngestedStream>,
    pub(crate) map: Option<Program>,
    max_body_bytes: usize,
    pub(super) rules: Option<RequestRules>,
    reads_topic: bool,
    pub(crate) metrics: RouteMetrics,
}

/// What is known of a message beside its body, for its record and its mapping.
pub(super) struct Source<C> {
    /// The id of an event that declares none; none: that of its content.
    pub(super) known: Option<EventId>,
    /// Headers of its record.
    pub(super) carried: Headers,
    /// The context of the mapping.
    pub(super) context: C,
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
            rules: RequestRules::of(plan),
            reads_topic: matches!(plan.source, IngestSource::Kafka(_)),
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

    /// Largest body, in bytes.
    #[must_use]
    pub const fn max_body_bytes(&self) -> usize {
        self.max_body_bytes
    }

    /// Whether it takes messages that clients publish to our own endpoint on this topic.
    #[must_use]
    pub fn listens_on(&self, topic: &str) -> bool {
        self.filters.iter().any(|filter| topics::matches(filter, topic))
    }

    /// Whether it reads a topic that others write.
    pub(crate) const fn reads_topic(&self) -> bool {
        self.reads_topic
    }

    /// Decides what a message becomes. One that stands for a record of a topic has neither key nor
    /// headers.
    pub(crate) fn decide(&self, incoming: &Incoming<'_>) -> Result<Decision, Refusal> {
        let context = || {
            if self.reads_topic {
                let headers = Headers::default();
                return context_of_topic(incoming.topic, &[], &headers, incoming.arrival);
            }
            context_of_message(incoming.topic, incoming.client_id, incoming.user, incoming.arrival)
        };
        let source = Source { known: None, carried: Headers::default(), context };
        self.decide_on(&incoming.body, incoming.arrival, source)
    }

    /// Decides what a body becomes that arrived at a time.
    pub(super) fn decide_on(
        &self,
        body: &Bytes,
        arrival: i64,
        source: Source<impl FnOnce() -> Value>,
    ) -> Result<Decision, Refusal> {
        self.check_size(body.len())?;
        let Source { known, carried, context } = source;
        let in_place = InPlace { route: self, arrival };
        if self.map.is_none()
            && let Ok(text) = str::from_utf8(body)
            && let Some(checked) = in_place.check(text)
        {
            let (partition, record) = self.record(checked, body.clone(), known, carried, arrival);
            return Ok(Decision::Event(partition, record));
        }
        let read = serde_json::from_slice(body).map_err(Refusal::NotJson)?;
        let (event, value) = match &self.map {
            None => (read, body.clone()),
            Some(map) => match run(map, read, context())? {
                Some(mapped) => mapped,
                None => return Ok(Decision::Dropped),
            },
        };
        // One reason is enough for a dead letter: the first.
        let checked = self.check(&event, arrival).map_err(|mut all| all.swap_remove(0))?;
        let (partition, record) = self.record(checked, value, known, carried, arrival);
        Ok(Decision::Event(partition, record))
    }

    /// Refuses a body that is larger than the way in allows.
    pub(crate) const fn check_size(&self, size: usize) -> Result<(), Refusal> {
        if size > self.max_body_bytes {
            return Err(Refusal::TooLarge { size, limit: self.max_body_bytes });
        }
        Ok(())
    }

    /// The record of a checked event and its partition. Its id is the declared one, else `known`,
    /// else made of its content.
    pub(super) fn record(
        &self,
        checked: Checked,
        value: Bytes,
        known: Option<EventId>,
        headers: Headers,
        arrival: i64,
    ) -> (Partition, Record) {
        let Checked { time, key, declared } = checked;
        let id = match (&declared, known) {
            (Some(declared), _) => EventId::declared(self.stream.as_str(), declared),
            (None, Some(known)) => known,
            (None, None) => EventId::of_content(self.stream.as_str(), &key, &value),
        };
        let partition = partition_of(&key, self.partitions);
        let record = Record { key, event_time: time, ingest_time: arrival, id, headers, value };
        (partition, record)
    }
}

/// Maps a body to an event and its compact JSON; none if the program said `abort`.
pub(super) fn run(
    map: &Program,
    body: Value,
    context: Value,
) -> Result<Option<(Value, Bytes)>, Refusal> {
    if !body.is_object() {
        return Err(Refusal::NotObject);
    }
    let event = match map.evaluate(body, context) {
        Evaluation::Done { event, .. } => event,
        Evaluation::Aborted => return Ok(None),
        Evaluation::Failed(message) => return Err(Refusal::Map(message)),
    };
    let text = written(&event)?;
    Ok(Some((event, text)))
}

/// An event as compact JSON.
pub(super) fn written(event: &Value) -> Result<Bytes, Refusal> {
    let text = serde_json::to_vec(event).map_err(Refusal::Write)?;
    if text.len() > MAX_VALUE_BYTES {
        return Err(Refusal::MappedTooLarge { size: text.len(), limit: MAX_VALUE_BYTES });
    }
    Ok(text.into())
}
