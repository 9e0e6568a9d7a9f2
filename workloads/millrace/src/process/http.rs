//! The HTTP port: its address, its certificate and who may come, and what it serves.

use std::io::Error as IoError;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use millrace_archive::Folders;
use millrace_http::Auth;
use millrace_http::Clients;
use millrace_http::LoadAuthError;
use millrace_http::LoadTlsError;
use millrace_http::Origins;
use millrace_http::Reach;
use millrace_http::ServerOptions;
use millrace_http::Tls;
use millrace_http::guard;
use millrace_http::raise_open_files;
use millrace_http::serve;
use millrace_observe::Observer;
use millrace_plan::model::ExposurePlan;
use millrace_query::QueryState;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::error;
use tracing::warn;

/// How long answers that are under way may take once the process stops, if nothing else is said.
pub(crate) const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// Sockets and files that the process needs beside connections of clients.
const OTHER_FILES: u64 = 256;

/// Why there is no HTTP port.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartHttpError {
    /// The port is taken, or the address is not ours.
    #[error(
        "cannot listen for HTTP on {address}: choose another address with --http-listen, such as 127.0.0.1:8081"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: IoError,
    },
    /// The certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] LoadTlsError),
    /// Credentials cannot be checked.
    #[error(transparent)]
    Auth(#[from] LoadAuthError),
}

/// A port that is taken, and does not serve yet.
pub(crate) struct HttpPort {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<Tls>,
    auth: Arc<Auth>,
    origins: Origins,
    options: ServerOptions,
}

impl HttpPort {
    /// Takes the port, and reads the certificate and the credentials of others.
    pub(crate) async fn bind(
        address: SocketAddr,
        exposure: &ExposurePlan,
        folders: &Folders,
        observer: &Observer,
        last_answers: Duration,
    ) -> Result<Self, StartHttpError> {
        let listen = |source| StartHttpError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let secrets = folders.secrets.as_deref().unwrap_or(Path::new("secrets"));
        let tls = match &exposure.tls {
            Some(source) => Some(Tls::load(source, secrets, &folders.data, observer)?),
            None => None,
        };
        let auth = Arc::new(Auth::load(exposure, secrets)?);
        let origins = Origins::new(&exposure.origins, Reach::of(&address));
        let options =
            ServerOptions::new(exposure.max_connections, exposure.max_header_bytes, observer)
                .tls(tls.as_ref())
                .last_answers(last_answers);
        make_room(exposure.max_connections);
        Ok(Self { listener, address, tls, auth, origins, options })
    }

    /// How it is known where requests come from.
    pub(crate) fn clients(self, clients: Clients) -> Self {
        Self { options: self.options.clients(clients), ..self }
    }

    /// Its address.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether it speaks TLS.
    pub(crate) const fn has_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Serves until `stop`.
    pub(crate) fn serve(self, router: Router, tasks: &TaskTracker, stop: &CancellationToken) {
        let router = guard(router, Arc::clone(&self.auth), self.origins);
        let server = serve(self.listener, router, self.options, stop.clone());
        tasks.spawn(async move {
            if let Err(error) = server.await {
                error!(message = "The HTTP port has failed.", %error);
            }
        });
        let (auth, watching) = (self.auth, stop.clone());
        tasks.spawn(async move { auth.watch(watching).await });
        if let Some(tls) = self.tls {
            let watching = stop.clone();
            tasks.spawn(async move { tls.watch(watching).await });
        }
    }
}

/// Keeps what a port shows of streams current, and ends it at `stop`.
pub(crate) fn keep_current(state: &QueryState, tasks: &TaskTracker, stop: &CancellationToken) {
    let (sampled, closed, stop) = (state.clone(), state.clone(), stop.clone());
    tasks.spawn(async move { sampled.sample().await });
    tasks.spawn(async move {
        stop.cancelled().await;
        // Live streams are answers without an end.
        closed.close();
    });
}

/// Allows the process as many sockets as there may be connections, as far as the system does.
fn make_room(connections: usize) {
    let wanted = OTHER_FILES.saturating_add(connections as u64);
    match raise_open_files() {
        Ok(files) if files < wanted => warn!(
            message = "The system allows fewer open files than connections are declared; raise it with `ulimit -n`.",
            files, wanted
        ),
        Ok(_) => {}
        Err(error) => warn!(message = "Failed to raise the number of open files.", %error),
    }
}
