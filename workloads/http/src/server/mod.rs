//! The server: accepts connections, bounds them, and stops.

mod activity;
mod body;
mod connection;
mod metrics;
mod redirect;
mod request_body;
mod slots;
mod wire;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use millrace_observe::Observer;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

use self::connection::Port;
use self::metrics::ServerMetrics;
use self::slots::Slots;
use self::wire::Open;
use crate::Clients;
use crate::tls::Tls;

/// How long answers that are under way may take once the server stops, if nothing else is said.
pub const LAST_ANSWERS: Duration = Duration::from_secs(2);

/// How long to wait after a connection could not be accepted, for want of file descriptors say.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);

/// Limits of an HTTP port, and what it speaks.
pub struct ServerOptions {
    tls: Option<TlsAcceptor>,
    max_connections: usize,
    max_header_bytes: usize,
    last_answers: Duration,
    clients: Clients,
    metrics: ServerMetrics,
}

impl ServerOptions {
    /// A port with these limits: most connections at once, and most bytes of a request's headers.
    /// Made once a process, since it registers metrics.
    #[must_use]
    pub fn new(max_connections: usize, max_header_bytes: usize, observer: &Observer) -> Self {
        Self {
            tls: None,
            max_connections,
            max_header_bytes,
            last_answers: LAST_ANSWERS,
            clients: Clients::default(),
            metrics: ServerMetrics::register(observer),
        }
    }

    /// Speaks TLS; plain HTTP on the same port is redirected.
    #[must_use]
    pub fn tls(mut self, tls: Option<&Tls>) -> Self {
        self.tls = tls.map(|tls| TlsAcceptor::from(tls.config()));
        self
    }

    /// How long answers that are under way may take once the server stops.
    #[must_use]
    pub const fn last_answers(mut self, patience: Duration) -> Self {
        self.last_answers = patience;
        self
    }

    /// How it is known where requests come from.
    #[must_use]
    pub const fn clients(mut self, clients: Clients) -> Self {
        self.clients = clients;
        self
    }
}

/// Serves until `shutdown`; then closes idle connections at once and waits a little for answers
/// that are under way. Handlers find the client's [`ClientAddress`](crate::ClientAddress) among a
/// request's extensions.
///
/// # Errors
/// When the listener has no address.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    options: ServerOptions,
    shutdown: CancellationToken,
) -> io::Result<()> {
    listener.local_addr()?;
    let port = Arc::new(Port {
        router,
        tls: options.tls,
        slots: Slots::new(options.max_connections),
        metrics: options.metrics,
        max_header_bytes: options.max_header_bytes,
        clients: options.clients,
        closing: CancellationToken::new(),
        ended: CancellationToken::new(),
    });
    let connections = TaskTracker::new();
    tokio::select! {
        biased;
        () = shutdown.cancelled() => {}
        () = accept(&listener, &port, &connections) => {}
    }
    drop(listener);
    port.closing.cancel();
    connections.close();
    // A client that does not take its answer does not hold the process up.
    let _ = tokio::time::timeout(options.last_answers, connections.wait()).await;
    port.ended.cancel();
    connections.wait().await;
    Ok(())
}

async fn accept(listener: &TcpListener, port: &Arc<Port>, connections: &TaskTracker) {
    loop {
        let (stream, client) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) if is_of_one_connection(&error) => continue,
            Err(error) => {
                // Most likely there are no file descriptors left.
                warn!(message = "Failed to accept an HTTP connection.", %error);
                port.slots.evict();
                tokio::time::sleep(ACCEPT_AGAIN).await;
                continue;
            }
        };
        let slot = port.slots.take().await;
        let open = Open::new(slot, &port.metrics);
        let port = Arc::clone(port);
        connections.spawn(async move { connection::serve(&port, stream, client, open).await });
    }
}

/// Whether an error concerns the connection that was to be accepted alone.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    )
}

/// Raises the number of files and sockets that the process may have open to the most that the
/// system allows, and says how many that is.
///
/// # Errors
/// When the system refuses.
pub fn raise_open_files() -> io::Result<u64> {
    rlimit::increase_nofile_limit(u64::MAX)
}
