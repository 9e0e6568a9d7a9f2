//! `/livez`, `/readyz` and `/metrics`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;

/// The media type of `/metrics`.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Why health cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum HealthError {
    /// The address cannot be listened at.
    #[error("cannot listen at {address}; choose another one by --http-listen")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// The server ended.
    #[error("the HTTP server ended")]
    Serve(#[source] std::io::Error),
}

/// What is said of this operator.
#[derive(Default)]
pub struct Health {
    ready: AtomicBool,
    /// Its metrics.
    pub metrics: Metrics,
}

impl Health {
    /// Says whether it can do its work: whether it waits for the Lease, or knows the cluster.
    pub fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Relaxed);
    }
}

/// Answers until it is told to end.
///
/// # Errors
/// The address cannot be used.
pub async fn serve(
    address: SocketAddr,
    health: Arc<Health>,
    end: CancellationToken,
) -> Result<(), HealthError> {
    let listener = TcpListener::bind(address)
        .await
        .map_err(|source| HealthError::Listen { address, source })?;
    let router = router(health);
    let server = axum::serve(listener, router).with_graceful_shutdown(end.cancelled_owned());
    server.await.map_err(HealthError::Serve)
}

fn router(health: Arc<Health>) -> Router {
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(health)
}

async fn ready(State(health): State<Arc<Health>>) -> (StatusCode, &'static str) {
    if health.ready.load(Ordering::Relaxed) {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the cluster is not known yet\n")
    }
}

async fn metrics(State(health): State<Arc<Health>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, OPENMETRICS)], health.metrics.text())
}
