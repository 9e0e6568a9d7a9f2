//! One partition of a topic that others write: read, decide, commit.

use std::sync::Arc;
use std::time::Duration;

use millrace_core::Offset;
use millrace_core::Record;
use millrace_core::with_causes;
use millrace_log::AppendError;
use millrace_log::AttachExternalError;
use millrace_log::ClaimTaskError;
use millrace_log::CommitTaskError;
use millrace_log::Entry;
use millrace_log::InputPosition;
use millrace_log::ReadBatch;
use millrace_log::ReadError;
use millrace_log::ReadLimit;
use millrace_log::TaskClaim;
use millrace_log::TaskCommit;
use millrace_log::TaskName;
use millrace_log::TaskSnapshot;
use millrace_log::share::Assigned;
use millrace_observe::Component;
use millrace_observe::ComponentKind;
use millrace_observe::State;
use millrace_plan::model::KafkaStart;
use tracing::warn;

use crate::acceptor::Acceptor;
use crate::acceptor::Prepared;
use crate::acceptor::TopicRecord;
use crate::kafka::RETRY;
use crate::kafka::Way;

/// What is decided and committed at once.
const BATCH: ReadLimit = ReadLimit { entries: 2000, bytes: 4 << 20 };

/// Pause before a read that comes again because the last one brought nothing.
const FETCHING: Duration = Duration::from_millis(5);

/// The partition while it is this process's.
pub(super) struct PartitionIntake {
    way: Arc<Way>,
    assigned: Assigned,
    component: Arc<Component>,
}

/// Why a partition cannot go on for the time being.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadTopicError {
    #[error("cannot find out how far the topic was read")]
    Claim(#[from] ClaimTaskError),
    #[error("cannot read the topic")]
    Read(#[from] ReadError),
    #[error("cannot store what was read")]
    Commit(#[from] CommitTaskError),
    #[error("the topic is gone, or the log is closed")]
    Gone,
    #[error(transparent)]
    Attach(#[from] AttachExternalError),
    #[error(
        "partition {partition} was read up to {next} and ends at {end}: the topic was made anew. Give the way in another name to read it from its start"
    )]
    AnotherTopic { partition: i32, next: Offset, end: Offset },
}

impl PartitionIntake {
    pub(super) fn new(way: Arc<Way>, assigned: Assigned) -> Self {
        let component = way.observer.component(
            ComponentKind::Ingest,
            way.route.name(),
            Some(&way.kafka.topic),
            Some(assigned.partition),
        );
        Self { way, assigned, component }
    }

    /// Reads until the partition is lost or everything stops. A failure of any kind begins anew
    /// from what was committed last: a commit whose answer was lost may have been made.
    pub(super) async fn run(self) -> Result<(), CommitTaskError> {
        let (mut retry, mut is_again) = (RETRY, false);
        while !self.assigned.stop.is_cancelled() {
            let mut is_going = || retry.reset();
            let error =
                match self.session(std::mem::replace(&mut is_again, true), &mut is_going).await {
                    Ok(()) => break,
                    Err(ReadTopicError::Commit(error @ CommitTaskError::Fenced { .. }))
                        if self.assigned.is_ours_alone =>
                    {
                        self.component.set(State::Failed(with_causes(&error)));
                        return Err(error);
                    }
                    Err(error) => error,
                };
            self.way.route.metrics.unavailable.inc();
            let reason = with_causes(&error);
            warn!(
                message = "Failed to take records of a topic; trying again.",
                route = self.way.route.name(),
                partition = self.assigned.partition,
                reason
            );
            self.component.set(State::Waiting(reason));
            let pause = tokio::time::sleep(retry.next_wait());
            self.assigned.stop.run_until_cancelled(pause).await;
        }
        self.component.set(State::Finished);
        Ok(())
    }

    /// Reads from what was committed last, until told to stop.
    async fn session(
        &self,
        is_again: bool,
        is_going: &mut (dyn FnMut() + Send),
    ) -> Result<(), ReadTopicError> {
        let (way, stop) = (&self.way, &self.assigned.stop);
        let (source, partition) = (&way.kafka.source, self.assigned.partition);
        if is_again || way.log.partition_info(source, partition).is_err() {
            // It may have got partitions since it was found, or be gone.
            way.log.attach_external(source, &way.kafka.topic).await?;
        }
        let task = TaskName { stage: source.to_string(), partition };
        let Some(claimed) = stop.run_until_cancelled(way.log.claim_task(&task)).await else {
            return Ok(());
        };
        let (claim, snapshot) = claimed?;
        let mut next = self.begin(&claim, &snapshot).await?;
        let mut end = way.log.follow(source, partition)?;
        self.component.set(State::Running);
        let mut has_waited = false;
        loop {
            let reading = way.log.read(source, partition, next, BATCH);
            let Some(batch) = stop.run_until_cancelled(reading).await else { return Ok(()) };
            let batch = batch?;
            let is_empty = batch.entries.is_empty();
            let read_from = std::mem::replace(&mut next, batch.next);
            if !is_empty {
                // A commit that has begun is not broken off by a stop: it is over soon.
                self.take(&claim, batch).await?;
                is_going();
            }
            self.component.set_lag((*end.borrow() - next).max(0));
            if !is_empty || next > read_from {
                has_waited = false;
                continue;
            }
            let waiting = async {
                if std::mem::replace(&mut has_waited, true) {
                    tokio::time::sleep(FETCHING).await;
                }
                end.wait_for(|end| *end > next).await.is_ok()
            };
            match stop.run_until_cancelled(waiting).await {
                Some(true) => {}
                Some(false) => return Err(ReadTopicError::Gone),
                None => return Ok(()),
            }
        }
    }

    /// Where to read on.
    async fn begin(
        &self,
        claim: &TaskClaim,
        snapshot: &TaskSnapshot,
    ) -> Result<Offset, ReadTopicError> {
        let (way, partition) = (&self.way, self.assigned.partition);
        let info = way.log.partition_info(&way.kafka.source, partition)?;
        let position = snapshot.positions.iter().find(|position| {
            position.stream == way.kafka.source && position.partition == partition
        });
        let Some(next) = position.map(|position| position.next) else {
            return Ok(match way.kafka.from {
                KafkaStart::Earliest => info.start,
                KafkaStart::Latest => {
                    // From now on, whatever happens before the first record.
                    self.commit(claim, &mut [], info.end).await?;
                    info.end
                }
            });
        };
        let mut end = info.end;
        if next > end {
            // Others may have come further than is known here.
            way.log.attach_external(&way.kafka.source, &way.kafka.topic).await?;
            end = way.log.partition_info(&way.kafka.source, partition)?.end;
        }
        if next > end {
            return Err(ReadTopicError::AnotherTopic { partition, next, end });
        }
        if next < info.start {
            let offsets = info.start - next;
            warn!(
                message = "Records of a topic were removed before they were read.",
                route = way.route.name(),
                partition,
                offsets
            );
            way.route.metrics.removed(offsets.unsigned_abs());
        }
        Ok(next)
    }

    /// Commits what the records of a batch became.
    async fn take(&self, claim: &TaskClaim, batch: ReadBatch) -> Result<(), CommitTaskError> {
        let ReadBatch { entries, next } = batch;
        let records = entries.into_iter().filter_map(|(offset, entry)| match entry {
            Entry::Record(record) => Some((offset, record)),
            Entry::Mark(_) => None,
        });
        let records: Vec<_> = records.collect();
        match self.take_all(claim, &records, next).await {
            Err(CommitTaskError::Append(AppendError::TooLarge { .. })) => {
                for (index, one) in records.iter().enumerate() {
                    let next = records.get(index + 1).map_or(next, |(offset, _)| *offset);
                    self.take_one(claim, one, next).await?;
                }
                Ok(())
            }
            taken => taken,
        }
    }

    async fn take_all(
        &self,
        claim: &TaskClaim,
        records: &[(Offset, Record)],
        next: Offset,
    ) -> Result<(), CommitTaskError> {
        let decide = |(offset, record): &(Offset, Record)| {
            Acceptor::prepare_record(&self.way.route, &self.as_it_came(*offset, record))
        };
        let mut prepared: Vec<_> = records.iter().map(decide).collect();
        self.commit(claim, &mut prepared, next).await?;
        let bytes = records.iter().map(|(_, record)| record.value.len() as u64).sum();
        self.way.route.metrics.bytes.inc_by(bytes);
        for one in prepared {
            // Invalid records are durable dead letters, and counted.
            let _ = one.finish(0, None);
        }
        Ok(())
    }

    /// The same of one record, which becomes a dead letter without its bytes where even that of
    /// its own cannot be stored.
    async fn take_one(
        &self,
        claim: &TaskClaim,
        record: &(Offset, Record),
        next: Offset,
    ) -> Result<(), CommitTaskError> {
        match self.take_all(claim, std::slice::from_ref(record), next).await {
            Err(CommitTaskError::Append(error @ AppendError::TooLarge { .. })) => {
                let record = self.as_it_came(record.0, &record.1);
                let mut letter =
                    [Acceptor::prepare_unstorable(&self.way.route, &record, &error.to_string())];
                self.commit(claim, &mut letter, next).await?;
                let [letter] = letter;
                let _ = letter.finish(0, None);
                Ok(())
            }
            taken => taken,
        }
    }

    /// Commits entries together with where to read on.
    async fn commit(
        &self,
        claim: &TaskClaim,
        prepared: &mut [Prepared<'_>],
        next: Offset,
    ) -> Result<(), CommitTaskError> {
        let commit = TaskCommit {
            outputs: prepared.iter_mut().filter_map(Prepared::take_entry).collect(),
            state: Vec::new(),
            positions: vec![InputPosition {
                stream: self.way.kafka.source.clone(),
                partition: self.assigned.partition,
                next,
                metadata: bytes::Bytes::new(),
            }],
        };
        self.way.log.commit_task(claim, commit).await.map(drop)
    }

    fn as_it_came<'a>(&'a self, offset: Offset, record: &'a Record) -> TopicRecord<'a> {
        TopicRecord {
            topic: &self.way.kafka.topic,
            partition: self.assigned.partition,
            offset,
            key: record.key.clone(),
            headers: &record.headers,
            body: record.value.clone(),
            timestamp: record.ingest_time,
        }
    }
}
