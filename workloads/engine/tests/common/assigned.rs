//! A log that several processes seem to share: a test says who has which partitions.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use millrace_core::Offset;
use millrace_core::Partition;
use millrace_core::StreamName;
use millrace_log::*;
use parking_lot::Mutex;
use tokio::sync::watch;

/// A log as one process sees it that shares another log with others. Commits can be held up, so
/// that a test sees what happens while they are under way.
pub(crate) struct AssignedLog {
    log: Arc<dyn Log>,
    assignment: watch::Sender<Assignment>,
    unreachable: AtomicU32,
    left: Arc<Mutex<Vec<String>>>,
    holds_commits: watch::Sender<bool>,
    claims: AtomicU32,
    commits: AtomicU32,
    most_commits: AtomicU32,
    read_to: Mutex<HashMap<(StreamName, Partition), Offset>>,
}

/// Leaves a group when it goes.
struct Membership(Arc<Mutex<Vec<String>>>, String);

impl Drop for Membership {
    fn drop(&mut self) {
        self.0.lock().push(self.1.clone());
    }
}

impl AssignedLog {
    /// A process that has no partition yet.
    pub(crate) fn over(log: &Arc<dyn Log>) -> Arc<Self> {
        Arc::new(Self {
            log: Arc::clone(log),
            assignment: watch::Sender::default(),
            unreachable: AtomicU32::default(),
            left: Arc::default(),
            holds_commits: watch::Sender::default(),
            claims: AtomicU32::default(),
            commits: AtomicU32::default(),
            most_commits: AtomicU32::default(),
            read_to: Mutex::default(),
        })
    }

    /// From now on the process has these partitions of every group, each at its epoch.
    pub(crate) fn assign(&self, assignment: &[(Partition, i64)]) {
        self.assignment.send_replace(assignment.iter().copied().collect());
    }

    /// So many times groups cannot be joined.
    pub(crate) fn be_unreachable(&self, times: u32) {
        self.unreachable.store(times, Ordering::SeqCst);
    }

    /// Groups that were left.
    pub(crate) fn left(&self) -> Vec<String> {
        self.left.lock().clone()
    }

    /// Commits wait from now on, or no longer.
    pub(crate) fn hold_commits(&self, holds: bool) {
        self.holds_commits.send_replace(holds);
    }

    /// How often tasks were claimed.
    pub(crate) fn claims(&self) -> u32 {
        self.claims.load(Ordering::SeqCst)
    }

    /// Commits that are under way, and the most that ever were.
    pub(crate) fn commits(&self) -> (u32, u32) {
        (self.commits.load(Ordering::SeqCst), self.most_commits.load(Ordering::SeqCst))
    }

    /// How far a partition was read.
    pub(crate) fn read_to(&self, stream: &StreamName, partition: Partition) -> Offset {
        self.read_to.lock().get(&(stream.clone(), partition)).copied().unwrap_or_default()
    }
}

/// Counts something while it is there.
struct Counted<'a>(&'a AtomicU32);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl Log for AssignedLog {
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
        let batch = self.log.read(stream, partition, from, limit).await?;
        let mut read_to = self.read_to.lock();
        let known = read_to.entry((stream.clone(), partition)).or_default();
        *known = batch.next.max(*known);
        Ok(batch)
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
        _: &[StreamName],
    ) -> Result<GroupMember, JoinGroupError> {
        let less = |times: u32| times.checked_sub(1);
        if self.unreachable.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok() {
            let reason = "no broker answers".to_owned();
            return Err(JoinGroupError::Unavailable { group: group.to_owned(), reason });
        }
        let membership = Membership(Arc::clone(&self.left), group.to_owned());
        Ok(GroupMember::new(self.assignment.subscribe(), membership))
    }

    async fn claim_task(
        &self,
        task: &TaskName,
    ) -> Result<(TaskClaim, TaskSnapshot), ClaimTaskError> {
        self.claims.fetch_add(1, Ordering::SeqCst);
        self.log.claim_task(task).await
    }

    async fn commit_task(
        &self,
        claim: &TaskClaim,
        commit: TaskCommit,
    ) -> Result<Vec<Offset>, CommitTaskError> {
        let commits = self.commits.fetch_add(1, Ordering::SeqCst) + 1;
        let _counted = Counted(&self.commits);
        self.most_commits.fetch_max(commits, Ordering::SeqCst);
        let mut held = self.holds_commits.subscribe();
        // The sender is here.
        let _ = held.wait_for(|held| !held).await;
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
