//! One connection, from its first byte to its last.
//!
//! A connection that waits for its next request keeps nothing but its socket (and its TLS
//! session): what HTTP/1.1 needs to read and answer is made when something comes and taken down
//! half a second after the last answer. So ten thousand idle connections cost little.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::http::Response;
use axum::http::Version;
use bytes::Bytes;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::server::conn::http2;
use hyper::service::Service;
use hyper_util::rt::TokioExecutor;
use hyper_util::rt::TokioIo;
use hyper_util::rt::TokioTimer;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::activity::Activity;
use super::activity::Doing;
use super::body::AnswerBody;
use super::metrics::ServerMetrics;
use super::redirect;
use super::request_body::RequestBody;
use super::slots::Slots;
use super::wire::Open;
use super::wire::STALL;
use super::wire::Wire;
use crate::Clients;

/// Longest time that a client may take to send the headers of a request, once it has begun.
const HEADERS: Duration = Duration::from_secs(10);

/// Longest time that a client may take for its TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How long a connection stays open without a request.
const IDLE: Duration = Duration::from_secs(75);

/// How often a connection that is not idle is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// How long the other end may take to hear that a connection over HTTP/2 ends.
const FAREWELL: Duration = Duration::from_secs(1);

/// How often the other end of a connection over HTTP/2 is asked whether it is there.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// Most requests at once on a connection over HTTP/2.
const MAX_STREAMS: u32 = 250;

/// Bytes that a request over HTTP/2 may send ahead of what is read, and all of a connection's.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// Bytes of an answer over HTTP/2 that wait to be taken.
const STREAM_SEND_BUFFER: usize = 64 * 1024;

/// What a connection over HTTP/2 begins with.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The first byte of a TLS handshake.
const TLS_HANDSHAKE: u8 = 0x16;

/// A client that takes too long with the headers of its request is told so.
const TOO_SLOW: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// What all connections of a port share.
pub(super) struct Port {
    pub(super) router: Router,
    pub(super) tls: Option<TlsAcceptor>,
    pub(super) slots: Slots,
    pub(super) metrics: ServerMetrics,
    pub(super) max_header_bytes: usize,
    pub(super) clients: Clients,
    /// Ends connections as soon as their answers are finished.
    pub(super) closing: CancellationToken,
    /// Ends connections at once.
    pub(super) ended: CancellationToken,
}

/// What a client speaks.
enum Protocol {
    Http1,
    Http2,
}

/// Why a connection waits no longer.
enum Woken {
    /// There is something to read.
    Readable,
    /// It is to close.
    Close,
}

/// A connection with HTTP/1.1 has come to rest.
enum Rest {
    /// It waits for its next request.
    Idle(Wire),
    Closed,
}

/// Serves a connection until it ends.
pub(super) async fn serve(port: &Port, stream: TcpStream, client: SocketAddr, open: Open) {
    // Small answers and events go out at once.
    let _ = stream.set_nodelay(true);
    tokio::select! {
        biased;
        () = port.ended.cancelled() => {}
        () = begin(port, stream, client, open) => {}
    }
}

async fn begin(port: &Port, stream: TcpStream, client: SocketAddr, open: Open) {
    let router = &port.router;
    let Some(tls) = &port.tls else {
        return Box::pin(detect(port, Wire::plain(stream, open), client, router)).await;
    };
    let mut first = [0];
    let mut length = 0;
    let peeked = async {
        length = stream.peek(&mut first).await?;
        Ok(())
    };
    if matches!(wait(port, peeked).await, Woken::Close) {
        return;
    }
    match length {
        0 => {}
        _ if first == [TLS_HANDSHAKE] => {
            let Some(wire) = Box::pin(handshake(port, tls, stream, open)).await else { return };
            Box::pin(detect(port, wire, client, router)).await;
        }
        _ => {
            // What speaks plain HTTP is shown the way.
            let wire = Wire::plain(stream, open);
            Box::pin(http1(port, wire, client, &redirect::router())).await;
        }
    }
}

async fn handshake(port: &Port, tls: &TlsAcceptor, stream: TcpStream, open: Open) -> Option<Wire> {
    let accepted = tokio::select! {
        biased;
        () = port.closing.cancelled() => return None,
        accepted = tokio::time::timeout(HANDSHAKE, tls.accept(stream)) => accepted,
    };
    match accepted {
        Ok(Ok(stream)) => Some(Wire::tls(stream, open)),
        Ok(Err(error)) => {
            port.metrics.handshake_failures.inc();
            debug!(message = "A TLS handshake has failed.", %error);
            None
        }
        Err(_) => {
            port.metrics.timeouts.inc();
            None
        }
    }
}

/// Serves what the client speaks: HTTP/2 begins with words of its own.
async fn detect(port: &Port, mut wire: Wire, client: SocketAddr, router: &Router) {
    let mut bytes = [0; PREFACE.len()];
    let mut length = 0;
    let first = async {
        length = wire.read(&mut bytes).await?;
        Ok(())
    };
    if matches!(wait(port, first).await, Woken::Close) || length == 0 {
        return;
    }
    // The first byte may take as long as a connection may be idle, the rest may not.
    let detected = tokio::select! {
        biased;
        () = port.closing.cancelled() => return,
        detected = tokio::time::timeout(HEADERS, protocol(&mut wire, bytes, length)) => detected,
    };
    match detected {
        Ok(Ok(Protocol::Http1)) => http1(port, wire, client, router).await,
        Ok(Ok(Protocol::Http2)) => Box::pin(http2(port, wire, client, router)).await,
        Ok(Err(_)) => {}
        Err(_) => {
            port.metrics.timeouts.inc();
        }
    }
}

/// Reads until it is clear what the client speaks; `length` bytes have come already.
async fn protocol(
    wire: &mut Wire,
    mut bytes: [u8; PREFACE.len()],
    mut length: usize,
) -> std::io::Result<Protocol> {
    let protocol = loop {
        if bytes[..length] != PREFACE[..length] {
            break Protocol::Http1;
        }
        if length == PREFACE.len() {
            break Protocol::Http2;
        }
        match wire.read(&mut bytes[length..]).await? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            read => length += read,
        }
    };
    wire.unread(Bytes::copy_from_slice(&bytes[..length]));
    Ok(protocol)
}

/// Waits for something to come, as an idle connection.
async fn wait(port: &Port, readable: impl Future<Output = std::io::Result<()>>) -> Woken {
    let mut parked = port.slots.park();
    tokio::select! {
        biased;
        () = port.closing.cancelled() => Woken::Close,
        result = readable => if result.is_ok() { Woken::Readable } else { Woken::Close },
        () = parked.evicted() => {
            port.metrics.evicted.inc();
            Woken::Close
        }
        () = tokio::time::sleep(IDLE) => {
            port.metrics.idle_closed.inc();
            Woken::Close
        }
    }
}

async fn http1(port: &Port, mut wire: Wire, client: SocketAddr, router: &Router) {
    loop {
        match Box::pin(requests(port, wire, client, router)).await {
            Rest::Idle(idle) => wire = idle,
            Rest::Closed => return,
        }
        if matches!(wait(port, wire.readable()).await, Woken::Close) {
            return;
        }
    }
}

/// Answers requests until none comes for a moment.
async fn requests(port: &Port, wire: Wire, client: SocketAddr, router: &Router) -> Rest {
    let activity = Arc::clone(wire.activity());
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // Both are watched over here, so that requests pay for no timer.
        .header_read_timeout(None)
        .max_header_size(port.max_header_bytes)
        .max_buf_size(port.max_header_bytes.max(64 * 1024))
        .serve_connection(TokioIo::new(wire), Handler::new(port, router, client, &activity))
        .with_upgrades();
    let look = tokio::time::sleep(LOOK);
    tokio::pin!(look);
    let mut is_closing = false;
    let mut reading_since: Option<Instant> = None;
    loop {
        tokio::select! {
            biased;
            () = port.closing.cancelled(), if !is_closing => {
                is_closing = true;
                Pin::new(&mut connection).graceful_shutdown();
            }
            result = &mut connection => {
                if let Err(error) = result {
                    debug!(message = "A connection has ended.", %client, %error);
                }
                return Rest::Closed;
            }
            () = &mut look => {
                look.as_mut().reset(Instant::now() + LOOK);
                match activity.doing() {
                    Doing::Answering => reading_since = None,
                    Doing::Reading => {
                        let since = *reading_since.get_or_insert_with(Instant::now);
                        if since.elapsed() + LOOK >= HEADERS {
                            port.metrics.timeouts.inc();
                            if let Some(parts) = connection.into_parts() {
                                tell_too_slow(parts.io.into_inner()).await;
                            }
                            return Rest::Closed;
                        }
                    }
                    // While stopping it is closing by itself.
                    Doing::Nothing if is_closing => {}
                    Doing::Nothing => {
                        let Some(parts) = connection.into_parts() else { return Rest::Closed };
                        let mut wire = parts.io.into_inner();
                        if !parts.read_buf.is_empty() {
                            wire.unread(parts.read_buf);
                        }
                        return Rest::Idle(wire);
                    }
                }
            }
        }
    }
}

async fn tell_too_slow(mut wire: Wire) {
    let told = async {
        wire.write_all(TOO_SLOW).await?;
        wire.shutdown().await
    };
    // A client that does not listen does not keep the connection open.
    let _ = tokio::time::timeout(FAREWELL, told).await;
}

/// Serves HTTP/2, without tunnels (RFC 8441): browsers open WebSockets over connections of their
/// own, with HTTP/1.1, where they are not offered.
async fn http2(port: &Port, wire: Wire, client: SocketAddr, router: &Router) {
    let activity = Arc::clone(wire.activity());
    let max_header_bytes = u32::try_from(port.max_header_bytes).unwrap_or(u32::MAX);
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(max_header_bytes)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(STREAM_SEND_BUFFER)
        .keep_alive_interval(KEEP_ALIVE)
        .serve_connection(TokioIo::new(wire), Handler::new(port, router, client, &activity));
    tokio::pin!(connection);
    let look = tokio::time::sleep(LOOK);
    tokio::pin!(look);
    let mut idle_since: Option<Instant> = None;
    let mut parked = None;
    let evict = loop {
        tokio::select! {
            biased;
            () = port.closing.cancelled() => break false,
            result = &mut connection => {
                if let Err(error) = result {
                    debug!(message = "A connection has ended.", %client, %error);
                }
                return;
            }
            () = evicted(&mut parked) => {
                parked = None;
                if activity.is_answering() {
                    continue;
                }
                break true;
            }
            () = &mut look => {
                look.as_mut().reset(Instant::now() + LOOK);
                // A client may be there and leave answers where they are, by giving no room.
                if activity.stalled().is_some_and(|stalled| stalled >= STALL) {
                    port.metrics.timeouts.inc();
                    return;
                }
                // Only requests count: whatever else is sent does not keep it open.
                if activity.is_answering() {
                    (idle_since, parked) = (None, None);
                    continue;
                }
                let since = *idle_since.get_or_insert_with(Instant::now);
                if parked.is_none() {
                    parked = Some(port.slots.park());
                }
                if since.elapsed() >= IDLE {
                    port.metrics.idle_closed.inc();
                    break false;
                }
            }
        }
    };
    drop(parked);
    connection.as_mut().graceful_shutdown();
    if evict {
        port.metrics.evicted.inc();
    }
    if activity.is_answering() {
        // The process stops; how long answers may take is not decided here.
        let _ = connection.await;
    } else {
        let _ = tokio::time::timeout(FAREWELL, connection).await;
    }
}

/// Ends when an idle connection is to go; never for one that is not idle.
async fn evicted(parked: &mut Option<super::slots::Parked<'_>>) {
    match parked {
        Some(parked) => parked.evicted().await,
        None => std::future::pending().await,
    }
}

/// Hands requests to the router.
struct Handler {
    router: Router,
    clients: Clients,
    /// The other end of the connection.
    client: SocketAddr,
    activity: Arc<Activity>,
}

impl Handler {
    fn new(port: &Port, router: &Router, client: SocketAddr, activity: &Arc<Activity>) -> Self {
        let (router, activity) = (router.clone(), Arc::clone(activity));
        Self { router, clients: port.clients, client, activity }
    }
}

impl Service<Request<Incoming>> for Handler {
    type Response = Response<AnswerBody>;
    type Error = std::convert::Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let answering = self.activity.request();
        let is_shared = request.version() == Version::HTTP_2;
        let client = self.clients.address(request.headers(), self.client);
        request.extensions_mut().insert(client);
        let mut router = self.router.clone();
        let request = RequestBody::of(request, &self.activity).map(Body::new);
        let answer = tower_service::Service::call(&mut router, request);
        Box::pin(async move {
            Ok(answer.await?.map(|body| AnswerBody::new(body, answering, is_shared)))
        })
    }
}
