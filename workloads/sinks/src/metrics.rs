//! Counters of what sinks send.

use millrace_observe::DeadLetterCounts;
use millrace_observe::Observer;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    sink: String,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SinkLabels {
    sink: String,
}

/// Counters of all sinks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Metrics {
    messages: Family<Labels, Counter>,
    bytes: Family<SinkLabels, Counter>,
    letters: DeadLetterCounts,
}

/// Counters of one sink.
#[derive(Debug, Clone)]
pub(crate) struct SinkMetrics {
    pub(crate) sent: Counter,
    pub(crate) skipped: Counter,
    pub(crate) refused: Counter,
    pub(crate) retried: Counter,
    /// Bytes of the messages that were sent.
    pub(crate) bytes: Counter,
    pub(crate) letters: Counter,
}

impl Metrics {
    pub(crate) fn register(observer: &Observer) -> Self {
        let letters = observer.dead_letters().clone();
        let metrics = Self { letters, ..Self::default() };
        observer.register(
            "sink_messages",
            "Records by sink and by what became of them: sent, skipped by a program, refused \
             (a dead letter), or retried since they were not confirmed",
            metrics.messages.clone(),
        );
        observer.register(
            "sink_sent_bytes",
            "Bytes of the messages that an `mqtt` sink sent",
            metrics.bytes.clone(),
        );
        metrics
    }

    pub(crate) fn sink(&self, sink: &str) -> SinkMetrics {
        let result = |result| {
            let labels = Labels { sink: sink.to_owned(), result };
            self.messages.get_or_create(&labels).clone()
        };
        SinkMetrics {
            sent: result("sent"),
            skipped: result("skipped"),
            refused: result("refused"),
            retried: result("retried"),
            bytes: self.bytes.get_or_create_owned(&SinkLabels { sink: sink.to_owned() }),
            letters: self.letters.of(&format!("sink/{sink}")),
        }
    }
}
