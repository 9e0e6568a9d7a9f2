//! Tasks in a Kafka cluster: groups share them out, changelogs keep their state, transactions
//! commit what they do.
//!
//! - Which tasks this process has is told by [`groups`]: one member for each stage, whose
//!   rebalances [`membership`] turns into partitions with epochs.
//! - A claim ([`claims`]) reads what the task committed last: its state and positions in a
//!   partition of the stage's [`changelog`], read by [`readers`] in the form of [`keys`]. A stage
//!   without a changelog has positions alone, as offsets of its group.
//! - [`standbys`] keep the state of tasks that others run, if that is wanted.
//! - The [`committer`]'s thread gathers commits into a [`transaction`] of the [`producer`].

mod changelog;
mod claims;
mod committer;
mod deliveries;
mod epochs;
mod followed;
mod groups;
mod keys;
mod member;
mod membership;
mod partition_ends;
mod producer;
mod readers;
mod removal;
mod request;
mod restored;
mod restoring;
mod standbys;
mod transaction;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use millrace_core::Offset;
use millrace_core::Partition;
use millrace_core::StreamName;
use millrace_core::with_causes;
use parking_lot::Mutex;
use rdkafka::TopicPartitionList;
use tokio::sync::Semaphore;
use tokio::sync::mpsc;
use tokio::time::timeout;

use self::changelog::Changelog;
use self::changelog::Changelogs;
use self::claims::Claim;
use self::claims::Claims;
use self::committer::Committer;
use self::committer::CommitterHandle;
use self::committer::Counts;
use self::committer::Message;
use self::committer::Surroundings;
use self::epochs::Epochs;
use self::followed::Followed;
use self::followed::Subject;
use self::groups::Groups;
use self::readers::ReadChangelogError;
use self::readers::Readers;
use self::request::Contents;
use self::request::Owner;
use self::request::Request;
use self::request::parse_metadata;
use self::restored::Restored;
pub use self::standbys::StandbyOptions;
use self::standbys::Standbys;
use super::client;
use super::client::Connection;
use super::client::Role;
use super::names::Names;
use super::settings::KafkaSettings;
use super::topics::Topics;
use crate::AppendError;
use crate::ClaimTaskError;
use crate::CommitTaskError;
use crate::EnsureStreamsError;
use crate::GroupMember;
use crate::InputPosition;
use crate::JoinGroupError;
use crate::LogStatistics;
use crate::ReadError;
use crate::StageConfig;
use crate::StateEntry;
use crate::TaskClaim;
use crate::TaskCommit;
use crate::TaskName;
use crate::TaskSnapshot;
use crate::group::joint_partitions;

/// Changelogs that are read at the same time.
const MAX_READERS: usize = 4;
/// A member that says nothing for so long counts as gone, though its thread lives. It waits at a
/// rebalance for the transaction that is under way, for less than this.
const MAX_SILENCE_MILLISECONDS: &str = "30000";
/// How long commits may take to end when the log is closed.
const CLOSE_PATIENCE: Duration = Duration::from_secs(20);

/// The tasks of a process.
pub(super) struct Tasks {
    settings: Arc<KafkaSettings>,
    names: Names,
    topics: Arc<Topics>,
    changelogs: Changelogs,
    epochs: Arc<Epochs>,
    groups: Arc<Groups>,
    claims: Arc<Claims>,
    readers: Arc<Readers>,
    followed: Arc<Followed>,
    standbys: Arc<Standbys>,
    restoring: Arc<Semaphore>,
    /// Records that were read to restore tasks.
    restored: Arc<AtomicU64>,
    process: String,
    committer: CommitterHandle,
    /// The committer's thread starts with the first commit: many processes have none.
    not_started: Mutex<Option<(Surroundings, mpsc::Receiver<Message>)>>,
    counts: Arc<Counts>,
    closing: Arc<AtomicBool>,
}

impl Tasks {
    /// Nothing is connected before it is needed. `process` is the process's own name: no other one
    /// that runs at the same time has it.
    pub(super) fn new(
        settings: Arc<KafkaSettings>,
        names: Names,
        topics: Arc<Topics>,
        process: &str,
        standbys: StandbyOptions,
    ) -> Arc<Self> {
        let epochs = Arc::new(Epochs::default());
        let groups = Arc::new(Groups::new(Connection::new(&settings), Arc::clone(&epochs)));
        let claims = Arc::new(Claims::default());
        let readers = Arc::new(Readers::new(Arc::clone(&settings), &names));
        let restoring = Arc::new(Semaphore::new(MAX_READERS));
        let shared = (Arc::clone(&readers), Arc::clone(&restoring));
        let standbys = Standbys::new(standbys, process, shared.0, shared.1);
        let counts = Arc::new(Counts::default());
        let closing = Arc::new(AtomicBool::new(false));
        let (committer, receiver) = CommitterHandle::new();
        let surroundings = Surroundings {
            settings: Arc::clone(&settings),
            names: names.clone(),
            transactional_id: names.transactional_id(process),
            groups: Arc::clone(&groups),
            claims: Arc::clone(&claims),
            readers: Arc::clone(&readers),
            counts: Arc::clone(&counts),
            closing: Arc::clone(&closing),
        };
        Arc::new(Self {
            changelogs: Changelogs::new(names.clone(), Arc::clone(&topics)),
            settings,
            names,
            topics,
            epochs,
            groups,
            claims,
            readers,
            followed: Arc::default(),
            standbys,
            restoring,
            restored: Arc::default(),
            process: process.to_owned(),
            committer,
            not_started: Mutex::new(Some((surroundings, receiver))),
            counts,
            closing,
        })
    }

    /// Makes the changelogs of stages where they are missing.
    ///
    /// # Errors
    /// When one exists with another number of partitions, or cannot be made.
    pub(super) async fn ensure(&self, stages: &[StageConfig]) -> Result<(), EnsureStreamsError> {
        self.changelogs.ensure(stages).await
    }

    /// Joins the group of a stage or sink.
    ///
    /// # Errors
    /// When a stream is unknown, the streams have different numbers of partitions, or no member
    /// can be made.
    pub(super) async fn join(
        &self,
        group: &str,
        streams: &[StreamName],
    ) -> Result<GroupMember, JoinGroupError> {
        let unavailable =
            |reason: String| JoinGroupError::Unavailable { group: group.to_owned(), reason };
        let mut topics = Vec::new();
        let mut counts = Vec::new();
        for stream in streams {
            let found = self.topics.find(stream).await;
            let found = found.map_err(|error| unavailable(error.to_string()))?;
            let topic = found.ok_or_else(|| JoinGroupError::UnknownStream {
                group: group.to_owned(),
                stream: stream.clone(),
            })?;
            counts.push((stream, topic.partitions()));
            topics.push(topic.name.clone());
        }
        joint_partitions(group, &counts)?;
        let name = self.names.group(group);
        let mut config = client::config(&self.settings, Role::Member { group: &name })
            .map_err(|error| unavailable(with_causes(&error)))?;
        config.set("max.poll.interval.ms", MAX_SILENCE_MILLISECONDS);
        // Others see by it whose member it is, and members of one name take the same place again.
        config.set("client.id", &self.process);
        let preparation = if self.standbys.are_wanted() {
            let changelog = self.changelogs.find(group).await;
            match changelog.map_err(|error| unavailable(with_causes(&error)))? {
                Some(changelog) => Some(self.standbys.prepare(group, name, changelog).await),
                None => None,
            }
        } else {
            None
        };
        let joined = self.groups.join(group, config, topics, self.committer.waker()).await?;
        if let (Some(preparation), Some(member)) = (preparation, self.groups.member(group)) {
            preparation.joined(member);
        }
        Ok(joined)
    }

    /// Takes a task over.
    ///
    /// # Errors
    /// When its state cannot be read, or the log is closed.
    pub(super) async fn claim(
        &self,
        task: &TaskName,
    ) -> Result<(TaskClaim, TaskSnapshot), ClaimTaskError> {
        let cannot_restore = |source| ClaimTaskError::Restore { task: task.to_string(), source };
        if self.closing.load(Ordering::Acquire) {
            let source = AppendError::Closed;
            return Err(ClaimTaskError::Claim { task: task.to_string(), source });
        }
        let changelog = self.changelog(task).await.map_err(cannot_restore)?;
        let epoch = self.epochs.next();
        let claim = TaskClaim { task: task.clone(), epoch };
        if self.claims.claim(task, self.fresh_claim(task, epoch, changelog.clone())) {
            // What was begun under an earlier claim has ended before anything is read.
            let ended = self.barrier().await;
            ended.map_err(|source| ClaimTaskError::Claim { task: task.to_string(), source })?;
        }
        let snapshot = match changelog {
            Some(changelog) => {
                let restored = self.restore(task, &changelog).await;
                let (snapshot, end) = restored.map_err(cannot_restore)?;
                self.claims.update(&claim, |claim| claim.end = Some(end));
                snapshot
            }
            None => TaskSnapshot {
                state: Vec::new(),
                positions: self.offsets(task).await.map_err(cannot_restore)?,
            },
        };
        Ok((claim, snapshot))
    }

    fn fresh_claim(&self, task: &TaskName, epoch: i64, changelog: Option<Changelog>) -> Claim {
        let member = self.groups.member(&task.stage);
        let rebalances = member.as_ref().map_or(0, |member| member.rebalances());
        let partition_epoch = member.and_then(|member| member.epoch(task.partition));
        Claim { epoch, partition_epoch, changelog, end: None, rebalances }
    }

    /// The changelog that has the task's state; none if its stage has none.
    async fn changelog(&self, task: &TaskName) -> Result<Option<Changelog>, ReadError> {
        let Some(changelog) = self.changelogs.find(&task.stage).await? else { return Ok(None) };
        if task.partition < changelog.partitions {
            return Ok(Some(changelog));
        }
        Err(ReadError::Storage(
            format!(
                "stage `{}` has {} tasks, and none of number {}",
                task.stage, changelog.partitions, task.partition
            )
            .into(),
        ))
    }

    /// Positions that are kept as offsets of the group.
    async fn offsets(&self, task: &TaskName) -> Result<Vec<InputPosition>, ReadError> {
        let mut list = TopicPartitionList::new();
        let topics = self.topics.all();
        for topic in topics.iter().filter(|topic| topic.partition(task.partition).is_some()) {
            list.add_partition(&topic.name, task.partition);
        }
        if list.count() == 0 {
            return Ok(Vec::new());
        }
        let group = self.names.group(&task.stage);
        let kept = self.wait(move |readers| readers.committed(&group, list)).await?;
        let mut positions = Vec::new();
        for element in kept.elements() {
            element.error().map_err(|error| ReadError::Storage(Box::new(error)))?;
            let topic = topics.iter().find(|topic| topic.name == element.topic());
            if let (Some(topic), rdkafka::Offset::Offset(next), Some(metadata)) =
                (topic, element.offset(), parse_metadata(element.metadata()))
            {
                let stream = topic.stream.clone();
                positions.push(InputPosition { stream, partition: task.partition, next, metadata });
            }
        }
        positions.sort_by(|one, other| one.stream.cmp(&other.stream));
        Ok(positions)
    }

    /// Commits for a task; returns the offsets of its outputs.
    ///
    /// # Errors
    /// When the claim does not count any more, or the log cannot accept.
    pub(super) async fn commit(
        &self,
        claim: &TaskClaim,
        commit: TaskCommit,
    ) -> Result<Vec<Offset>, CommitTaskError> {
        let task = &claim.task;
        if !self.claims.is_known(task) {
            let found = self.changelog(task).await;
            let changelog = found.map_err(|error| AppendError::Unavailable(with_causes(&error)))?;
            self.claims.take_over(task, self.fresh_claim(task, claim.epoch, changelog));
        }
        let owner = Owner::Task(claim.clone());
        let known = self.claims.get(claim).ok_or_else(|| owner.fenced())?;
        self.find_streams(&commit).await?;
        let changelog = known.changelog.as_ref();
        let contents = Contents::of_task(&self.topics, changelog, task.partition, commit)?;
        self.submit(owner, contents).await
    }

    /// Streams that others made are known only when they were looked for.
    async fn find_streams(&self, commit: &TaskCommit) -> Result<(), AppendError> {
        let outputs = commit.outputs.iter().map(|output| &output.stream);
        for stream in outputs.chain(commit.positions.iter().map(|position| &position.stream)) {
            if self.topics.get(stream).is_none() {
                self.topics.find(stream).await?;
            }
        }
        Ok(())
    }

    /// Commits the next offset that a group will read. It is refused where this process is a
    /// member of the group and has not the partition.
    ///
    /// # Errors
    /// When the stream is unknown, or the log cannot accept.
    pub(super) async fn commit_group_offset(
        &self,
        group: &str,
        stream: &StreamName,
        partition: Partition,
        next: Offset,
    ) -> Result<(), AppendError> {
        let topic = self.topics.get(stream).filter(|topic| topic.partition(partition).is_some());
        let topic = topic
            .ok_or_else(|| AppendError::UnknownStream { stream: stream.clone(), partition })?;
        let owner = Owner::Group { stage: group.to_owned(), partition };
        match self.submit(owner, Contents::of_group(&topic, partition, next)).await {
            Ok(_) => Ok(()),
            Err(CommitTaskError::Append(error)) => Err(error),
            Err(error) => Err(AppendError::Unavailable(error.to_string())),
        }
    }

    async fn submit(
        &self,
        owner: Owner,
        contents: Contents,
    ) -> Result<Vec<Offset>, CommitTaskError> {
        self.start()?;
        self.committer.ask(|answer| Message::Commit(Request { owner, contents, answer })).await?
    }

    /// Waits until all that was begun to be committed has ended.
    async fn barrier(&self) -> Result<(), AppendError> {
        self.start()?;
        self.committer.ask(Message::Barrier).await
    }

    fn start(&self) -> Result<(), AppendError> {
        if self.closing.load(Ordering::Acquire) {
            return Err(AppendError::Closed);
        }
        let Some((surroundings, receiver)) = self.not_started.lock().take() else { return Ok(()) };
        Committer::start(surroundings, receiver)
            .map_err(|error| AppendError::Unavailable(format!("no thread for commits: {error}")))
    }

    /// A task's state.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) async fn state(&self, task: &TaskName) -> Result<Vec<StateEntry>, ReadError> {
        let Some(changelog) = self.changelog(task).await? else { return Ok(Vec::new()) };
        let state = self.look(task, &changelog, true, Restored::state).await?;
        state.map_err(|error| ReadError::Storage(Box::new(error)))
    }

    /// How far a task has read its inputs.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) async fn positions(&self, task: &TaskName) -> Result<Vec<InputPosition>, ReadError> {
        match self.changelog(task).await? {
            Some(changelog) => self.look(task, &changelog, false, Restored::positions).await,
            None => self.offsets(task).await,
        }
    }

    async fn look<T: Send + 'static>(
        &self,
        task: &TaskName,
        changelog: &Changelog,
        with_state: bool,
        view: impl FnOnce(&Restored) -> T + Send + 'static,
    ) -> Result<T, ReadError> {
        let topic = changelog.topic.to_string();
        let subject = Subject { topic, partition: task.partition, with_state };
        let followed = Arc::clone(&self.followed);
        self.wait(move |readers| followed.look(readers, subject, view)).await
    }

    /// Does something on a thread where waiting is allowed.
    async fn wait<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Readers) -> Result<T, ReadChangelogError> + Send + 'static,
    ) -> Result<T, ReadError> {
        let permit = Arc::clone(&self.restoring).acquire_owned().await;
        let readers = Arc::clone(&self.readers);
        let done = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work(&readers)
        });
        let done = done.await.map_err(|error| ReadError::Storage(Box::new(error)))?;
        done.map_err(|error| ReadError::Storage(Box::new(error)))
    }

    /// Adds transactions to what the log does.
    pub(super) fn count(&self, statistics: &mut LogStatistics) {
        let Counts { transactions, outputs, microseconds, .. } = &*self.counts;
        let microseconds = microseconds.load(Ordering::Relaxed);
        statistics.syncs += transactions.load(Ordering::Relaxed);
        statistics.records += outputs.load(Ordering::Relaxed);
        statistics.sync_seconds += Duration::from_micros(microseconds).as_secs_f64();
        statistics.restored_records += self.restored.load(Ordering::Relaxed);
        statistics.standbys = self.standbys.statistics();
    }

    /// Finishes the commits that were begun and leaves the groups; later calls fail.
    pub(super) async fn close(&self) {
        let was_started = self.not_started.lock().take().is_none();
        if was_started && timeout(CLOSE_PATIENCE, self.committer.ask(Message::Close)).await.is_err()
        {
            tracing::warn!(
                message = "Commits that were begun did not end in time; they are given up."
            );
        }
        self.closing.store(true, Ordering::Release);
        self.standbys.close();
        self.groups.close().await;
        let readers = Arc::clone(&self.readers);
        drop(tokio::task::spawn_blocking(move || readers.close()).await);
    }
}
