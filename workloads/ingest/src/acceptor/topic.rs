//! What a record of a topic that others write becomes: decided by the record and its place alone,
//! so that reading it again gives the same.

use bytes::Bytes;
use millrace_core::DeadLetter;
use millrace_core::EventId;
use millrace_core::Headers;
use millrace_core::Offset;
use millrace_core::Partition;
use millrace_core::Value;
use millrace_core::dead_letter::SourcePosition;
use millrace_core::record::header::TRACEPARENT;
use millrace_observe::trace::TraceParent;
use millrace_plan::program::context_of_topic;

use crate::acceptor::accept::Acceptor;
use crate::acceptor::accept::Outcome;
use crate::acceptor::accept::Prepared;
use crate::acceptor::refusal::Refusal;
use crate::acceptor::route::Decision;
use crate::acceptor::route::Route;
use crate::acceptor::route::Source;

/// A record of a topic that others write.
#[derive(Debug, Clone)]
pub(crate) struct TopicRecord<'a> {
    /// The topic's whole name.
    pub(crate) topic: &'a str,
    /// Its partition.
    pub(crate) partition: Partition,
    /// Its offset there.
    pub(crate) offset: Offset,
    /// The key; empty where there is none.
    pub(crate) key: Bytes,
    /// The headers.
    pub(crate) headers: &'a Headers,
    /// The value; empty where there is none.
    pub(crate) body: Bytes,
    /// The record's own timestamp, in milliseconds since 1970-01-01T00:00:00Z. It stands for the
    /// arrival, whenever the record is read.
    pub(crate) timestamp: i64,
}

impl Acceptor {
    /// Decides what a record becomes; whoever commits that moves the position in the topic with it.
    pub(crate) fn prepare_record<'a>(route: &'a Route, record: &TopicRecord<'_>) -> Prepared<'a> {
        if record.body.is_empty() {
            return Prepared::without_entry(route, Outcome::Emptied);
        }
        match route.decide_on(&record.body, record.timestamp, record.source()) {
            Ok(Decision::Event(partition, event)) => Prepared::stored(route, partition, event),
            Ok(Decision::Dropped) => Prepared::without_entry(route, Outcome::Dropped),
            Err(refusal) => {
                let letter = record.letter(route, refusal.to_string(), record.body.clone());
                Prepared::dead_letter(route, refusal.kind(), letter)
            }
        }
    }

    /// The dead letter of a record that the log cannot store, whatever it became: without its
    /// bytes, which stay where they are.
    pub(crate) fn prepare_unstorable<'a>(
        route: &'a Route,
        record: &TopicRecord<'_>,
        reason: &str,
    ) -> Prepared<'a> {
        let refusal = Refusal::Unstorable(reason.to_owned());
        let letter = record.letter(route, refusal.to_string(), Bytes::new());
        Prepared::dead_letter(route, refusal.kind(), letter)
    }
}

impl TopicRecord<'_> {
    fn source(&self) -> Source<impl FnOnce() -> Value> {
        let mut carried = Headers::default();
        if let Some(trace) = self.headers.get(TRACEPARENT)
            && TraceParent::parse(trace).is_some()
        {
            carried.push(TRACEPARENT, trace.clone());
        }
        Source {
            known: Some(EventId::of_external(self.topic, self.partition, self.offset)),
            carried,
            context: || context_of_topic(self.topic, &self.key, self.headers, self.timestamp),
        }
    }

    fn letter(&self, route: &Route, reason: String, original: Bytes) -> DeadLetter {
        let place = format!("{}/{}/{}", self.topic, self.partition, self.offset);
        DeadLetter {
            stage: route.stage().to_owned(),
            reason,
            context: self.topic.to_owned(),
            source: Some(SourcePosition {
                stream: self.topic.to_owned(),
                partition: self.partition,
                offset: self.offset,
            }),
            key: self.key.clone(),
            event_time: self.timestamp,
            ingest_time: self.timestamp,
            id: EventId::of_dead_letter(route.stage(), place.as_bytes(), &original),
            original,
        }
    }
}
