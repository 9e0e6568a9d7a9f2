//! Counters of what comes in, per way in and result.

use std::sync::Arc;

use millrace_observe::DeadLetterCounts;
use millrace_observe::Observer;
use millrace_plan::model::IngestSource;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;

use crate::acceptor::refusal::RefusalKind;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    route: String,
    result: &'static str,
}

/// All metrics of what comes in.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    mqtt: Received,
    http: Received,
    kafka: Received,
    pub(crate) append_seconds: Histogram,
    letters: DeadLetterCounts,
}

/// What came in by one protocol.
#[derive(Debug, Clone, Default)]
struct Received {
    events: Family<ResultLabels, Counter>,
    bytes: Family<RouteLabels, Counter>,
}

/// The protocol of a way in, as metrics tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// MQTT.
    Mqtt,
    /// HTTP and WebSocket.
    Http,
    /// Topics of Kafka.
    Kafka,
}

impl Protocol {
    pub(crate) const fn of(source: &IngestSource) -> Self {
        match source {
            IngestSource::MqttListen(_) | IngestSource::MqttConnect(_) => Self::Mqtt,
            IngestSource::Http(_) | IngestSource::WebSocket(_) => Self::Http,
            IngestSource::Kafka(_) => Self::Kafka,
        }
    }
}

/// The metrics of one way in, looked up once.
#[derive(Debug, Clone)]
pub(crate) struct RouteMetrics {
    labels: Arc<str>,
    received: Family<ResultLabels, Counter>,
    pub(crate) bytes: Counter,
    pub(crate) stored: Counter,
    pub(crate) dropped: Counter,
    pub(crate) unavailable: Counter,
    /// Dead letters that were kept.
    pub(crate) letters: Counter,
}

impl Metrics {
    pub(crate) fn register(observer: &Observer) -> Self {
        let metrics = Self {
            mqtt: Received::default(),
            http: Received::default(),
            kafka: Received::default(),
            letters: observer.dead_letters().clone(),
            // 0.1 ms to 1.6 s: an fsync takes about 0.4 ms, a stalled disk seconds.
            append_seconds: Histogram::new([
                0.000_1, 0.000_4, 0.001, 0.002, 0.005, 0.01, 0.025, 0.1, 0.4, 1.6,
            ]),
        };
        observer.register(
            "mqtt_messages_received",
            "Messages by way in and by what became of them",
            metrics.mqtt.events.clone(),
        );
        observer.register(
            "mqtt_received_bytes",
            "Bytes of message bodies by way in",
            metrics.mqtt.bytes.clone(),
        );
        observer.register(
            "http_events_received",
            "Events over HTTP and WebSocket by way in and by what became of them",
            metrics.http.events.clone(),
        );
        observer.register(
            "http_received_bytes",
            "Bytes of stored events over HTTP and WebSocket by way in",
            metrics.http.bytes.clone(),
        );
        observer.register(
            "kafka_records_received",
            "Records of topics that others write, by way in and by what became of them",
            metrics.kafka.events.clone(),
        );
        observer.register(
            "kafka_received_bytes",
            "Bytes of values of such records by way in",
            metrics.kafka.bytes.clone(),
        );
        observer.register(
            "ingest_append_seconds",
            "Time until an accepted message was durable",
            metrics.append_seconds.clone(),
        );
        metrics
    }

    pub(crate) fn route(&self, name: &str, stage: &str, protocol: Protocol) -> RouteMetrics {
        let received = match protocol {
            Protocol::Mqtt => &self.mqtt,
            Protocol::Http => &self.http,
            Protocol::Kafka => &self.kafka,
        };
        let result = |result| {
            let labels = ResultLabels { route: name.to_owned(), result };
            received.events.get_or_create(&labels).clone()
        };
        RouteMetrics {
            labels: Arc::from(name),
            received: received.events.clone(),
            bytes: received.bytes.get_or_create(&RouteLabels { route: name.to_owned() }).clone(),
            stored: result("stored"),
            dropped: result("dropped"),
            unavailable: result("unavailable"),
            letters: self.letters.of(stage),
        }
    }
}

impl RouteMetrics {
    /// Counts a message that became a dead letter.
    pub(crate) fn refused(&self, kind: RefusalKind) {
        self.count(kind.label(), 1);
    }

    /// Counts a record that had no value.
    pub(crate) fn emptied(&self) {
        self.count("empty", 1);
    }

    /// Counts offsets of a topic whose records were removed before they were read.
    pub(crate) fn removed(&self, offsets: u64) {
        self.count("removed", offsets);
    }

    fn count(&self, result: &'static str, times: u64) {
        let labels = ResultLabels { route: self.labels.as_ref().to_owned(), result };
        self.received.get_or_create(&labels).inc_by(times);
    }
}
