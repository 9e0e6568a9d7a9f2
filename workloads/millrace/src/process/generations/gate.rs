//! A log whose streams seem to end earlier than they do: so that new tasks read exactly what
//! others had read, and what they have made then can be told from what they make later.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use millrace_core::Offset;
use millrace_core::Partition;
use millrace_core::StreamName;
use millrace_log::Append;
use millrace_log::AppendError;
use millrace_log::ClaimTaskError;
use millrace_log::CommitTaskError;
use millrace_log::EnsureStreamsError;
use millrace_log::GroupMember;
use millrace_log::InputPosition;
use millrace_log::JoinGroupError;
use millrace_log::Log;
use millrace_log::LogStatistics;
use millrace_log::PartitionInfo;
use millrace_log::ReadBatch;
use millrace_log::ReadError;
use millrace_log::ReadLimit;
use millrace_log::StageConfig;
use millrace_log::StateEntry;
use millrace_log::StreamConfig;
use millrace_log::TaskClaim;
use millrace_log::TaskCommit;
use millrace_log::TaskName;
use millrace_log::TaskSnapshot;
use tokio::sync::watch;

/// Where partitions seem to end, by the streams' names in the log.
pub(super) type Ends = HashMap<(StreamName, Partition), Offset>;

/// A log with earlier ends.
pub(super) struct Gate {
    log: Arc<dyn Log>,
    ends: HashMap<(StreamName, Partition), watch::Sender<Offset>>,
}

impl Gate {
    pub(super) fn new(log: Arc<dyn Log>, ends: Ends) -> Self {
        let ends = ends.into_iter().map(|(at, end)| (at, watch::Sender::new(end))).collect();
        Self { log, ends }
    }

    fn end(&self, stream: &StreamName, partition: Partition) -> Option<Offset> {
        self.ends.get(&(stream.clone(), partition)).map(|end| *end.borrow())
    }
}

#[async_trait]
impl Log for Gate {
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
        let Some(end) = self.end(stream, partition) else {
            return self.log.read(stream, partition, from, limit).await;
        };
        if from >= end {
            return Ok(ReadBatch { entries: Vec::new(), next: from });
        }
        let mut batch = self.log.read(stream, partition, from, limit).await?;
        batch.entries.retain(|(offset, _)| *offset < end);
        batch.next = batch.next.min(end);
        Ok(batch)
    }

    fn follow(
        &self,
        stream: &StreamName,
        partition: Partition,
    ) -> Result<watch::Receiver<Offset>, ReadError> {
        match self.ends.get(&(stream.clone(), partition)) {
            Some(end) => Ok(end.subscribe()),
            None => self.log.follow(stream, partition),
        }
    }

    fn partition_info(
        &self,
        stream: &StreamName,
        partition: Partition,
    ) -> Result<PartitionInfo, ReadError> {
        let mut info = self.log.partition_info(stream, partition)?;
        if let Some(end) = self.end(stream, partition) {
            info.end = info.end.min(end).max(info.start);
        }
        Ok(info)
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
        self.log.claim_task(task).await
    }

    async fn commit_task(
        &self,
        claim: &TaskClaim,
        commit: TaskCommit,
    ) -> Result<Vec<Offset>, CommitTaskError> {
        self.log.commit_task(claim, commit).await
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
