//! The log itself: what each method is done by.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use millrace_core::Offset;
use millrace_core::Partition;
use millrace_core::StreamName;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::admin::Admin;
use super::append::Appender;
use super::client::ConfigureKafkaError;
use super::cluster::Cluster;
use super::ends::Keeper;
use super::extent::Extent;
use super::extent::Topic;
use super::external;
use super::health::Health;
use super::lanes;
use super::lanes::Lanes;
use super::names::Names;
use super::offsets::Offsets;
use super::settings::KafkaSettings;
use super::tasks::StandbyOptions;
use super::tasks::Tasks;
use super::topics::Topics;
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

/// A cluster that could not be used.
#[derive(Debug, thiserror::Error)]
pub enum ConnectKafkaError {
    /// The settings are wrong.
    #[error("cannot connect to Kafka")]
    Configure(#[from] ConfigureKafkaError),
    /// No broker answers.
    #[error(
        "cannot connect to Kafka at {servers}: {reason}. Is it running, and are the addresses, TLS and user right?"
    )]
    Unreachable {
        /// The addresses that were tried.
        servers: String,
        /// What failed.
        reason: String,
    },
}

/// The log in a Kafka cluster.
pub struct KafkaLog {
    topics: Arc<Topics>,
    appender: Appender,
    lanes: Arc<Lanes>,
    offsets: Arc<Offsets>,
    tasks: Arc<Tasks>,
    health: Arc<Health>,
    keeper: Arc<Keeper>,
    background: Mutex<JoinSet<()>>,
}

impl KafkaLog {
    /// Connects, and finds out which of the pipeline's streams there are. `process` is a name that
    /// no other process has that runs at the same time.
    ///
    /// # Errors
    /// When the settings are wrong, or no broker answers within some seconds.
    pub async fn connect(
        settings: KafkaSettings,
        pipeline: &str,
        process: &str,
    ) -> Result<Arc<Self>, ConnectKafkaError> {
        Self::connect_with_standbys(settings, pipeline, process, StandbyOptions::default()).await
    }

    /// The same, for a process that keeps the state of tasks ready that others run.
    ///
    /// # Errors
    /// As [`KafkaLog::connect`].
    pub async fn connect_with_standbys(
        settings: KafkaSettings,
        pipeline: &str,
        process: &str,
        standbys: StandbyOptions,
    ) -> Result<Arc<Self>, ConnectKafkaError> {
        let prefix = settings.prefix.clone().unwrap_or_else(|| format!("{pipeline}."));
        let names = Names::new(prefix);
        let health = Arc::new(Health::default());
        let cluster = Arc::new(Cluster::new(&settings, &names)?);
        let admin = Admin::new(&settings)?;
        let topics = Arc::new(Topics::new(names.clone(), Arc::clone(&cluster), admin));
        let appender = Appender::new(&settings, Arc::clone(&topics), Arc::clone(&health))?;
        let (lanes, arrivals) =
            Lanes::new(&settings, &names, Arc::clone(&topics), Arc::clone(&cluster));
        let lanes = Arc::new(lanes);
        let offsets = Arc::new(Offsets::new(&settings, &names));
        let shared = Arc::new(settings.clone());
        let tasks = Tasks::new(shared, names.clone(), Arc::clone(&topics), process, standbys);
        let servers = settings.bootstrap_servers.join(", ");
        let keeper = Arc::new(Keeper {
            settings,
            names,
            topics: Arc::clone(&topics),
            cluster,
            lanes: Arc::clone(&lanes),
            offsets: Arc::clone(&offsets),
            health: Arc::clone(&health),
        });
        keeper.begin().await.map_err(|error| ConnectKafkaError::Unreachable {
            servers,
            reason: error.to_string(),
        })?;
        let mut background = Arc::clone(&keeper).start();
        background.spawn(lanes::tell_arrivals(arrivals));
        let background = Mutex::new(background);
        Ok(Arc::new(Self { topics, appender, lanes, offsets, tasks, health, keeper, background }))
    }

    fn known(&self, stream: &StreamName, partition: Partition) -> Result<Arc<Topic>, ReadError> {
        self.open()?;
        let topic = self.topics.get(stream);
        let topic = topic.filter(|topic| topic.partition(partition).is_some());
        topic.ok_or_else(|| ReadError::UnknownStream { stream: stream.clone(), partition })
    }

    /// What is known of a partition's extent.
    fn of_extent<T>(
        &self,
        stream: &StreamName,
        partition: Partition,
        what: impl FnOnce(&Extent) -> T,
    ) -> Result<T, ReadError> {
        let topic = self.known(stream, partition)?;
        let found = topic.partition(partition).map(what);
        found.ok_or_else(|| ReadError::UnknownStream { stream: stream.clone(), partition })
    }

    /// An error once the log is closed.
    fn open(&self) -> Result<(), ReadError> {
        if self.health.is_closed() {
            return Err(ReadError::Storage(Box::new(AppendError::Closed)));
        }
        Ok(())
    }
}

#[async_trait]
impl Log for KafkaLog {
    async fn ensure_streams(&self, streams: &[StreamConfig]) -> Result<(), EnsureStreamsError> {
        let new = self.topics.ensure_streams(streams).await?;
        // They may have been made by others, and hold something.
        match (self.keeper.learn(&new).await, new.first()) {
            (Err(error), Some(topic)) => Err(EnsureStreamsError::Create {
                stream: topic.stream.clone(),
                source: error.into(),
            }),
            _ => Ok(()),
        }
    }

    async fn attach_external(
        &self,
        name: &StreamName,
        topic: &str,
    ) -> Result<Partition, AttachExternalError> {
        external::attach(&self.topics, name, topic).await
    }

    async fn append(&self, entries: Vec<Append>) -> Result<Vec<Offset>, AppendError> {
        self.appender.append(&entries).await
    }

    async fn read(
        &self,
        stream: &StreamName,
        partition: Partition,
        from: Offset,
        limit: ReadLimit,
    ) -> Result<ReadBatch, ReadError> {
        self.open()?;
        self.lanes.read(stream, partition, from, limit).await
    }

    fn follow(
        &self,
        stream: &StreamName,
        partition: Partition,
    ) -> Result<watch::Receiver<Offset>, ReadError> {
        self.of_extent(stream, partition, Extent::follow)
    }

    fn partition_info(
        &self,
        stream: &StreamName,
        partition: Partition,
    ) -> Result<PartitionInfo, ReadError> {
        self.of_extent(stream, partition, Extent::info)
    }

    fn end_age(&self, stream: &StreamName, partition: Partition) -> Result<Duration, ReadError> {
        self.of_extent(stream, partition, Extent::end_age)
    }

    async fn group_offset(
        &self,
        group: &str,
        stream: &StreamName,
        partition: Partition,
    ) -> Result<Option<Offset>, ReadError> {
        self.open()?;
        let found = self.topics.find(stream).await?;
        let known = found.filter(|topic| topic.partition(partition).is_some());
        match known {
            Some(topic) => self.offsets.committed(group, &topic, partition).await,
            None => Ok(None),
        }
    }

    async fn commit_group_offset(
        &self,
        group: &str,
        stream: &StreamName,
        partition: Partition,
        next: Offset,
    ) -> Result<(), AppendError> {
        self.tasks.commit_group_offset(group, stream, partition, next).await
    }

    async fn ensure_tasks(&self, stages: &[StageConfig]) -> Result<(), EnsureStreamsError> {
        self.tasks.ensure(stages).await
    }

    async fn join_group(
        &self,
        group: &str,
        streams: &[StreamName],
    ) -> Result<GroupMember, JoinGroupError> {
        self.tasks.join(group, streams).await
    }

    async fn claim_task(
        &self,
        task: &TaskName,
    ) -> Result<(TaskClaim, TaskSnapshot), ClaimTaskError> {
        self.tasks.claim(task).await
    }

    async fn commit_task(
        &self,
        claim: &TaskClaim,
        commit: TaskCommit,
    ) -> Result<Vec<Offset>, CommitTaskError> {
        self.tasks.commit(claim, commit).await
    }

    async fn task_state(&self, task: &TaskName) -> Result<Vec<StateEntry>, ReadError> {
        self.open()?;
        self.tasks.state(task).await
    }

    async fn task_positions(&self, task: &TaskName) -> Result<Vec<InputPosition>, ReadError> {
        self.open()?;
        self.tasks.positions(task).await
    }

    async fn remove(&self, streams: &[StreamName], tasks: &[TaskName]) -> Result<(), AppendError> {
        if self.health.is_closed() {
            return Err(AppendError::Closed);
        }
        self.tasks.remove(tasks).await?;
        let removed = self.topics.remove_streams(streams).await;
        self.keeper.tidy().await;
        removed
    }

    async fn check_writable(&self) -> Result<(), AppendError> {
        self.health.check()
    }

    fn statistics(&self) -> LogStatistics {
        let mut statistics = self.appender.statistics();
        self.tasks.count(&mut statistics);
        statistics
    }

    async fn close(&self) {
        if !self.health.close() {
            return;
        }
        self.tasks.close().await;
        self.appender.close().await;
        self.background.lock().abort_all();
        self.lanes.close().await;
        let offsets = Arc::clone(&self.offsets);
        drop(tokio::task::spawn_blocking(move || offsets.close()).await);
        tracing::debug!(message = "Left Kafka.");
    }
}
