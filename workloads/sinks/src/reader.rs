//! Reads one partition of a stream for a sink, publishes its records in order, and remembers how
//! far it has come.

use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;

use millrace_core::Offset;
use millrace_core::Record;
use millrace_core::with_causes;
use millrace_ingest::mqtt::Backoff;
use millrace_ingest::mqtt::OutgoingMessage;
use millrace_log::AppendError;
use millrace_log::Entry;
use millrace_log::ReadError;
use millrace_log::ReadLimit;
use millrace_observe::Component;
use millrace_observe::State;
use millrace_observe::trace::Tracer;
use millrace_plan::model::MqttSink;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::message::BuildError;
use crate::message::build;
use crate::metrics::SinkMetrics;
use crate::position::GroupPartition;
use crate::publisher::DeliverError;
use crate::publisher::Publisher;
use crate::refused::dead_letter;
use crate::sent::Sent;
use crate::traced::TracedMessages;

/// Most records that are published before all of them must be confirmed.
const LIMIT: ReadLimit = ReadLimit { entries: 256, bytes: 1 << 20 };

/// Waiting times between two tries of what has failed.
const RETRY: Backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(5));

/// A reader of one partition for one sink.
pub(crate) struct Reader {
    pub(crate) sink: Arc<MqttSink>,
    pub(crate) name: String,
    pub(crate) reads: GroupPartition,
    /// Positions of this process alone; none: the group's offsets are the positions.
    pub(crate) sent: Option<Sent>,
    pub(crate) publisher: Arc<dyn Publisher>,
    pub(crate) component: Arc<Component>,
    pub(crate) metrics: SinkMetrics,
    /// Where nobody takes traces there is none.
    pub(crate) tracer: Option<Tracer>,
}

/// Why a step failed; it is tried again.
#[derive(Debug, thiserror::Error)]
enum StepError {
    #[error("cannot read the stream")]
    Read(#[from] ReadError),
    #[error("cannot store a dead letter")]
    DeadLetter(#[source] AppendError),
    #[error("cannot publish")]
    Publish(#[from] DeliverError),
}

impl Reader {
    /// Publishes until cancelled; what has been begun is then finished.
    pub(crate) async fn run(self, cancel: CancellationToken) {
        let mut retry = RETRY;
        let mut next = loop {
            match self.begin().await.map_err(StepError::from) {
                Ok(position) => break position,
                Err(error) if self.waited(&error, &mut retry, &cancel).await => {}
                Err(_) => return self.component.set(State::Finished),
            }
        };
        let (confirmed, positions) = watch::channel(next);
        let committing =
            self.sent.is_none().then(|| tokio::spawn(self.reads.clone().commit_all(positions)));
        let stream: Arc<str> = Arc::from(self.reads.stream.as_str());
        while !cancel.is_cancelled() {
            let (reached, end) = match self.step(&stream, next).await {
                Ok(step) => step,
                Err(error) if self.waited(&error, &mut retry, &cancel).await => continue,
                Err(_) => break,
            };
            retry.reset();
            self.component.set(State::Running);
            self.component.set_lag((end - reached).max(0));
            if reached > next {
                next = reached;
                match &self.sent {
                    Some(sent) => sent.note(&self.name, &self.reads, next),
                    // The receiver lives as long as the committer, which ends after this sender.
                    None => drop(confirmed.send(next)),
                }
                continue;
            }
            if cancel.run_until_cancelled(self.reads.more(next)).await.is_none() {
                break;
            }
        }
        drop(confirmed);
        if let Some(committing) = committing {
            // A panic of the task has been reported by its thread.
            let _ = committing.await;
        }
        self.component.set(State::Finished);
    }

    /// Where to begin.
    async fn begin(&self) -> Result<Offset, ReadError> {
        match &self.sent {
            None => self.reads.position().await,
            Some(sent) => {
                let next = sent.begin(&self.name, &self.reads).await?;
                sent.note(&self.name, &self.reads, next);
                Ok(next)
            }
        }
    }

    /// Publishes the next records; returns where to go on and where the partition ends.
    async fn step(&self, stream: &Arc<str>, from: Offset) -> Result<(Offset, Offset), StepError> {
        let batch =
            self.reads.log.read(&self.reads.stream, self.reads.partition, from, LIMIT).await?;
        let mut messages = Vec::with_capacity(batch.entries.len());
        let mut traced = TracedMessages::default();
        for (offset, entry) in batch.entries {
            let Entry::Record(record) = entry else { continue };
            match build(&self.sink, stream, &record) {
                Ok(Some(message)) => {
                    traced.add(self.tracer.as_ref(), offset, &record);
                    messages.push(message);
                }
                Ok(None) => {
                    self.metrics.skipped.inc();
                }
                Err(error) => {
                    // Everything before it goes first, so that a retry repeats little.
                    self.publish(&mut messages, &mut traced).await?;
                    self.refuse(record, offset, &error).await?;
                }
            }
        }
        self.publish(&mut messages, &mut traced).await?;
        let end = self.reads.log.partition_info(&self.reads.stream, self.reads.partition)?.end;
        Ok((batch.next, end))
    }

    async fn publish(
        &self,
        messages: &mut Vec<OutgoingMessage>,
        traced: &mut TracedMessages,
    ) -> Result<(), StepError> {
        if messages.is_empty() {
            return Ok(());
        }
        let count = messages.len() as u64;
        let bytes = messages.iter().map(|message| message.body.len() as u64).sum();
        let start = SystemTime::now();
        let result = self.publisher.publish(std::mem::take(messages)).await;
        let error = result.as_ref().err().map(|error| with_causes(error));
        let place = (&self.reads.stream, self.reads.partition);
        traced.sent(self.tracer.as_ref(), &self.name, place, start, error.as_deref());
        if result.is_err() {
            self.metrics.retried.inc_by(count);
        } else {
            self.metrics.sent.inc_by(count);
            self.metrics.bytes.inc_by(bytes);
        }
        Ok(result?)
    }

    async fn refuse(
        &self,
        record: Record,
        offset: Offset,
        error: &BuildError,
    ) -> Result<(), StepError> {
        let position = (&self.reads.stream, self.reads.partition, offset);
        let append = dead_letter(&self.name, position, record, error.to_string());
        self.reads.log.append(vec![append]).await.map_err(StepError::DeadLetter)?;
        self.metrics.refused.inc();
        self.metrics.letters.inc();
        Ok(())
    }

    /// Says what has failed, and waits before it is tried again; false when cancelled.
    async fn waited(
        &self,
        error: &StepError,
        retry: &mut Backoff,
        cancel: &CancellationToken,
    ) -> bool {
        let error = with_causes(error);
        warn!(
            message = "Failed to send records; trying again.",
            sink = self.name,
            stream = self.reads.stream.as_str(),
            partition = self.reads.partition,
            error
        );
        self.component.set(State::Waiting(error));
        cancel.run_until_cancelled(tokio::time::sleep(retry.next_wait())).await.is_some()
    }
}
