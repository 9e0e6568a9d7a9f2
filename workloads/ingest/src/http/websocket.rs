//! Connections over WebSocket: messages in, an answer to each after the append, in order.
//!
//! One half of a connection reads into a bounded window, the other stores what waits there with one
//! append and answers. A full window is not read on: the client waits. Close codes: 1001 when the
//! process stops, 1008 for silence, 1009 for a message that is too large.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRequestParts as _;
use axum::extract::Request;
use axum::extract::ws::CloseFrame;
use axum::extract::ws::Message;
use axum::extract::ws::WebSocket;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::close_code;
use axum::http::HeaderValue;
use axum::http::StatusCode;
use axum::http::header::UPGRADE;
use axum::http::request::Parts;
use axum::response::IntoResponse;
use axum::response::Response;
use bytes::Bytes;
use futures::SinkExt as _;
use futures::StreamExt as _;
use futures::stream::SplitSink;
use futures::stream::SplitStream;
use millrace_core::EventId;
use millrace_http::Problem;
use millrace_http::User;
use millrace_plan::model::WebSocketIngest;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio::time::timeout;
use tokio::time::timeout_at;
use tokio_tungstenite::tungstenite;
use tokio_util::sync::CancellationToken;

use crate::acceptor::Acceptor;
use crate::acceptor::Admitted;
use crate::acceptor::Given;
use crate::acceptor::InPlace;
use crate::acceptor::Judged;
use crate::acceptor::Judgement;
use crate::acceptor::RequestHead;
use crate::acceptor::Route;
use crate::acceptor::record_entry;
use crate::http::answer;
use crate::http::exchange::SOON;
use crate::http::exchange::not_stored;
use crate::http::exchange::too_many;
use crate::http::limits::RateLimiter;
use crate::http::limits::address_of;
use crate::http::metrics::RefusedBy;
use crate::http::metrics::RouteMetrics;
use crate::recorded::now_millis;

/// Messages of a connection that wait for their answer, at most.
const WINDOW: usize = 1024;

/// Bytes of them, at most; one message of the largest size always has room.
const WINDOW_BYTES: usize = 4 << 20;

/// How much larger than allowed a message may be to be refused in good order; for larger ones the
/// rest is not read.
const SLACK: usize = 1 << 20;

/// Bytes that are read at once; each connection holds as many.
const READ_BUFFER_BYTES: usize = 8 << 10;

/// How long the other side may take to confirm that the connection ends.
const FAREWELL: Duration = Duration::from_secs(1);

/// A way in over WebSocket.
pub(super) struct WebSocketEntry {
    acceptor: Acceptor,
    route: Arc<Route>,
    plan: WebSocketIngest,
    places: Arc<Semaphore>,
    rate: Option<RateLimiter>,
    metrics: RouteMetrics,
    closing: CancellationToken,
}

impl WebSocketEntry {
    pub(super) fn new(
        acceptor: Acceptor,
        route: Arc<Route>,
        plan: WebSocketIngest,
        metrics: RouteMetrics,
        closing: CancellationToken,
    ) -> Self {
        Self {
            acceptor,
            route,
            places: Arc::new(Semaphore::new(plan.limits.concurrent.min(Semaphore::MAX_PERMITS))),
            rate: plan.limits.rate.map(|rate| RateLimiter::new(rate, std::time::Instant::now())),
            plan,
            metrics,
            closing,
        }
    }
}

/// Answers an opening request.
pub(super) async fn open(entry: Arc<WebSocketEntry>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let response = match upgrade(&entry, parts).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    };
    entry.metrics.answered(response.status().as_u16());
    response
}

async fn upgrade(entry: &Arc<WebSocketEntry>, mut parts: Parts) -> Result<Response, Problem> {
    let Ok(place) = Arc::clone(&entry.places).try_acquire_owned() else {
        entry.metrics.refused(RefusedBy::Concurrent);
        let detail = format!("{} connections are open already", entry.plan.limits.concurrent);
        return Err(Problem::unavailable(detail, SOON));
    };
    entry.route.admit(head_of(&parts)).map_err(|error| {
        entry.metrics.refused(RefusedBy::Request);
        Problem::new(StatusCode::BAD_REQUEST, error.to_string())
    })?;
    let upgrade = WebSocketUpgrade::from_request_parts(&mut parts, &()).await.map_err(|error| {
        entry.metrics.refused(RefusedBy::Request);
        let detail = format!("this path takes WebSocket connections: {}", error.body_text());
        Problem::new(StatusCode::UPGRADE_REQUIRED, detail)
            .header(UPGRADE, HeaderValue::from_static("websocket"))
    })?;
    let largest = entry.route.max_body_bytes() + SLACK;
    let upgrade = upgrade
        .max_message_size(largest)
        .max_frame_size(largest)
        .read_buffer_size(READ_BUFFER_BYTES);
    let entry = Arc::clone(entry);
    let counted = entry.metrics.enter();
    Ok(upgrade.on_upgrade(move |socket| async move {
        serve(&entry, &parts, socket).await;
        drop((counted, place));
    }))
}

fn head_of(parts: &Parts) -> RequestHead<'_> {
    RequestHead {
        uri: &parts.uri,
        headers: &parts.headers,
        user: parts.extensions.get::<User>().map(|user| &*user.0),
        arrival: now_millis(),
        // Its messages are of the trace that the opening request names.
        trace: None,
    }
}

/// What the reading half hands over, in order.
enum Received {
    /// A message, with its share of the window.
    Message(Bytes, OwnedSemaphorePermit),
    /// A message that comes too soon after the ones before it.
    TooMany(Duration),
    /// Nothing was heard for a while.
    Silence,
    /// The connection is to end.
    End(u16, &'static str),
}

async fn serve(entry: &WebSocketEntry, parts: &Parts, socket: WebSocket) {
    // The opening request was checked before the connection was.
    let Ok(request) = entry.route.admit(head_of(parts)) else { return };
    let request = request.without_key();
    let address = address_of(&parts.extensions);
    let (mut sink, mut stream) = socket.split();
    let (queue, waiting) = mpsc::channel(WINDOW);
    let reading = async {
        read(entry, address, &mut stream, queue).await;
        // What waits is still stored and answered; the other half ends.
        std::future::pending::<Infallible>().await
    };
    let ended = tokio::select! {
        ended = answer(entry, request, waiting, &mut sink) => ended,
        never = reading => match never {},
    };
    if ended {
        let farewell = async { while let Some(Ok(_)) = stream.next().await {} };
        // Whoever does not confirm is gone.
        let _ = timeout(FAREWELL, farewell).await;
    }
}

/// Reads messages into the window until the connection ends.
async fn read(
    entry: &WebSocketEntry,
    address: IpAddr,
    stream: &mut SplitStream<WebSocket>,
    queue: mpsc::Sender<Received>,
) {
    let limit = entry.route.max_body_bytes();
    let idle = entry.plan.idle_timeout;
    let window = WINDOW_BYTES.max(limit);
    let room = Arc::new(Semaphore::new(window));
    let mut deadline = Instant::now() + idle / 2;
    let mut silent = false;
    loop {
        let next = tokio::select! {
            biased;
            () = entry.closing.cancelled() => {
                let _ = queue.send(Received::End(close_code::AWAY, "the process stops")).await;
                return;
            }
            next = timeout_at(deadline, stream.next()) => next,
        };
        let received = match next {
            Err(_) if silent => Received::End(close_code::POLICY, "neither a message nor a pong"),
            Err(_) => Received::Silence,
            Ok(Some(Ok(message @ (Message::Text(_) | Message::Binary(_))))) => {
                let data = message.into_data();
                entry.metrics.body_bytes.inc_by(data.len() as u64);
                take(entry, address, data, limit, &room).await
            }
            Ok(Some(Ok(Message::Ping(_) | Message::Pong(_)))) => {
                deadline = Instant::now() + idle / 2;
                silent = false;
                continue;
            }
            Ok(Some(Ok(Message::Close(_))) | None) => return,
            Ok(Some(Err(error))) => {
                let error = error.into_inner();
                if !matches!(error.downcast_ref(), Some(tungstenite::Error::Capacity(_))) {
                    return;
                }
                entry.metrics.refused(RefusedBy::TooLarge);
                Received::End(close_code::SIZE, "the message is too large")
            }
        };
        silent = matches!(received, Received::Silence);
        let last = matches!(received, Received::End(..));
        if queue.send(received).await.is_err() || last {
            return;
        }
        // Waiting for room is not the client's silence.
        deadline = Instant::now() + idle / 2;
    }
}

async fn take(
    entry: &WebSocketEntry,
    address: IpAddr,
    data: Bytes,
    limit: usize,
    room: &Arc<Semaphore>,
) -> Received {
    if data.len() > limit {
        entry.metrics.refused(RefusedBy::TooLarge);
        return Received::End(close_code::SIZE, "the message is too large");
    }
    if let Some(rate) = &entry.rate
        && let Err(wait) = rate.take(address, std::time::Instant::now())
    {
        entry.metrics.refused(RefusedBy::Rate);
        return Received::TooMany(wait);
    }
    let share = u32::try_from(data.len()).unwrap_or(u32::MAX);
    match Arc::clone(room).acquire_many_owned(share).await {
        Ok(permit) => Received::Message(data, permit),
        // Nobody closes the window.
        Err(_) => Received::End(close_code::ERROR, "the window is closed"),
    }
}

/// What is answered, once what can be stored is.
enum Reply {
    Stored(EventId),
    Dropped,
    Problem(Box<Problem>),
}

/// Stores what waits and answers it, until the connection ends; whether its end was announced.
async fn answer(
    entry: &WebSocketEntry,
    mut request: Admitted<'_>,
    mut waiting: mpsc::Receiver<Received>,
    sink: &mut SplitSink<WebSocket, Message>,
) -> bool {
    let mut received = Vec::new();
    let mut number = 0_u64;
    while waiting.recv_many(&mut received, WINDOW).await > 0 {
        request.arrive(now_millis());
        let mut replies = Vec::with_capacity(received.len());
        let mut entries = Vec::with_capacity(received.len());
        let mut bytes = 0;
        let mut ping = false;
        let mut end = None;
        // Shares of the window are given back when the answers are sent.
        let mut shares = Vec::with_capacity(received.len());
        for one in received.drain(..) {
            match one {
                Received::Message(data, share) => {
                    shares.push(share);
                    replies.push(match judge(entry, &request, &data) {
                        Ok(Judgement::Event(Judged { partition, record, .. })) => {
                            let id = record.id;
                            bytes += record.value.len() as u64;
                            entries.push(record_entry(&entry.route, partition, record));
                            Reply::Stored(id)
                        }
                        Ok(_) => Reply::Dropped,
                        Err(problem) => Reply::Problem(problem),
                    });
                }
                Received::TooMany(wait) => replies.push(Reply::Problem(Box::new(too_many(wait)))),
                Received::Silence => ping = true,
                Received::End(code, reason) => end = Some((code, reason)),
            }
        }
        let stored = store(entry, entries, bytes).await;
        for reply in replies {
            number += 1;
            let text = told(number, &reply, stored.as_ref().err());
            if !matches!(
                timeout(entry.plan.idle_timeout, sink.feed(Message::text(text))).await,
                Ok(Ok(()))
            ) {
                return false;
            }
        }
        if ping && sink.feed(Message::Ping(Bytes::new())).await.is_err() {
            return false;
        }
        if let Some((code, reason)) = end {
            let frame = CloseFrame { code, reason: reason.into() };
            let closing = timeout(FAREWELL, sink.send(Message::Close(Some(frame)))).await;
            return matches!(closing, Ok(Ok(())));
        }
        // A client that reads no answers is gone, whatever it sends.
        if !matches!(timeout(entry.plan.idle_timeout, sink.flush()).await, Ok(Ok(()))) {
            return false;
        }
        drop(shares);
    }
    false
}

fn judge(
    entry: &WebSocketEntry,
    request: &Admitted<'_>,
    data: &Bytes,
) -> Result<Judgement, Box<Problem>> {
    let in_place = InPlace { route: &entry.route, arrival: request.head.arrival };
    let in_place = entry.route.map.is_none().then_some(in_place);
    let judgement = match Given::read(data, in_place) {
        Ok(given) => entry.route.judge(request, given, None),
        Err(refusal) => Judgement::Refused(vec![refusal], None),
    };
    match judgement {
        Judgement::Refused(refusals, _) => {
            if let Some(refusal) = refusals.first() {
                entry.route.metrics.refused(refusal.kind());
            }
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            Err(Box::new(answer::refused(&entry.route, &refusals, status)))
        }
        Judgement::Dropped => {
            entry.route.metrics.dropped.inc();
            Ok(Judgement::Dropped)
        }
        stored @ Judgement::Event(_) => Ok(stored),
    }
}

/// Appends the events of several messages at once.
async fn store(
    entry: &WebSocketEntry,
    entries: Vec<millrace_log::Append>,
    bytes: u64,
) -> Result<(), Problem> {
    let events = entries.len() as u64;
    if events == 0 {
        return Ok(());
    }
    let counters = &entry.route.metrics;
    match entry.acceptor.append(entries).await {
        Ok(_) => {
            counters.stored.inc_by(events);
            counters.bytes.inc_by(bytes);
            Ok(())
        }
        Err(error) => {
            counters.unavailable.inc();
            entry.metrics.refused(RefusedBy::Unavailable);
            Err(not_stored(&error))
        }
    }
}

/// The answer to a message; `failed` says why nothing could be stored.
fn told(number: u64, reply: &Reply, failed: Option<&Problem>) -> String {
    let problem = match (reply, failed) {
        (Reply::Stored(_), Some(failed)) => failed,
        (Reply::Stored(id), None) => return format!(r#"{{"message":{number},"id":"{id}"}}"#),
        (Reply::Dropped, _) => return format!(r#"{{"message":{number}}}"#),
        (Reply::Problem(problem), _) => problem,
    };
    serde_json::json!({ "message": number, "problem": problem.to_json() }).to_string()
}
