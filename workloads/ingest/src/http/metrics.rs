//! What is counted of requests and connections, per way in.

use millrace_observe::Observer;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StatusLabels {
    route: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    route: String,
    reason: &'static str,
}

/// All metrics of requests and connections.
#[derive(Debug)]
pub(super) struct Metrics {
    requests: Family<StatusLabels, Counter>,
    refused: Family<ReasonLabels, Counter>,
    body_bytes: Family<RouteLabels, Counter>,
    in_flight: Family<RouteLabels, Gauge>,
    seconds: Family<RouteLabels, Histogram, fn() -> Histogram>,
}

/// The metrics of one way in, looked up once.
#[derive(Debug)]
pub(super) struct RouteMetrics {
    route: String,
    requests: Family<StatusLabels, Counter>,
    refused: Family<ReasonLabels, Counter>,
    /// The status of most answers and its counter.
    usual: (u16, Counter),
    /// Bytes of bodies as they came, before decompression.
    pub(super) body_bytes: Counter,
    /// Requests that have no answer yet, or open connections.
    pub(super) in_flight: Gauge,
    /// Time from a request's headers to its answer.
    pub(super) seconds: Histogram,
}

/// Why a request or a message is refused whatever its events are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RefusedBy {
    /// The client's rate.
    Rate,
    /// Requests or connections at once.
    Concurrent,
    /// The content type or encoding.
    ContentType,
    /// Headers or path.
    Request,
    /// The size of the body or the number of events.
    TooLarge,
    /// The time that the body took.
    Timeout,
    /// The body was not received or could not be decompressed.
    Body,
    /// The log does not accept.
    Unavailable,
}

impl RefusedBy {
    const fn label(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Concurrent => "concurrent",
            Self::ContentType => "contentType",
            Self::Request => "request",
            Self::TooLarge => "tooLarge",
            Self::Timeout => "timeout",
            Self::Body => "body",
            Self::Unavailable => "unavailable",
        }
    }
}

/// Counts something as long as it is there.
pub(super) struct InFlight(Gauge);

impl Metrics {
    pub(super) fn register(observer: &Observer) -> Self {
        let seconds: fn() -> Histogram = || {
            // 0.1 ms to 30 s, the usual time that a body may take.
            Histogram::new([
                0.000_1, 0.000_4, 0.001, 0.002, 0.005, 0.01, 0.025, 0.1, 0.4, 1.6, 30.0,
            ])
        };
        let metrics = Self {
            requests: Family::default(),
            refused: Family::default(),
            body_bytes: Family::default(),
            in_flight: Family::default(),
            seconds: Family::new_with_constructor(seconds),
        };
        observer.register(
            "http_ingest_requests",
            "Requests by way in and by the status of their answer",
            metrics.requests.clone(),
        );
        observer.register(
            "http_ingest_refused",
            "Requests and messages that were refused whatever their events are, by reason",
            metrics.refused.clone(),
        );
        observer.register(
            "http_ingest_body_bytes",
            "Bytes of bodies and messages by way in, as they came",
            metrics.body_bytes.clone(),
        );
        observer.register(
            "http_ingest_in_flight",
            "Requests that have no answer yet, and open WebSocket connections, by way in",
            metrics.in_flight.clone(),
        );
        observer.register(
            "http_ingest_request_seconds",
            "Time from a request's headers to its answer",
            metrics.seconds.clone(),
        );
        metrics
    }

    pub(super) fn route(&self, name: &str, usual: u16) -> RouteMetrics {
        let labels = RouteLabels { route: name.to_owned() };
        let status = StatusLabels { route: name.to_owned(), status: usual };
        RouteMetrics {
            route: name.to_owned(),
            requests: self.requests.clone(),
            refused: self.refused.clone(),
            usual: (usual, self.requests.get_or_create(&status).clone()),
            body_bytes: self.body_bytes.get_or_create(&labels).clone(),
            in_flight: self.in_flight.get_or_create(&labels).clone(),
            seconds: self.seconds.get_or_create(&labels).clone(),
        }
    }
}

impl RouteMetrics {
    /// Counts a request or a connection until what is returned is dropped.
    pub(super) fn enter(&self) -> InFlight {
        self.in_flight.inc();
        InFlight(self.in_flight.clone())
    }

    /// Counts an answer.
    pub(super) fn answered(&self, status: u16) {
        if status == self.usual.0 {
            self.usual.1.inc();
            return;
        }
        let labels = StatusLabels { route: self.route.clone(), status };
        self.requests.get_or_create(&labels).inc();
    }

    /// Counts a refusal.
    pub(super) fn refused(&self, by: RefusedBy) {
        let labels = ReasonLabels { route: self.route.clone(), reason: by.label() };
        self.refused.get_or_create(&labels).inc();
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}
