//! Metrics of webhook sinks.

use millrace_observe::Observer;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

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
}

/// Metrics of one webhook sink.
#[derive(Clone)]
pub(crate) struct WebhookMetrics {
    /// Delivered.
    pub(crate) sent: Counter,
    /// Left out by a program.
    pub(crate) skipped: Counter,
    /// Dead letters.
    pub(crate) refused: Counter,
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
            retried: result("retried"),
            seconds: self.seconds.get_or_create(&labels).clone(),
            waiting: self.waiting.get_or_create(&labels).clone(),
        }
    }
}
