//! Appends what a message became, durably, before anyone confirms it.
//!
//! Every message ends as a record, as a dead letter, or (the mapping's `abort`) as a count. If
//! the log cannot take it, nothing is stored and the caller must not confirm.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use millrace_core::DeadLetter;
use millrace_core::EventId;
use millrace_core::Offset;
use millrace_core::Partition;
use millrace_core::Record;
use millrace_core::StreamName;
use millrace_log::Append;
use millrace_log::AppendError;
use millrace_log::Entry;
use millrace_log::Log;
use millrace_observe::Observer;
use millrace_plan::Plan;
use millrace_plan::model::StreamOrigin;

use crate::acceptor::metrics::Metrics;
use crate::acceptor::metrics::Protocol;
use crate::acceptor::metrics::RouteMetrics;
use crate::acceptor::refusal::Refusal;
use crate::acceptor::refusal::RefusalKind;
use crate::acceptor::replay;
use crate::acceptor::route::Decision;
use crate::acceptor::route::Incoming;
use crate::acceptor::route::Route;
use crate::acceptor::under_way::UnderWay;

/// Stage of dead letters whose topic no way in takes.
pub(super) const UNROUTED_STAGE: &str = "ingest";

/// The partition that takes all dead letters.
const DEAD_LETTERS_PARTITION: Partition = 0;

/// Turns messages into durable records and dead letters. Cloning is cheap.
#[derive(Clone)]
pub struct Acceptor {
    shared: Arc<Shared>,
}

struct Shared {
    routes: Vec<Arc<Route>>,
    by_name: BTreeMap<String, Arc<Route>>,
    log: Arc<dyn Log>,
    metrics: Metrics,
    unrouted: RouteMetrics,
    under_way: UnderWay,
}

/// What became of a message that needs no further attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    /// It is a durable record.
    Stored {
        /// The event's id.
        id: EventId,
        /// Partition of the route's stream.
        partition: Partition,
        /// Offset within the partition.
        offset: Offset,
    },
    /// The mapping said `abort`, or a record of a topic has no value: nothing is stored, and nothing
    /// is wrong.
    Dropped,
}

/// A message that is no record.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// It is invalid, and is now a durable dead letter where its way in keeps them. The caller may
    /// confirm that.
    #[error("{reason}")]
    Invalid {
        /// What was wrong, coarsely.
        kind: RefusalKind,
        /// What was wrong, for a person.
        reason: String,
        /// Offset of the dead letter; none where its way in keeps none.
        offset: Option<Offset>,
    },
    /// The log does not accept at present. Nothing is stored; the caller must not confirm.
    #[error("cannot store the message")]
    Unavailable(#[source] AppendError),
}

/// What a message became, before it is durable.
pub(crate) struct Prepared<'a> {
    /// The entry to append; none where the mapping said `abort`.
    entry: Option<Append>,
    outcome: Outcome,
    /// Whether the entry is a dead letter.
    is_letter: bool,
    metrics: &'a RouteMetrics,
}

/// What a message became, coarsely.
pub(super) enum Outcome {
    Stored(EventId),
    Dropped,
    /// A record without a value: it says that something is gone, and is no event.
    Emptied,
    Invalid(RefusalKind, String),
}

impl Acceptor {
    /// Makes the ways in of a plan. Streams must exist in the log when messages come.
    #[must_use]
    pub fn new(plan: &Plan, log: Arc<dyn Log>, observer: &Observer) -> Self {
        let metrics = Metrics::register(observer);
        let routes: Vec<_> = plan
            .ingest
            .iter()
            .filter_map(|ingest| {
                let stream = plan.stream(&ingest.to)?;
                let StreamOrigin::Ingested(ingested) = &stream.origin else { return None };
                let ingested = Arc::new(ingested.clone());
                let stage = format!("ingest/{}", ingest.name);
                let protocol = Protocol::of(&ingest.source);
                let counters = metrics.route(&ingest.name, &stage, protocol);
                Some(Arc::new(Route::new(ingest, ingested, stream.partitions, counters)))
            })
            .collect();
        let by_name = routes.iter().map(|r| (r.name().to_owned(), Arc::clone(r))).collect();
        let unrouted = metrics.route("", UNROUTED_STAGE, Protocol::Mqtt);
        let under_way = UnderWay::new(plan);
        Self { shared: Arc::new(Shared { routes, by_name, log, metrics, unrouted, under_way }) }
    }

    /// The way in of this name.
    #[must_use]
    pub fn route(&self, name: &str) -> Option<&Arc<Route>> {
        self.shared.by_name.get(name)
    }

    /// The names of all ways in, in order.
    pub fn route_names(&self) -> impl Iterator<Item = &str> {
        self.shared.by_name.keys().map(String::as_str)
    }

    /// The first way in that takes what clients publish to our own endpoint on this topic.
    #[must_use]
    pub fn listener(&self, topic: &str) -> Option<&Arc<Route>> {
        self.shared.routes.iter().find(|route| route.listens_on(topic))
    }

    /// Makes a message that came to our own endpoint durable.
    ///
    /// # Errors
    /// When it is invalid or of no way in (then it is a durable dead letter), or when the log
    /// does not accept (then nothing is stored).
    pub async fn accept(&self, incoming: &Incoming<'_>) -> Result<Accepted, Refused> {
        self.store(self.prepare_by_topic(incoming)).await
    }

    /// Makes a message durable that came in by a known way.
    ///
    /// # Errors
    /// As [`Acceptor::accept`].
    pub async fn accept_on(
        &self,
        route: &Route,
        incoming: &Incoming<'_>,
    ) -> Result<Accepted, Refused> {
        self.store(Self::prepare(route, incoming)).await
    }

    fn prepare_by_topic(&self, incoming: &Incoming<'_>) -> Prepared<'_> {
        match self.listener(incoming.topic) {
            Some(route) => Self::prepare(route, incoming),
            None => refused(
                UNROUTED_STAGE,
                &self.shared.unrouted,
                incoming,
                &Refusal::NoRoute(incoming.topic.to_owned()),
            ),
        }
    }

    pub(crate) fn prepare<'a>(route: &'a Route, incoming: &Incoming<'_>) -> Prepared<'a> {
        if route.takes_requests() {
            return replay::prepare_incoming(route, incoming);
        }
        match route.decide(incoming) {
            Ok(Decision::Event(partition, record)) => Prepared::stored(route, partition, record),
            Ok(Decision::Dropped) => Prepared::without_entry(route, Outcome::Dropped),
            Err(refusal) => refused(route.stage(), &route.metrics, incoming, &refusal),
        }
    }

    pub(super) async fn store(&self, mut prepared: Prepared<'_>) -> Result<Accepted, Refused> {
        let Some(entry) = prepared.entry.take() else { return prepared.finish(0, None) };
        let partition = entry.partition;
        let bytes = body_length(&entry);
        match self.append(vec![entry]).await {
            Ok(offsets) => {
                prepared.metrics.bytes.inc_by(bytes);
                prepared.finish(partition, offsets.first().copied())
            }
            Err(error) => {
                prepared.metrics.unavailable.inc();
                Err(Refused::Unavailable(error))
            }
        }
    }

    /// Appends entries at once, all or none.
    pub(crate) async fn append(&self, entries: Vec<Append>) -> Result<Vec<Offset>, AppendError> {
        let begun = Instant::now();
        let _on_their_way = self.shared.under_way.begin(&entries);
        let offsets = self.shared.log.append(entries).await?;
        self.shared.metrics.append_seconds.observe(begun.elapsed().as_secs_f64());
        Ok(offsets)
    }

    /// Appends many prepared messages at once, in their order.
    pub(crate) async fn store_all(&self, prepared: &mut [Prepared<'_>]) -> Result<(), AppendError> {
        let entries: Vec<_> = prepared.iter_mut().filter_map(|one| one.entry.take()).collect();
        if entries.is_empty() {
            return Ok(());
        }
        let _on_their_way = self.shared.under_way.begin(&entries);
        self.shared.log.append(entries).await.map(drop)
    }

    /// Whether something is being appended to a partition of a stream that declares `idle`.
    pub(crate) fn is_appending(&self, stream: &StreamName, partition: Partition) -> bool {
        self.shared.under_way.is_any(stream, partition)
    }
}

impl<'a> Prepared<'a> {
    /// A record of the route's stream.
    pub(super) fn stored(route: &'a Route, partition: Partition, record: Record) -> Self {
        Self {
            outcome: Outcome::Stored(record.id),
            is_letter: false,
            metrics: &route.metrics,
            entry: Some(record_entry(route, partition, record)),
        }
    }

    /// The entry, for who appends it himself.
    pub(crate) const fn take_entry(&mut self) -> Option<Append> {
        self.entry.take()
    }

    /// What leaves nothing in the log.
    pub(super) const fn without_entry(route: &'a Route, outcome: Outcome) -> Self {
        Self { entry: None, outcome, is_letter: false, metrics: &route.metrics }
    }

    /// A dead letter of a route.
    pub(super) fn dead_letter(route: &'a Route, kind: RefusalKind, letter: DeadLetter) -> Self {
        Self {
            outcome: Outcome::Invalid(kind, letter.reason.clone()),
            is_letter: true,
            metrics: &route.metrics,
            entry: Some(dead_letter_entry(letter)),
        }
    }

    /// Counts a message that has become durable (or needs not), and says what it became.
    pub(crate) fn finish(
        self,
        partition: Partition,
        offset: Option<Offset>,
    ) -> Result<Accepted, Refused> {
        match self.outcome {
            Outcome::Stored(id) => {
                self.metrics.stored.inc();
                Ok(Accepted::Stored { id, partition, offset: offset.unwrap_or_default() })
            }
            Outcome::Dropped => {
                self.metrics.dropped.inc();
                Ok(Accepted::Dropped)
            }
            Outcome::Emptied => {
                self.metrics.emptied();
                Ok(Accepted::Dropped)
            }
            Outcome::Invalid(kind, reason) => {
                self.metrics.refused(kind);
                self.metrics.letters.inc_by(u64::from(self.is_letter));
                Err(Refused::Invalid { kind, reason, offset })
            }
        }
    }
}

fn refused<'a>(
    stage: &str,
    metrics: &'a RouteMetrics,
    incoming: &Incoming<'_>,
    refusal: &Refusal,
) -> Prepared<'a> {
    let reason = refusal.to_string();
    let letter = DeadLetter {
        stage: stage.to_owned(),
        reason: reason.clone(),
        context: incoming.topic.to_owned(),
        source: None,
        key: bytes::Bytes::new(),
        event_time: incoming.arrival,
        ingest_time: incoming.arrival,
        id: EventId::of_dead_letter(stage, incoming.topic.as_bytes(), &incoming.body),
        original: incoming.body.clone(),
    };
    Prepared {
        entry: Some(dead_letter_entry(letter)),
        outcome: Outcome::Invalid(refusal.kind(), reason),
        is_letter: true,
        metrics,
    }
}

/// An event as the log takes it.
pub(crate) fn record_entry(route: &Route, partition: Partition, record: Record) -> Append {
    Append { stream: route.stream().clone(), partition, entry: Entry::Record(record) }
}

/// A dead letter as the log takes it.
pub(crate) fn dead_letter_entry(letter: DeadLetter) -> Append {
    Append {
        stream: StreamName::dead_letters(),
        partition: DEAD_LETTERS_PARTITION,
        entry: Entry::Record(letter.into_record()),
    }
}

fn body_length(entry: &Append) -> u64 {
    match &entry.entry {
        Entry::Record(record) => record.value.len() as u64,
        Entry::Mark(_) => 0,
    }
}
