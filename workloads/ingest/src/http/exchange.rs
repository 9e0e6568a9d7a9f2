//! One request: from its headers to its answer. What is refused early costs least: rate, places,
//! headers and types come before the body is read.

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

use axum::body::Body;
use axum::extract::Request;
use axum::http::Extensions;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::IntoResponse;
use axum::response::Response;
use bytes::Bytes;
use millrace_http::Problem;
use millrace_http::User;
use millrace_log::Append;
use millrace_log::AppendError;
use millrace_observe::trace::TraceParent;
use millrace_plan::model::BodyKind;
use millrace_plan::model::HttpIngest;
use tokio::sync::Semaphore;
use tokio::sync::SemaphorePermit;
use tracing::Instrument as _;
use tracing::debug;
use tracing::info_span;

use crate::acceptor::Acceptor;
use crate::acceptor::Admitted;
use crate::acceptor::Given;
use crate::acceptor::InPlace;
use crate::acceptor::Judged;
use crate::acceptor::Judgement;
use crate::acceptor::Refusal;
use crate::acceptor::RequestHead;
use crate::acceptor::Route;
use crate::acceptor::dead_letter_entry;
use crate::acceptor::reasons;
use crate::acceptor::record_entry;
use crate::http::Arrival;
use crate::http::answer;
use crate::http::answer::Summary;
use crate::http::batch::Elements;
use crate::http::batch::Item;
use crate::http::batch::Lines;
use crate::http::body;
use crate::http::body::ReadBodyError;
use crate::http::content::Content;
use crate::http::content::content_of;
use crate::http::encoding::DecompressError;
use crate::http::encoding::Encoding;
use crate::http::encoding::decompress;
use crate::http::encoding::encoding_of;
use crate::http::form;
use crate::http::limits::RateLimiter;
use crate::http::limits::address_of;
use crate::http::metrics::RefusedBy;
use crate::http::metrics::RouteMetrics;
use crate::http::traced::Tracing;
use crate::recorded::now_millis;

/// When to come again where nothing is known of how long it takes.
pub(super) const SOON: Duration = Duration::from_secs(1);

/// So many events of a batch are judged before others get their turn on the thread.
const TURN: usize = 128;

/// A way in over HTTP.
pub(super) struct HttpEntry {
    acceptor: Acceptor,
    route: Arc<Route>,
    plan: HttpIngest,
    invalid: StatusCode,
    places: Semaphore,
    /// For the bytes of all bodies of all ways in.
    room: Arc<Semaphore>,
    rate: Option<RateLimiter>,
    metrics: RouteMetrics,
    tracing: Tracing,
}

impl HttpEntry {
    pub(super) fn new(
        acceptor: Acceptor,
        route: Arc<Route>,
        plan: HttpIngest,
        metrics: RouteMetrics,
        tracing: Tracing,
        room: Arc<Semaphore>,
    ) -> Self {
        let invalid = StatusCode::from_u16(plan.invalid_status);
        Self {
            acceptor,
            route,
            invalid: invalid.unwrap_or(StatusCode::UNPROCESSABLE_ENTITY),
            places: Semaphore::new(plan.limits.concurrent.min(Semaphore::MAX_PERMITS)),
            rate: plan.limits.rate.map(|rate| RateLimiter::new(rate, Instant::now())),
            plan,
            metrics,
            tracing,
            room,
        }
    }
}

/// When a request arrived.
fn arrival_of(extensions: &Extensions) -> i64 {
    extensions.get::<Arrival>().map_or_else(now_millis, |arrival| arrival.0)
}

/// Answers a request.
pub(super) async fn serve(entry: Arc<HttpEntry>, request: Request) -> Response {
    let begun = Instant::now();
    let in_flight = entry.metrics.enter();
    let (parts, mut body) = request.into_parts();
    let traced = entry.tracing.begin(&parts);
    let trace = traced.map(|traced| traced.context);
    let taking = entry.take(&parts, &mut body, begun, trace);
    let taken = match trace {
        // What is logged meanwhile names the trace.
        Some(context) => {
            let trace_id = format!("{:032x}", context.trace);
            taking.instrument(info_span!("request", trace_id)).await
        }
        None => taking.await,
    };
    let response = match taken {
        Ok(response) => response,
        Err(problem) => {
            // One that was waited for long enough is not waited for again.
            if problem.status() != StatusCode::REQUEST_TIMEOUT {
                body::discard(&parts.headers, body).await;
            }
            problem.into_response()
        }
    };
    drop(in_flight);
    entry.metrics.answered(response.status().as_u16());
    entry.metrics.seconds.observe(begun.elapsed().as_secs_f64());
    if let Some(traced) = traced {
        debug!(
            message = "A traced request is answered.",
            route = entry.route.name(),
            status = response.status().as_u16(),
            trace_id = format!("{:032x}", traced.context.trace)
        );
        entry.tracing.answered(traced, &parts, response.status());
    }
    response
}

impl HttpEntry {
    async fn take(
        &self,
        parts: &Parts,
        body: &mut Body,
        begun: Instant,
        trace: Option<TraceParent>,
    ) -> Result<Response, Problem> {
        if let Some(rate) = &self.rate
            && let Err(wait) = rate.take(address_of(&parts.extensions), begun)
        {
            self.metrics.refused(RefusedBy::Rate);
            return Err(too_many(wait));
        }
        let Ok(_place) = self.places.try_acquire() else {
            self.metrics.refused(RefusedBy::Concurrent);
            let detail =
                format!("{} requests are being answered already", self.plan.limits.concurrent);
            return Err(Problem::unavailable(detail, SOON));
        };
        let content = content_of(&parts.headers, &self.plan.accept);
        let content = content.inspect_err(|_| self.metrics.refused(RefusedBy::ContentType))?;
        let head = RequestHead {
            uri: &parts.uri,
            headers: &parts.headers,
            user: parts.extensions.get::<User>().map(|user| &*user.0),
            arrival: arrival_of(&parts.extensions),
            trace,
        };
        let request = self.route.admit(head).map_err(|error| {
            self.metrics.refused(RefusedBy::Request);
            Problem::new(StatusCode::BAD_REQUEST, error.to_string())
        })?;
        let kind = match content {
            Content::Nothing => {
                return self.one(&request, Ok(Given::nothing()), Bytes::new(), false).await;
            }
            kind => kind,
        };
        let (bytes, _room) = self.read(parts, body).await?;
        match kind {
            Content::Nothing | Content::Json => self.json(&request, bytes).await,
            Content::Ndjson => {
                let lines = Lines::new(&bytes, self.plan.max_events, self.in_place(&request));
                self.batch(&request, lines, &bytes).await
            }
            Content::Form(kind) => {
                let given = form::read(&kind, &bytes).await;
                self.one(&request, given, bytes, false).await
            }
        }
    }

    /// The body, decompressed, with the room that it takes.
    async fn read(
        &self,
        parts: &Parts,
        body: &mut Body,
    ) -> Result<(Bytes, SemaphorePermit<'_>), Problem> {
        let refuse = |by| self.metrics.refused(by);
        let encoding = encoding_of(&parts.headers);
        let encoding = encoding.inspect_err(|_| refuse(RefusedBy::ContentType))?;
        let limit = self.route.max_body_bytes();
        let read = if body::announces_more(body, limit) {
            Err(ReadBodyError::TooLarge(limit))
        } else {
            body::read(body, limit, self.plan.limits.timeout, &self.room).await
        };
        let (bytes, room) = read.map_err(|error| {
            let (by, status) = match &error {
                ReadBodyError::TooLarge(_) => (RefusedBy::TooLarge, StatusCode::PAYLOAD_TOO_LARGE),
                ReadBodyError::Timeout(_) => (RefusedBy::Timeout, StatusCode::REQUEST_TIMEOUT),
                ReadBodyError::Full => {
                    refuse(RefusedBy::Concurrent);
                    return Problem::unavailable(error.to_string(), SOON);
                }
                ReadBodyError::Receive(_) => (RefusedBy::Body, StatusCode::BAD_REQUEST),
            };
            refuse(by);
            Problem::new(status, error.to_string())
        })?;
        self.metrics.body_bytes.inc_by(bytes.len() as u64);
        if encoding == Encoding::Identity {
            return Ok((bytes, room));
        }
        // What comes out may be as large as is allowed.
        let Some(mut larger) = body::take_room(&self.room, limit) else {
            refuse(RefusedBy::Concurrent);
            return Err(Problem::unavailable(ReadBodyError::Full.to_string(), SOON));
        };
        drop(room);
        let bytes = decompress(encoding, bytes, limit).await.map_err(|error| match &error {
            DecompressError::TooLarge(_) => {
                refuse(RefusedBy::TooLarge);
                Problem::new(StatusCode::PAYLOAD_TOO_LARGE, error.to_string())
            }
            DecompressError::Read(source) => {
                refuse(RefusedBy::Body);
                Problem::new(StatusCode::BAD_REQUEST, format!("{error}: {source}"))
            }
        })?;
        let room = larger.split(bytes.len()).unwrap_or(larger);
        Ok((bytes, room))
    }

    /// How events are checked in place, if nothing else is made of them than their records.
    fn in_place<'a>(&'a self, request: &Admitted<'_>) -> Option<InPlace<'a>> {
        let in_place = InPlace { route: &self.route, arrival: request.head.arrival };
        (self.plan.respond.is_none() && self.route.map.is_none()).then_some(in_place)
    }

    /// A body of JSON: one event, or an array of them.
    async fn json(&self, request: &Admitted<'_>, bytes: Bytes) -> Result<Response, Problem> {
        let is_array = bytes.trim_ascii_start().first() == Some(&b'[');
        if !is_array || !self.plan.accept.contains(&BodyKind::JsonArray) {
            let given = Given::read(&bytes, self.in_place(request));
            let given = if is_array || self.plan.accept.contains(&BodyKind::Json) {
                given
            } else {
                given.and(Err(Refusal::NotArray))
            };
            return self.one(request, given, bytes, true).await;
        }
        match Elements::new(&bytes, self.in_place(request)) {
            Ok(elements) => self.batch(request, elements, &bytes).await,
            Err(refusal) => self.one(request, Err(refusal), bytes, true).await,
        }
    }

    /// A request of one event. `json` says that the original is its JSON.
    async fn one(
        &self,
        request: &Admitted<'_>,
        given: Result<Given, Refusal>,
        original: Bytes,
        json: bool,
    ) -> Result<Response, Problem> {
        let counters = &self.route.metrics;
        let judgement = match given {
            Ok(given) => self.route.judge(request, given, None),
            Err(refusal) => Judgement::Refused(vec![refusal], None),
        };
        match judgement {
            Judgement::Event(Judged { partition, record, event }) => {
                let (id, length) = (record.id, record.value.len() as u64);
                self.append(request, vec![record_entry(&self.route, partition, record)]).await?;
                counters.stored.inc();
                counters.bytes.inc_by(length);
                Ok(answer::accepted(self.plan.respond.as_ref(), request, event, id))
            }
            Judgement::Dropped => {
                counters.dropped.inc();
                Ok(StatusCode::ACCEPTED.into_response())
            }
            Judgement::Refused(refusals, id) => {
                if self.plan.dead_letter {
                    let letter =
                        self.route.letter(request.head, original, json, id, reasons(&refusals));
                    self.append(request, vec![dead_letter_entry(letter)]).await?;
                    counters.letters.inc();
                }
                self.count_refused(&refusals);
                Err(answer::refused(&self.route, &refusals, self.invalid))
            }
        }
    }

    /// A request of any number of events; what ends them early makes the whole body unreadable.
    async fn batch(
        &self,
        request: &Admitted<'_>,
        items: impl Iterator<Item = Result<Item, Refusal>>,
        body: &Bytes,
    ) -> Result<Response, Problem> {
        let mut summary = Summary::default();
        let mut entries = Vec::new();
        let mut letters = Vec::new();
        let mut length = 0;
        for (index, item) in items.enumerate() {
            if index == self.plan.max_events {
                self.metrics.refused(RefusedBy::TooLarge);
                let detail = format!("the request has more than {index} events");
                return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail));
            }
            if index % TURN == TURN - 1 {
                tokio::task::yield_now().await;
            }
            let Item { line, original, given } = match item {
                Ok(item) => item,
                Err(refusal) => return self.one(request, Err(refusal), body.clone(), true).await,
            };
            let judgement = match given {
                Ok(given) => self.route.judge(request, given, Some(index)),
                Err(refusal) => Judgement::Refused(vec![refusal], None),
            };
            match judgement {
                Judgement::Event(Judged { partition, record, .. }) => {
                    summary.accepted += 1;
                    length += record.value.len() as u64;
                    entries.push(record_entry(&self.route, partition, record));
                }
                Judgement::Dropped => summary.dropped += 1,
                Judgement::Refused(refusals, id) => {
                    self.count_refused(&refusals);
                    summary.reject(&self.route, index, line, &refusals, self.invalid);
                    if self.plan.dead_letter {
                        let reason = reasons(&refusals);
                        let letter = self.route.letter(request.head, original, true, id, reason);
                        letters.push(dead_letter_entry(letter));
                    }
                }
            }
        }
        let nothing = self.plan.all_or_nothing && summary.rejected > 0;
        if nothing {
            entries.clear();
        }
        let (stored, kept) = (entries.len() as u64, letters.len() as u64);
        entries.append(&mut letters);
        if !entries.is_empty() {
            self.append(request, entries).await?;
            self.route.metrics.letters.inc_by(kept);
        }
        if !nothing {
            let counters = &self.route.metrics;
            counters.stored.inc_by(stored);
            counters.dropped.inc_by(summary.dropped as u64);
            counters.bytes.inc_by(length);
        }
        Ok(summary.answer(self.plan.respond.as_ref(), self.plan.all_or_nothing, self.invalid))
    }

    async fn append(&self, request: &Admitted<'_>, entries: Vec<Append>) -> Result<(), Problem> {
        let appended = match request.head.trace {
            Some(parent) => self.append_traced(parent, entries).await,
            None => self.acceptor.append(entries).await.map(drop),
        };
        match appended {
            Ok(()) => Ok(()),
            Err(error) => {
                self.metrics.refused(RefusedBy::Unavailable);
                self.route.metrics.unavailable.inc();
                Err(not_stored(&error))
            }
        }
    }

    async fn append_traced(
        &self,
        parent: TraceParent,
        entries: Vec<Append>,
    ) -> Result<(), AppendError> {
        let start = SystemTime::now();
        let (number, partition) = (entries.len(), entries.first().map(|entry| entry.partition));
        let appended = self.acceptor.append(entries).await;
        let place = match (&appended, partition) {
            (Ok(offsets), Some(partition)) if number == 1 => {
                offsets.first().map(|offset| (partition, *offset))
            }
            _ => None,
        };
        let error = appended.as_ref().err().map(ToString::to_string);
        self.tracing.appended((parent, start), number, place, error);
        appended.map(drop)
    }

    fn count_refused(&self, refusals: &[Refusal]) {
        if let Some(refusal) = refusals.first() {
            self.route.metrics.refused(refusal.kind());
        }
    }
}

/// Says that a client sends too much.
pub(super) fn too_many(wait: Duration) -> Problem {
    // A whole second more than none: who comes again too early is refused again.
    let wait = Duration::from_secs(wait.as_secs() + u64::from(wait.subsec_nanos() > 0));
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "this address sends more than is allowed")
        .retry_after(wait)
}

/// Says that the log did not take an event.
pub(super) fn not_stored(error: &AppendError) -> Problem {
    match error {
        AppendError::TooLarge { .. } => {
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, error.to_string())
        }
        AppendError::UnknownStream { .. } => Problem::internal("the stream does not exist", error),
        AppendError::Unavailable(_) | AppendError::Closed => {
            Problem::unavailable("nothing is stored: the log does not accept at present", SOON)
        }
    }
}
