//! A served router, and plain clients.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers fail as tests do")]

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::Router;
use axum::body::Bytes;
use axum::extract::Request;
use axum::routing::any;
use axum::routing::get;
use millrace_http::Auth;
use millrace_http::Origins;
use millrace_http::Reach;
use millrace_http::ServerOptions;
use millrace_http::Tls;
use millrace_http::User;
use millrace_http::guard;
use millrace_http::serve;
use millrace_observe::Observer;
use millrace_plan::model::ExposurePlan;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::ServerName;
use rustls_pki_types::pem::PemObject as _;
use tempfile::TempDir;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    pub(crate) observer: Arc<Observer>,
    pub(crate) shutdown: CancellationToken,
    pub(crate) server: JoinHandle<std::io::Result<()>>,
    pub(crate) folder: TempDir,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

/// Routes that say who came, wait for ever, or answer with much.
fn routes() -> Router {
    let who = |user: Option<Extension<User>>| async move {
        user.map_or("nobody".to_owned(), |Extension(user)| user.0.to_string())
    };
    Router::new()
        .route("/who", any(who))
        .route("/multivac", any(who))
        .route("/multivac/{*rest}", any(who))
        .route("/metrics", get(|| async { "metrics" }))
        .route(
            "/client",
            get(|request: Request| async move {
                request
                    .extensions()
                    .get::<millrace_http::ClientAddress>()
                    .unwrap()
                    .0
                    .ip()
                    .to_string()
            }),
        )
        .route("/length", any(|body: Bytes| async move { body.len().to_string() }))
        .route(
            "/slow",
            get(|| async {
                tokio::time::sleep(Duration::from_secs(1)).await;
                "slow"
            }),
        )
        .route("/never", get(std::future::pending::<&str>))
}

impl Served {
    pub(crate) async fn new(exposure: &ExposurePlan) -> Self {
        Self::with(exposure, tempfile::tempdir().unwrap()).await
    }

    /// Serves with the Secrets in `secrets` of the folder.
    pub(crate) async fn with(exposure: &ExposurePlan, folder: TempDir) -> Self {
        let observer = Arc::new(Observer::default());
        let secrets = folder.path().join("secrets");
        let tls = exposure
            .tls
            .as_ref()
            .map(|source| Tls::load(source, &secrets, folder.path(), &observer).unwrap());
        let auth = Arc::new(Auth::load(exposure, &secrets).unwrap());
        let origins = Origins::new(&exposure.origins, Reach::Loopback);
        let router = guard(routes(), Arc::clone(&auth), origins);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let options =
            ServerOptions::new(exposure.max_connections, exposure.max_header_bytes, &observer)
                .tls(tls.as_ref());
        let server = tokio::spawn(serve(listener, router, options, shutdown.clone()));
        let stop = shutdown.clone();
        tokio::spawn(async move { auth.watch(stop).await });
        if let Some(tls) = tls {
            let stop = shutdown.clone();
            tokio::spawn(async move { tls.watch(stop).await });
        }
        Self { address, observer, shutdown, server, folder }
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Connects over TLS and trusts what the file has.
    pub(crate) async fn connect_tls(
        &self,
        trusted: &Path,
        protocols: &[&str],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(trusted).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, self.connect().await).await
    }

    /// Sends a request on a connection of its own.
    pub(crate) async fn request(&self, method: &str, path: &str, headers: &[&str]) -> Answer {
        let headers = [headers, &["Connection: close"]].concat();
        ask(&mut self.connect().await, method, path, &headers).await
    }

    pub(crate) async fn get(&self, path: &str, headers: &[&str]) -> Answer {
        self.request("GET", path, headers).await
    }

    /// A metric's present value.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let text = self.observer.encode().unwrap();
        let line = text.lines().find(|line| line.split(' ').next() == Some(name));
        line.unwrap().split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// Waits until a metric has this value.
    pub(crate) async fn metric_becomes(&self, name: &str, value: f64) {
        for _ in 0..3000 {
            if (self.metric(name) - value).abs() < f64::EPSILON {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{name} is {} instead of {value}", self.metric(name));
    }
}

/// Sends a request and reads its answer, which says how long it is.
pub(crate) async fn ask<S: AsyncRead + AsyncWrite + Unpin>(
    connection: &mut S,
    method: &str,
    path: &str,
    headers: &[&str],
) -> Answer {
    let mut head = format!("{method} {path} HTTP/1.1\r\n");
    if !headers.iter().any(|header| header.starts_with("Host:")) {
        head.push_str("Host: localhost\r\n");
    }
    for header in headers {
        head.push_str(header);
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    connection.write_all(head.as_bytes()).await.unwrap();
    read(connection).await
}

/// Reads an answer.
pub(crate) async fn read<S: AsyncRead + Unpin>(connection: &mut S) -> Answer {
    let reading = async {
        let mut bytes = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let length = connection.read(&mut buffer).await.unwrap();
            bytes.extend_from_slice(&buffer[..length]);
            let text = String::from_utf8_lossy(&bytes);
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let status = head.split(' ').nth(1).unwrap().parse().unwrap();
                let answer = Answer { status, head: head.to_owned(), body: body.to_owned() };
                let expected = answer.header("content-length").map(|text| text.parse().unwrap());
                if length == 0 || body.len() >= expected.unwrap_or(0) {
                    return answer;
                }
            }
            assert!(length > 0, "the connection ended: {text}");
        }
    };
    tokio::time::timeout(PATIENCE, reading).await.unwrap()
}

/// Whether the other end has closed, or closes soon.
pub(crate) async fn is_closed<S: AsyncRead + Unpin>(connection: &mut S) -> bool {
    let reading = async {
        let mut rest = Vec::new();
        // A reset is an end as well.
        let _ = connection.read_to_end(&mut rest).await;
        rest.is_empty()
    };
    tokio::time::timeout(PATIENCE * 10, reading).await.unwrap()
}
