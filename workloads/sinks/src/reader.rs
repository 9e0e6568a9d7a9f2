//! Reads one partition of a stream for a sink, publishes its records in order, and remembers how
//! far it has come.
//!
//! The position is the offset of the consumer group `sink/<name>`. It is committed beside the
//! publishing and at most ten times a second, so that it costs no latency; after a crash, what
//! was published since the last commit is published again. A new group starts at the oldest
//! record that is kept.

use std::sync::Arc;
use std::time::Duration;

use millrace_core::DeadLetter;
use millrace_core::EventId;
use millrace_core::Offset;
use millrace_core::Partition;
use millrace_core::Record;
use millrace_core::StreamName;
use millrace_core::dead_letter::SourcePosition;
use millrace_core::with_causes;
use millrace_ingest::mqtt::Backoff;
use millrace_ingest::mqtt::OutgoingMessage;
use millrace_log::Append;
use millrace_log::AppendError;
use millrace_log::Entry;
use millrace_log::Log;
use millrace_log::ReadError;
use millrace_log::ReadLimit;
use millrace_observe::Component;
use millrace_observe::State;
use millrace_plan::model::MqttSink;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::message::BuildError;
use crate::message::build;
use crate::metrics::SinkMetrics;
use crate::publisher::DeliverError;
use crate::publisher::Publisher;

/// Most records that are published before all of them must be confirmed.
const LIMIT: ReadLimit = ReadLimit { entries: 256, bytes: 1 << 20 };

/// Shortest time between two commits of the position.
const COMMIT_EVERY: Duration = Duration::from_millis(100);

/// Waiting times between two tries of what has failed.
const RETRY: Backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(5));

/// The partition that takes all dead letters.
const DEAD_LETTERS_PARTITION: Partition = 0;

/// A reader of one partition for one sink.
pub(crate) struct Reader {
    pub(crate) sink: Arc<MqttSink>,
    pub(crate) name: String,
    pub(crate) group: String,
    pub(crate) stream: StreamName,
    pub(crate) partition: Partition,
    pub(crate) log: Arc<dyn Log>,
    pub(crate) publisher: Arc<dyn Publisher>,
    pub(crate) component: Arc<Component>,
    pub(crate) metrics: SinkMetrics,
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
            match self.position().await {
                Ok(position) => break position,
                Err(error) if self.waited(&error, &mut retry, &cancel).await => {}
                Err(_) => return self.component.set(State::Finished),
            }
        };
        let (confirmed, positions) = watch::channel(next);
        let committer = Committer {
            log: Arc::clone(&self.log),
            group: self.group.clone(),
            stream: self.stream.clone(),
            partition: self.partition,
        };
        let committing = tokio::spawn(committer.run(positions));
        let stream: Arc<str> = Arc::from(self.stream.as_str());
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
                // The receiver lives as long as the committer, which ends after this sender.
                let _ = confirmed.send(next);
                continue;
            }
            if cancel.run_until_cancelled(self.grown(next)).await.is_none() {
                break;
            }
        }
        drop(confirmed);
        // A panic of the task has been reported by its thread.
        let _ = committing.await;
        self.component.set(State::Finished);
    }

    async fn position(&self) -> Result<Offset, StepError> {
        let committed = self.log.group_offset(&self.group, &self.stream, self.partition).await?;
        let start = self.log.partition_info(&self.stream, self.partition)?.start;
        if let Some(committed) = committed.filter(|committed| *committed < start) {
            warn!(
                message = "Retention has removed entries before they were sent.",
                sink = self.name,
                stream = self.stream.as_str(),
                partition = self.partition,
                from = committed,
                to = start
            );
        }
        Ok(committed.unwrap_or(start).max(start))
    }

    /// Publishes the next records; returns where to go on and where the partition ends.
    async fn step(&self, stream: &Arc<str>, from: Offset) -> Result<(Offset, Offset), StepError> {
        let batch = self.log.read(&self.stream, self.partition, from, LIMIT).await?;
        let mut messages = Vec::with_capacity(batch.entries.len());
        for (offset, entry) in batch.entries {
            let Entry::Record(record) = entry else { continue };
            match build(&self.sink, stream, &record) {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => {
                    self.metrics.skipped.inc();
                }
                Err(error) => {
                    // Everything before it goes first, so that a retry repeats little.
                    self.publish(&mut messages).await?;
                    self.refuse(record, offset, &error).await?;
                }
            }
        }
        self.publish(&mut messages).await?;
        let end = self.log.partition_info(&self.stream, self.partition)?.end;
        Ok((batch.next, end))
    }

    async fn publish(&self, messages: &mut Vec<OutgoingMessage>) -> Result<(), StepError> {
        if messages.is_empty() {
            return Ok(());
        }
        let count = messages.len() as u64;
        let result = self.publisher.publish(std::mem::take(messages)).await;
        if result.is_err() {
            self.metrics.retried.inc_by(count);
        } else {
            self.metrics.sent.inc_by(count);
        }
        Ok(result?)
    }

    async fn refuse(
        &self,
        record: Record,
        offset: Offset,
        error: &BuildError,
    ) -> Result<(), StepError> {
        let stage = format!("sink/{}", self.name);
        let letter = DeadLetter {
            reason: error.to_string(),
            context: String::new(),
            source: Some(SourcePosition {
                stream: self.stream.as_str().to_owned(),
                partition: self.partition,
                offset,
            }),
            id: EventId::of_dead_letter(&stage, record.id.as_bytes(), &record.value),
            stage,
            key: record.key,
            event_time: record.event_time,
            ingest_time: record.ingest_time,
            original: record.value,
        };
        let append = Append {
            stream: StreamName::dead_letters(),
            partition: DEAD_LETTERS_PARTITION,
            entry: Entry::Record(letter.into_record()),
        };
        self.log.append(vec![append]).await.map_err(StepError::DeadLetter)?;
        self.metrics.refused.inc();
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
            stream = self.stream.as_str(),
            partition = self.partition,
            error
        );
        self.component.set(State::Waiting(error));
        cancel.run_until_cancelled(tokio::time::sleep(retry.next_wait())).await.is_some()
    }

    /// Waits until the partition has more than it had.
    async fn grown(&self, known: Offset) {
        let Ok(mut end) = self.log.follow(&self.stream, self.partition) else {
            // The next read says what is wrong.
            return tokio::time::sleep(Duration::from_secs(1)).await;
        };
        if end.wait_for(|end| *end > known).await.is_err() {
            // The log was closed; the next read says so.
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}

/// Commits a reader's position from time to time, and at its end.
struct Committer {
    log: Arc<dyn Log>,
    group: String,
    stream: StreamName,
    partition: Partition,
}

impl Committer {
    async fn run(self, mut positions: watch::Receiver<Offset>) {
        loop {
            let ended = positions.changed().await.is_err();
            let next = *positions.borrow_and_update();
            if let Err(error) =
                self.log.commit_group_offset(&self.group, &self.stream, self.partition, next).await
            {
                // The next commit makes up for it.
                warn!(message = "Failed to commit a sink's position.", group = self.group, %error);
            }
            if ended {
                return;
            }
            // What is confirmed meanwhile is committed together.
            tokio::time::sleep(COMMIT_EVERY).await;
        }
    }
}
