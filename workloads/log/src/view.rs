//! The log as one set of generations sees it: under the names that a plan has for streams and
//! stages lie those of the generation that is in force.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use millrace_core::Offset;
use millrace_core::Partition;
use millrace_core::StreamName;
use parking_lot::RwLock;
use tokio::sync::watch;

use crate::Append;
use crate::AppendError;
use crate::AttachExternalError;
use crate::ClaimTaskError;
use crate::CommitTaskError;
use crate::EnsureStreamsError;
use crate::GroupMember;
use crate::InputPosition;
use crate::JoinGroupError;
use crate::Log;
use crate::LogStatistics;
use crate::PartitionInfo;
use crate::ReadBatch;
use crate::ReadError;
use crate::ReadLimit;
use crate::StageConfig;
use crate::StateEntry;
use crate::StreamConfig;
use crate::TaskClaim;
use crate::TaskCommit;
use crate::TaskName;
use crate::TaskSnapshot;

/// What lies under the names of a plan. Names that are not here lie under themselves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ViewNames {
    /// Streams.
    pub streams: HashMap<StreamName, StreamName>,
    /// Stages, as tasks name them.
    pub stages: HashMap<String, String>,
}

impl ViewNames {
    fn stream(&self, name: &StreamName) -> StreamName {
        self.streams.get(name).unwrap_or(name).clone()
    }

    /// Gives positions the names that the plan has for their streams.
    fn give_back(&self, positions: &mut [InputPosition]) {
        for position in positions {
            let plan = self.streams.iter().find(|(_, below)| **below == position.stream);
            if let Some((name, _)) = plan {
                position.stream = name.clone();
            }
        }
    }

    fn stage(&self, name: &str) -> String {
        self.stages.get(name).cloned().unwrap_or_else(|| name.to_owned())
    }

    fn task(&self, task: &TaskName) -> TaskName {
        TaskName { stage: self.stage(&task.stage), partition: task.partition }
    }
}

/// A log under other names, which can be changed as a whole. Whoever follows a stream that then
/// lies elsewhere follows the old one until that is removed.
pub struct LogView {
    log: Arc<dyn Log>,
    names: RwLock<Arc<ViewNames>>,
}

impl LogView {
    /// A view of a log.
    #[must_use]
    pub fn new(log: Arc<dyn Log>, names: ViewNames) -> Self {
        Self { log, names: RwLock::new(Arc::new(names)) }
    }

    /// The log below.
    #[must_use]
    pub fn log(&self) -> &Arc<dyn Log> {
        &self.log
    }

    /// From now on, all calls see these names.
    pub fn set_names(&self, names: ViewNames) {
        *self.names.write() = Arc::new(names);
    }

    fn names(&self) -> Arc<ViewNames> {
        Arc::clone(&self.names.read())
    }

    fn appends(&self, mut entries: Vec<Append>) -> Vec<Append> {
        let names = self.names();
        if !names.streams.is_empty() {
            for append in &mut entries {
                if let Some(name) = names.streams.get(&append.stream) {
                    append.stream = name.clone();
                }
            }
        }
        entries
    }
}

#[async_trait]
impl Log for LogView {
    async fn ensure_streams(&self, streams: &[StreamConfig]) -> Result<(), EnsureStreamsError> {
        let names = self.names();
        let streams: Vec<_> = streams
            .iter()
            .map(|stream| StreamConfig { name: names.stream(&stream.name), ..stream.clone() })
            .collect();
        self.log.ensure_streams(&streams).await
    }

    async fn attach_external(
        &self,
        name: &StreamName,
        topic: &str,
    ) -> Result<Partition, AttachExternalError> {
        self.log.attach_external(name, topic).await
    }

    async fn append(&self, entries: Vec<Append>) -> Result<Vec<Offset>, AppendError> {
        self.log.append(self.appends(entries)).await
    }

    async fn read(
        &self,
        stream: &StreamName,
        partition: Partition,
        from: Offset,
        limit: ReadLimit,
    ) -> Result<ReadBatch, ReadError> {
        self.log.read(&self.names().stream(stream), partition, from, limit).await
    }

    fn follow(
        &self,
        stream: &StreamName,
        partition: Partition,
    ) -> Result<watch::Receiver<Offset>, ReadError> {
        self.log.follow(&self.names().stream(stream), partition)
    }

    fn partition_info(
        &self,
        stream: &StreamName,
        partition: Partition,
    ) -> Result<PartitionInfo, ReadError> {
        self.log.partition_info(&self.names().stream(stream), partition)
    }

    fn end_age(&self, stream: &StreamName, partition: Partition) -> Result<Duration, ReadError> {
        self.log.end_age(&self.names().stream(stream), partition)
    }

    async fn group_offset(
        &self,
        group: &str,
        stream: &StreamName,
        partition: Partition,
    ) -> Result<Option<Offset>, ReadError> {
        self.log.group_offset(group, &self.names().stream(stream), partition).await
    }

    async fn commit_group_offset(
        &self,
        group: &str,
        stream: &StreamName,
        partition: Partition,
        next: Offset,
    ) -> Result<(), AppendError> {
        self.log.commit_group_offset(group, &self.names().stream(stream), partition, next).await
    }

    async fn ensure_tasks(&self, stages: &[StageConfig]) -> Result<(), EnsureStreamsError> {
        let names = self.names();
        let stages: Vec<_> = stages
            .iter()
            .map(|stage| StageConfig { name: names.stage(&stage.name), ..stage.clone() })
            .collect();
        self.log.ensure_tasks(&stages).await
    }

    async fn join_group(
        &self,
        group: &str,
        streams: &[StreamName],
    ) -> Result<GroupMember, JoinGroupError> {
        let names = self.names();
        let streams: Vec<_> = streams.iter().map(|stream| names.stream(stream)).collect();
        self.log.join_group(&names.stage(group), &streams).await
    }

    async fn claim_task(
        &self,
        task: &TaskName,
    ) -> Result<(TaskClaim, TaskSnapshot), ClaimTaskError> {
        let names = self.names();
        let (claim, mut snapshot) = self.log.claim_task(&names.task(task)).await?;
        names.give_back(&mut snapshot.positions);
        Ok((claim, snapshot))
    }

    async fn commit_task(
        &self,
        claim: &TaskClaim,
        commit: TaskCommit,
    ) -> Result<Vec<Offset>, CommitTaskError> {
        let mut commit = TaskCommit { outputs: self.appends(commit.outputs), ..commit };
        let names = self.names();
        for position in &mut commit.positions {
            position.stream = names.stream(&position.stream);
        }
        self.log.commit_task(claim, commit).await
    }

    async fn task_state(&self, task: &TaskName) -> Result<Vec<StateEntry>, ReadError> {
        self.log.task_state(&self.names().task(task)).await
    }

    async fn task_positions(&self, task: &TaskName) -> Result<Vec<InputPosition>, ReadError> {
        let names = self.names();
        let mut positions = self.log.task_positions(&names.task(task)).await?;
        names.give_back(&mut positions);
        Ok(positions)
    }

    async fn remove(&self, streams: &[StreamName], tasks: &[TaskName]) -> Result<(), AppendError> {
        let names = self.names();
        let streams: Vec<_> = streams.iter().map(|stream| names.stream(stream)).collect();
        let tasks: Vec<_> = tasks.iter().map(|task| names.task(task)).collect();
        self.log.remove(&streams, &tasks).await
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
