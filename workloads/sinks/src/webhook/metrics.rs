//! Metrics of webhook sinks.

use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use millrace_core::Record;
use millrace_observe::DeadLetterCounts;
use millrace_observe::Observer;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::histogram::exponential_buckets;

/// Upper ends of the buckets of an attempt's duration, in seconds.
const SECONDS: [f64; 10] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 10.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    sink: String,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SinkLabels {
    sink: String,
}

/// Metrics of all webhook sinks.
#[derive(Clone)]
pub(crate) struct Metrics {
    events: Family<ResultLabels, Counter>,
    seconds: Family<SinkLabels, Histogram, fn() -> Histogram>,
    waiting: Family<SinkLabels, Gauge>,
    letters: DeadLetterCounts,
    bytes: Family<SinkLabels, Counter>,
    latency: Family<SinkLabels, Histogram, fn() -> Histogram>,
}

/// Metrics of one webhook sink.
#[derive(Clone)]
pub(crate) struct WebhookMetrics {
    /// Delivered.
    pub(crate) sent: Counter,
    /// Left out by a program.
    pub(crate) skipped: Counter,
    /// Refused by the receiver, or not delivered by the last attempt.
    pub(crate) refused: Counter,
    /// Dead letters of the sink.
    pub(crate) letters: Counter,
    /// Bytes of bodies that were delivered.
    pub(crate) bytes: Counter,
    /// Seconds from the ingest of an event to its delivery.
    pub(crate) latency: Histogram,
    /// Attempts that failed and are made again.
    pub(crate) retried: Counter,
    /// Duration of attempts, in seconds.
    pub(crate) seconds: Histogram,
    /// Records that were read and are not yet delivered.
    pub(crate) waiting: Gauge,
}

impl Metrics {
    pub(crate) fn register(observer: &Observer) -> Self {
        let metrics = Self {
            events: Family::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(SECONDS)),
            waiting: Family::default(),
            letters: observer.dead_letters().clone(),
            bytes: Family::default(),
            // 1 ms to about 9 hours: there may be many attempts.
            latency: Family::new_with_constructor(|| {
                Histogram::new(exponential_buckets(0.001, 4.0, 13))
            }),
        };
        observer.register(
            "webhook_events",
            "Events by webhook sink and by what became of them: sent, skipped by a program, \
             refused (a dead letter), or retried",
            metrics.events.clone(),
        );
        observer.register(
            "webhook_attempt_seconds",
            "Duration of a webhook sink's attempts",
            metrics.seconds.clone(),
        );
        observer.register(
            "webhook_waiting",
            "Events that a webhook sink has read and not yet delivered",
            metrics.waiting.clone(),
        );
        observer.register(
            "webhook_sent_bytes",
            "Bytes of the bodies that a webhook sink delivered",
            metrics.bytes.clone(),
        );
        observer.register(
            "webhook_latency_seconds",
            "Time from the ingest of an event to its delivery",
            metrics.latency.clone(),
        );
        metrics
    }

    pub(crate) fn sink(&self, sink: &str) -> WebhookMetrics {
        let result = |result| {
            let labels = ResultLabels { sink: sink.to_owned(), result };
            self.events.get_or_create(&labels).clone()
        };
        let labels = SinkLabels { sink: sink.to_owned() };
        WebhookMetrics {
            sent: result("sent"),
            skipped: result("skipped"),
            refused: result("refused"),
            letters: self.letters.of(&format!("sink/{sink}")),
            bytes: self.bytes.get_or_create(&labels).clone(),
            latency: self.latency.get_or_create(&labels).clone(),
            retried: result("retried"),
            seconds: self.seconds.get_or_create(&labels).clone(),
            waiting: self.waiting.get_or_create(&labels).clone(),
        }
    }
}

impl WebhookMetrics {
    /// Counts a record that was delivered by a body of so many bytes.
    pub(crate) fn delivered(&self, record: &Record, bytes: usize) {
        self.sent.inc();
        self.bytes.inc_by(bytes as u64);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let ingested = u64::try_from(record.ingest_time).unwrap_or_default();
        let age = now.saturating_sub(Duration::from_millis(ingested));
        self.latency.observe(age.as_secs_f64());
    }
}
