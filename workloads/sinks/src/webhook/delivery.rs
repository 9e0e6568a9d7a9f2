//! Delivers one record: attempts with growing pauses, and a dead letter after the last.

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use millrace_core::Offset;
use millrace_core::Partition;
use millrace_core::Record;
use millrace_core::StreamName;
use millrace_core::with_causes;
use millrace_ingest::mqtt::Backoff;
use millrace_log::Log;
use millrace_observe::Component;
use millrace_observe::State;
use millrace_observe::trace::Tracer;
use millrace_plan::model::WebhookSink;
use tokio::sync::Semaphore;
use tracing::warn;

use super::attempt::Outcome;
use super::attempt::Receiver;
use super::metrics::WebhookMetrics;
use super::request::build;
use super::traced::Traced;
use crate::refused::dead_letter;

/// Pauses between attempts. The shortest is half of the first, by jitter.
const PAUSES: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_mins(1));

/// A receiver may not ask for less.
const SHORTEST_PAUSE: Duration = Duration::from_millis(500);

/// Pauses while the log does not take a dead letter.
const LOG_PAUSES: Backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(5));

/// Delivers the records of one partition.
pub(crate) struct Delivery {
    pub(crate) sink: Arc<WebhookSink>,
    pub(crate) name: String,
    pub(crate) stream: StreamName,
    pub(crate) partition: Partition,
    pub(crate) log: Arc<dyn Log>,
    pub(crate) receiver: Receiver,
    /// Requests at once, of all partitions together.
    pub(crate) at_once: Arc<Semaphore>,
    pub(crate) component: Arc<Component>,
    pub(crate) metrics: WebhookMetrics,
    /// Where nobody takes traces there is none.
    pub(crate) tracer: Option<Tracer>,
}

impl Delivery {
    /// Returns when the record is delivered, left out by a program, or a dead letter. Cancelled
    /// between, it is delivered again later.
    pub(crate) async fn deliver(&self, stream: &Arc<str>, offset: Offset, record: Record) {
        let mut request = match build(&self.sink, stream, &record) {
            Ok(Some(request)) => request,
            Ok(None) => {
                self.metrics.skipped.inc();
                return;
            }
            Err(error) => return self.refuse(offset, record, with_causes(&error)).await,
        };
        let traced = self.tracer.as_ref().and_then(|tracer| Traced::of(tracer, &record));
        let mut pauses = PAUSES;
        let mut retries = self.sink.retries;
        loop {
            let outcome = {
                // Pauses are no requests. A closed semaphore would only mean that nothing counts.
                let _one = self.at_once.acquire().await.ok();
                let started = Instant::now();
                let attempt = traced.map(|traced| traced.begin(&mut request.headers));
                let outcome = self.receiver.attempt(&request).await;
                if let Some(attempt) = attempt {
                    let place = (&self.stream, self.partition, offset);
                    attempt.end(&self.name, self.receiver.host(), place, &outcome);
                }
                self.metrics.seconds.observe(started.elapsed().as_secs_f64());
                outcome
            };
            match outcome {
                Outcome::Delivered => {
                    self.metrics.delivered(&record, request.body.len());
                    self.component.set(State::Running);
                    return;
                }
                Outcome::Refused { reason } => return self.refuse(offset, record, reason).await,
                Outcome::Later { reason, .. } if retries == 0 => {
                    let attempts = self.sink.retries.saturating_add(1);
                    let reason = format!("{reason} (after {attempts} attempts)");
                    return self.refuse(offset, record, reason).await;
                }
                Outcome::Later { reason, after } => {
                    retries -= 1;
                    self.metrics.retried.inc();
                    let pause = pauses.next_wait();
                    let pause = after.map_or(pause, |after| after.max(SHORTEST_PAUSE));
                    self.failing(&reason);
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    async fn refuse(&self, offset: Offset, record: Record, reason: String) {
        let position = (&self.stream, self.partition, offset);
        let append = dead_letter(&self.name, position, record, reason);
        let mut pauses = LOG_PAUSES;
        while let Err(error) = self.log.append(vec![append.clone()]).await {
            self.failing(&format!("cannot store a dead letter: {}", with_causes(&error)));
            tokio::time::sleep(pauses.next_wait()).await;
        }
        self.metrics.refused.inc();
        self.metrics.letters.inc();
        self.component.set(State::Running);
    }

    fn failing(&self, reason: &str) {
        let state = State::Waiting(reason.to_owned());
        if self.component.state() != state {
            warn!(
                message = "A webhook is failing; trying again.",
                sink = self.name,
                stream = %self.stream,
                partition = self.partition,
                reason
            );
            self.component.set(state);
        }
    }
}
