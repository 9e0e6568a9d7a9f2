//! A log that fails at random: sometimes before it does what it was asked, sometimes after.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use millrace_core::Offset;
use millrace_core::Partition;
use millrace_core::StreamName;
use millrace_log::*;
use parking_lot::Mutex;
use rand::Rng;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::sync::watch;

/// Fails one of so many commits and claims.
const ONE_OF: u32 = 4;

pub(crate) struct FaultyLog {
    log: Arc<dyn Log>,
    random: Mutex<StdRng>,
}

/// Where a call fails.
enum Fault {
    None,
    Before,
    After,
}

impl FaultyLog {
    pub(crate) fn over(log: Arc<dyn Log>, seed: u64) -> Arc<dyn Log> {
        Arc::new(Self { log, random: Mutex::new(StdRng::seed_from_u64(seed)) })
    }

    fn fault(&self) -> Fault {
        match self.random.lock().random_range(0..ONE_OF * 2) {
            0 => Fault::Before,
            1 => Fault::After,
            _ => Fault::None,
        }
    }
}

fn unavailable() -> AppendError {
    AppendError::Unavailable("a fault of the test".to_owned())
}

#[async_trait]
impl Log for FaultyLog {
    async fn ensure_streams(&self, streams: &[StreamConfig]) -> Result<(), EnsureStreamsError> {
        self.log.ensure_streams(streams).await
    }

    async fn append(&self, entries: Vec<Append>) -> Result<Vec<Offset>, AppendError> {
        self.log.append(entries).await
    }

    async fn read(
        &self,
        stream: &StreamName,
        partition: Partition,
        from: Offset,
        limit: ReadLimit,
    ) -> Result<ReadBatch, ReadError> {
        self.log.read(stream, partition, from, limit).await
    }

    fn follow(
        &self,
        stream: &StreamName,
        partition: Partition,
    ) -> Result<watch::Receiver<Offset>, ReadError> {
        self.log.follow(stream, partition)
    }

    fn partition_info(
        &self,
        stream: &StreamName,
        partition: Partition,
    ) -> Result<PartitionInfo, ReadError> {
        self.log.partition_info(stream, partition)
    }

    fn end_age(&self, stream: &StreamName, partition: Partition) -> Result<Duration, ReadError> {
        self.log.end_age(stream, partition)
    }

    async fn group_offset(
        &self,
        group: &str,
        stream: &StreamName,
        partition: Partition,
    ) -> Result<Option<Offset>, ReadError> {
        self.log.group_offset(group, stream, partition).await
    }

    async fn commit_group_offset(
        &self,
        group: &str,
        stream: &StreamName,
        partition: Partition,
        next: Offset,
    ) -> Result<(), AppendError> {
        self.log.commit_group_offset(group, stream, partition, next).await
    }

    async fn ensure_tasks(&self, stages: &[StageConfig]) -> Result<(), EnsureStreamsError> {
        self.log.ensure_tasks(stages).await
    }

    async fn join_group(
        &self,
        group: &str,
        streams: &[StreamName],
    ) -> Result<GroupMember, JoinGroupError> {
        self.log.join_group(group, streams).await
    }

    async fn claim_task(
        &self,
        task: &TaskName,
    ) -> Result<(TaskClaim, TaskSnapshot), ClaimTaskError> {
        let failed = || ClaimTaskError::Claim { task: task.to_string(), source: unavailable() };
        let fault = self.fault();
        if matches!(fault, Fault::Before) {
            return Err(failed());
        }
        let claimed = self.log.claim_task(task).await?;
        if matches!(fault, Fault::After) { Err(failed()) } else { Ok(claimed) }
    }

    async fn commit_task(
        &self,
        claim: &TaskClaim,
        commit: TaskCommit,
    ) -> Result<Vec<Offset>, CommitTaskError> {
        let fault = self.fault();
        if matches!(fault, Fault::Before) {
            return Err(unavailable().into());
        }
        let offsets = self.log.commit_task(claim, commit).await?;
        if matches!(fault, Fault::After) { Err(unavailable().into()) } else { Ok(offsets) }
    }

    async fn task_state(&self, task: &TaskName) -> Result<Vec<StateEntry>, ReadError> {
        self.log.task_state(task).await
    }

    async fn task_positions(&self, task: &TaskName) -> Result<Vec<InputPosition>, ReadError> {
        self.log.task_positions(task).await
    }

    async fn remove(&self, streams: &[StreamName], tasks: &[TaskName]) -> Result<(), AppendError> {
        self.log.remove(streams, tasks).await
    }

    async fn check_writable(&self) -> Result<(), AppendError> {
        self.log.check_writable().await
    }

    fn statistics(&self) -> LogStatistics {
        self.log.statistics()
    }

    async fn close(&self) {
        self.log.close().await;
    }
}
