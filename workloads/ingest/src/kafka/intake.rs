//! Takes the records of a topic that others write: read, decide, commit.

use std::sync::Arc;
use std::time::Duration;

use millrace_core::Offset;
use millrace_core::Partition;
use millrace_core::with_causes;
use millrace_log::AppendError;
use millrace_log::AttachExternalError;
use millrace_log::ClaimTaskError;
use millrace_log::CommitTaskError;
use millrace_log::EnsureStreamsError;
use millrace_log::InputPosition;
use millrace_log::ReadError;
use millrace_log::TaskClaim;
use millrace_log::TaskCommit;
use millrace_log::TaskName;
use millrace_log::TaskSnapshot;
use millrace_log::share::Assigned;
use millrace_observe::State;
use millrace_plan::model::KafkaStart;
use tracing::warn;

use crate::acceptor::Acceptor;
use crate::acceptor::Prepared;
use crate::acceptor::TopicRecord;
use crate::kafka::RETRY;
use crate::kafka::TASK;
use crate::kafka::Way;
use crate::kafka::merge::Begin;
use crate::kafka::merge::Merge;
use crate::kafka::merge::Taken;
use crate::kafka::merge::position;
use crate::kafka::stage_of;

/// How often new partitions are looked for.
const GROWTH: Duration = Duration::from_secs(1);

/// The topic while it is this process's to take.
pub(super) struct TopicIntake {
    way: Arc<Way>,
    assigned: Assigned,
}

/// Why a topic cannot be taken for the time being.
#[derive(Debug, thiserror::Error)]
pub(super) enum TakeTopicError {
    #[error("cannot keep how far the topic was read")]
    Ensure(#[from] EnsureStreamsError),
    #[error("cannot find out how far the topic was read")]
    Claim(#[from] ClaimTaskError),
    #[error("cannot read the topic")]
    Read(#[from] ReadError),
    #[error("cannot store what was read")]
    Commit(#[from] CommitTaskError),
    #[error(transparent)]
    Attach(#[from] AttachExternalError),
    #[error(
        "partition {partition} was read up to {next} and ends at {end}: the topic was made anew. Give the way in another name to read it from its start"
    )]
    AnotherTopic { partition: Partition, next: Offset, end: Offset },
}

/// Why a session has ended without an error.
enum Ended {
    Stopped,
    /// The topic has more partitions.
    Grown,
}

impl TopicIntake {
    pub(super) const fn new(way: Arc<Way>, assigned: Assigned) -> Self {
        Self { way, assigned }
    }

    /// Takes records until the topic is another process's or everything stops. A failure of any
    /// kind begins anew from what was committed last: a commit whose answer was lost may have been
    /// made.
    pub(super) async fn run(self) -> Result<(), CommitTaskError> {
        let component = &self.way.component;
        let mut retry = RETRY;
        while !self.assigned.stop.is_cancelled() {
            let mut is_going = || retry.reset();
            let error = match self.session(&mut is_going).await {
                Ok(Ended::Stopped) => break,
                Ok(Ended::Grown) => continue,
                Err(TakeTopicError::Commit(error @ CommitTaskError::Fenced { .. }))
                    if self.assigned.is_ours_alone =>
                {
                    component.set(State::Failed(with_causes(&error)));
                    return Err(error);
                }
                Err(error) => error,
            };
            self.way.route.metrics.unavailable.inc();
            let reason = with_causes(&error);
            warn!(
                message = "Failed to take records of a topic; trying again.",
                route = self.way.route.name(),
                reason
            );
            component.set(State::Waiting(reason));
            let pause = tokio::time::sleep(retry.next_wait());
            self.assigned.stop.run_until_cancelled(pause).await;
        }
        component.set_lag(0);
        component.set(State::Running);
        Ok(())
    }

    /// Takes from what was committed last, until told to stop.
    async fn session(&self, is_going: &mut (dyn FnMut() + Send)) -> Result<Ended, TakeTopicError> {
        let (way, stop) = (&self.way, &self.assigned.stop);
        let source = &way.kafka.source;
        let Some(begun) = stop.run_until_cancelled(self.begin()).await else {
            return Ok(Ended::Stopped);
        };
        let (claim, mut merge, partitions) = begun?;
        way.component.set(State::Running);
        loop {
            let batch = merge.next_batch(&way.log, GROWTH);
            let Some(batch) = stop.run_until_cancelled(batch).await else {
                return Ok(Ended::Stopped);
            };
            if let Some(batch) = batch? {
                // A commit that has begun is not broken off by a stop: it is over soon.
                self.take(&claim, &batch, merge.positions()).await?;
                merge.committed();
                is_going();
            }
            way.component.set_lag(merge.lag());
            if way.log.partition_info(source, partitions).is_ok() {
                return Ok(Ended::Grown);
            }
        }
    }

    /// Claims the topic, and finds out where to read on.
    async fn begin(&self) -> Result<(TaskClaim, Merge, Partition), TakeTopicError> {
        let (way, source) = (&self.way, &self.way.kafka.source);
        let partitions = way.log.attach_external(source, &way.kafka.topic).await?;
        way.log.ensure_tasks(&[stage_of(&way.kafka)]).await?;
        let task = TaskName { stage: source.to_string(), partition: TASK };
        let (claim, snapshot) = way.log.claim_task(&task).await?;
        let mut begins = Vec::new();
        for partition in 0..partitions {
            let next = self.begin_of(partition, &snapshot)?;
            let end = way.log.follow(source, partition)?;
            begins.push(Begin { partition, next, end });
        }
        let mut merge = Merge::new(source, begins);
        if snapshot.positions.is_empty() && way.kafka.from == KafkaStart::Latest {
            // From now on, whatever happens before the first record.
            self.commit(&claim, &mut [], merge.positions()).await?;
            merge.committed();
        }
        Ok((claim, merge, partitions))
    }

    /// Where to read on in a partition. One that the topic got later is read from its start.
    fn begin_of(
        &self,
        partition: Partition,
        snapshot: &TaskSnapshot,
    ) -> Result<Offset, TakeTopicError> {
        let (way, source) = (&self.way, &self.way.kafka.source);
        let info = way.log.partition_info(source, partition)?;
        let mut positions = snapshot.positions.iter();
        let known = positions.find(|one| one.stream == *source && one.partition == partition);
        let Some(next) = known.map(|position| position.next) else {
            let is_first = snapshot.positions.is_empty();
            let is_at_end = is_first && way.kafka.from == KafkaStart::Latest;
            return Ok(if is_at_end { info.end } else { info.start });
        };
        if next > info.end {
            return Err(TakeTopicError::AnotherTopic { partition, next, end: info.end });
        }
        if next < info.start {
            let (route, offsets) = (way.route.name(), info.start - next);
            warn!(
                message = "Records of a topic were removed before they were read.",
                route, partition, offsets
            );
            way.route.metrics.removed(offsets.unsigned_abs());
        }
        Ok(next)
    }

    /// Commits what the records of a batch became, with where to read on.
    async fn take(
        &self,
        claim: &TaskClaim,
        batch: &[Taken],
        positions: Vec<InputPosition>,
    ) -> Result<(), CommitTaskError> {
        match self.take_all(claim, batch, positions).await {
            Err(CommitTaskError::Append(AppendError::TooLarge { .. })) => {
                for one in batch {
                    self.take_one(claim, one).await?;
                }
                Ok(())
            }
            taken => taken,
        }
    }

    async fn take_all(
        &self,
        claim: &TaskClaim,
        batch: &[Taken],
        positions: Vec<InputPosition>,
    ) -> Result<(), CommitTaskError> {
        let route = &self.way.route;
        let decide = |one| Acceptor::prepare_record(route, &self.as_it_came(one));
        let mut prepared: Vec<_> = batch.iter().map(decide).collect();
        self.commit(claim, &mut prepared, positions).await?;
        route.metrics.bytes.inc_by(batch.iter().map(|one| one.record.value.len() as u64).sum());
        for one in prepared {
            // Invalid records are durable dead letters, and counted.
            let _ = one.finish(0, None);
        }
        Ok(())
    }

    /// The same of one record, which becomes a dead letter without its bytes where even that of
    /// its own cannot be stored.
    async fn take_one(&self, claim: &TaskClaim, one: &Taken) -> Result<(), CommitTaskError> {
        let positions = || vec![position(&self.way.kafka.source, one.partition, one.offset + 1)];
        match self.take_all(claim, std::slice::from_ref(one), positions()).await {
            Err(CommitTaskError::Append(error @ AppendError::TooLarge { .. })) => {
                let (record, reason) = (self.as_it_came(one), error.to_string());
                let mut letter = [Acceptor::prepare_unstorable(&self.way.route, &record, &reason)];
                self.commit(claim, &mut letter, positions()).await?;
                let [letter] = letter;
                let _ = letter.finish(0, None);
                Ok(())
            }
            taken => taken,
        }
    }

    async fn commit(
        &self,
        claim: &TaskClaim,
        prepared: &mut [Prepared<'_>],
        positions: Vec<InputPosition>,
    ) -> Result<(), CommitTaskError> {
        let outputs = prepared.iter_mut().filter_map(Prepared::take_entry).collect();
        let commit = TaskCommit { outputs, state: Vec::new(), positions };
        self.way.log.commit_task(claim, commit).await.map(drop)
    }

    fn as_it_came<'a>(&'a self, one: &'a Taken) -> TopicRecord<'a> {
        TopicRecord {
            topic: &self.way.kafka.topic,
            partition: one.partition,
            offset: one.offset,
            key: one.record.key.clone(),
            headers: &one.record.headers,
            body: one.record.value.clone(),
            timestamp: one.record.ingest_time,
        }
    }
}
