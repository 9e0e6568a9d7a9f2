//! Figures of an HTTP port.

use millrace_observe::Observer;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

/// Figures of an HTTP port.
#[derive(Debug, Clone, Default)]
pub(crate) struct ServerMetrics {
    pub(crate) open: Gauge,
    pub(crate) accepted: Counter,
    pub(crate) evicted: Counter,
    pub(crate) idle_closed: Counter,
    pub(crate) timeouts: Counter,
    pub(crate) handshake_failures: Counter,
}

impl ServerMetrics {
    pub(crate) fn register(observer: &Observer) -> Self {
        let metrics = Self::default();
        observer.register(
            "http_open_connections",
            "Connections that are open now, those over WebSocket included",
            metrics.open.clone(),
        );
        observer.register("http_connections", "Connections accepted", metrics.accepted.clone());
        observer.register(
            "http_evicted_connections",
            "Idle connections closed to make room for others",
            metrics.evicted.clone(),
        );
        observer.register(
            "http_idle_connections_closed",
            "Connections closed because nothing came for too long",
            metrics.idle_closed.clone(),
        );
        observer.register(
            "http_timeouts",
            "Connections closed because headers, a TLS handshake or the taking of an answer took too long",
            metrics.timeouts.clone(),
        );
        observer.register(
            "http_tls_handshake_failures",
            "TLS handshakes that failed",
            metrics.handshake_failures.clone(),
        );
        metrics
    }
}
