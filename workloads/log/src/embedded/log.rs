//! The log as its callers see it: requests go to the writer, reads go to the database.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::Sender;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use async_trait::async_trait;
use millrace_core::Offset;
use millrace_core::Partition;
use millrace_core::StreamName;
use tokio::sync::Semaphore;
use tokio::sync::oneshot;
use tokio::sync::watch;

use super::background;
use super::backup::LogCopy;
use super::group::entry_bytes;
use super::keys;
use super::open;
use super::options::EmbeddedLogOptions;
use super::read;
use super::request::Queued;
use super::request::Request;
use super::retention;
use super::saved;
use super::saved::SavedPosition;
use super::shared::Shared;
use super::store::Store;
use crate::Append;
use crate::AppendError;
use crate::ClaimTaskError;
use crate::CommitTaskError;
use crate::EnsureStreamsError;
use crate::GroupMember;
use crate::InputPosition;
use crate::JoinGroupError;
use crate::Log;
use crate::LogStatistics;
use crate::OpenLogError;
use crate::PartitionInfo;
use crate::ReadBatch;
use crate::ReadError;
use crate::ReadLimit;
use crate::RetentionError;
use crate::StageConfig;
use crate::StateEntry;
use crate::StreamConfig;
use crate::TaskClaim;
use crate::TaskCommit;
use crate::TaskName;
use crate::TaskSnapshot;
use crate::group;

/// Most requests in the writer's queue; more callers wait outside of it.
pub(super) const QUEUE_REQUESTS: usize = 4096;

/// Reads that begin further than this many entries before the end may have to wait for the disk
/// and so run where blocking is allowed.
const NEAR_END: i64 = 4096;

/// The log in one folder of one process.
pub struct EmbeddedLog {
    shared: Arc<Shared>,
    requests: SyncSender<Queued>,
    /// Shares of the queue: one of [`QUEUE_REQUESTS`] is one of the same number of parts of its bytes.
    room: Arc<Semaphore>,
    share_bytes: usize,
    /// Ends the background work when it goes.
    _background: Sender<()>,
}

impl EmbeddedLog {
    /// Opens the log in a folder, or makes a new one.
    ///
    /// # Errors
    /// When another process has it open, the folder cannot be written, was written by a later
    /// program, or what it holds is damaged.
    pub fn open(options: EmbeddedLogOptions) -> Result<Arc<Self>, OpenLogError> {
        open::open(options)
    }

    pub(super) fn new(
        shared: Arc<Shared>,
        requests: SyncSender<Queued>,
        background: Sender<()>,
    ) -> Self {
        let share_bytes = (shared.options.queue_bytes / QUEUE_REQUESTS).max(1);
        let room = Arc::new(Semaphore::new(QUEUE_REQUESTS));
        Self { shared, requests, room, share_bytes, _background: background }
    }

    /// Removes from each partition what its retention no longer keeps, as of a time in
    /// milliseconds since 1970. The log does so itself every minute. Retention works on chunks:
    /// up to 64 KiB more than the limit may stay, and what shares a chunk with a younger entry.
    ///
    /// # Errors
    /// When the log cannot be read or written now; what was removed before that stays removed.
    pub async fn enforce_retention(&self, now_ms: i64) -> Result<(), RetentionError> {
        let (shared, requests) = (self.shared.clone(), self.requests.clone());
        let work = move || retention::enforce(&shared, &requests, now_ms);
        match tokio::task::spawn_blocking(work).await {
            Ok(result) => result,
            Err(error) => Err(ReadError::Storage(Box::new(error)).into()),
        }
    }

    /// Takes a copy of everything that was acknowledged until now, while the log goes on.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn copy(&self) -> Result<LogCopy, ReadError> {
        LogCopy::take(Arc::clone(&self.shared)).await
    }

    /// Like [`Self::enforce_retention`], on a thread that may block.
    pub(super) fn enforce_retention_blocking(&self, now_ms: i64) -> Result<(), RetentionError> {
        retention::enforce(&self.shared, &self.requests, now_ms)
    }

    /// Measures what the log occupies.
    pub(super) fn measure(&self) {
        let bytes = background::disk_bytes(&self.shared.options.folder);
        self.shared.counters.disk_bytes.store(bytes, Relaxed);
    }

    /// Hands a request to the writer once there is room for it, and waits for the answer.
    async fn request<T>(
        &self,
        bytes: usize,
        make: impl FnOnce(oneshot::Sender<T>) -> Request + Send,
    ) -> Result<T, AppendError> {
        let shares = (bytes / self.share_bytes).clamp(1, QUEUE_REQUESTS);
        let shares = u32::try_from(shares).unwrap_or(u32::MAX);
        let permit = self.room.clone().acquire_many_owned(shares).await;
        let (reply, answer) = oneshot::channel();
        let queued = Queued { request: make(reply), permit: permit.ok() };
        // Never waits: the queue has a place for every share.
        self.requests.send(queued).map_err(|_| AppendError::Closed)?;
        answer.await.map_err(|_| AppendError::Closed)
    }
}

#[async_trait]
impl Log for EmbeddedLog {
    async fn ensure_streams(&self, streams: &[StreamConfig]) -> Result<(), EnsureStreamsError> {
        let Some(first) = streams.first() else { return Ok(()) };
        let configs = streams.to_vec();
        self.request(0, |reply| Request::EnsureStreams { streams: configs, reply })
            .await
            .map_err(|source| EnsureStreamsError::Create { stream: first.name.clone(), source })?
    }

    async fn append(&self, entries: Vec<Append>) -> Result<Vec<Offset>, AppendError> {
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        let bytes = entries.iter().map(|append| entry_bytes(&append.entry)).sum();
        self.request(bytes, |reply| Request::Append { entries, reply }).await?
    }

    async fn read(
        &self,
        stream: &StreamName,
        partition: Partition,
        from: Offset,
        limit: ReadLimit,
    ) -> Result<ReadBatch, ReadError> {
        let partition = self.shared.streams.find(stream, partition)?;
        loop {
            let info = partition.info();
            let from = from.max(info.start);
            if from >= info.end {
                return Ok(ReadBatch { entries: Vec::new(), next: from });
            }
            let store = self.shared.store().await?;
            let found = if info.end - from <= NEAR_END {
                read::read(&store, &partition, from, info.end, limit)
            } else {
                let partition = partition.clone();
                blocking(move || read::read(&store, &partition, from, info.end, limit)).await
            };
            match found {
                // Retention has been here since: what is missing need not be there any more.
                Err(ReadError::Corrupt { .. }) if partition.info().start > from => {}
                found => return found,
            }
        }
    }

    fn follow(
        &self,
        stream: &StreamName,
        partition: Partition,
    ) -> Result<watch::Receiver<Offset>, ReadError> {
        Ok(self.shared.streams.find(stream, partition)?.follow())
    }

    fn partition_info(
        &self,
        stream: &StreamName,
        partition: Partition,
    ) -> Result<PartitionInfo, ReadError> {
        Ok(self.shared.streams.find(stream, partition)?.info())
    }

    fn end_age(&self, stream: &StreamName, partition: Partition) -> Result<Duration, ReadError> {
        self.shared.streams.find(stream, partition).map(|_| Duration::ZERO)
    }

    async fn group_offset(
        &self,
        group: &str,
        stream: &StreamName,
        partition: Partition,
    ) -> Result<Option<Offset>, ReadError> {
        self.shared.streams.find(stream, partition)?;
        let store = self.shared.store().await?;
        let saved = store
            .meta
            .get(keys::group_offset(group, stream, partition))
            .map_err(|error| ReadError::Storage(Box::new(error)))?;
        saved.map(|saved| decode(&saved)).transpose()
    }

    async fn commit_group_offset(
        &self,
        group: &str,
        stream: &StreamName,
        partition: Partition,
        next: Offset,
    ) -> Result<(), AppendError> {
        if self.shared.streams.partition(stream, partition).is_none() {
            return Err(AppendError::UnknownStream { stream: stream.clone(), partition });
        }
        let key = keys::group_offset(group, stream, partition);
        self.request(0, |reply| Request::CommitGroupOffset { key, next, reply }).await?
    }

    /// Every task may keep state.
    async fn ensure_tasks(&self, _stages: &[StageConfig]) -> Result<(), EnsureStreamsError> {
        Ok(())
    }

    /// One process has the log, and so every partition.
    async fn join_group(
        &self,
        group: &str,
        streams: &[StreamName],
    ) -> Result<GroupMember, JoinGroupError> {
        let counts = streams.iter().map(|stream| {
            let known = (0..).take_while(|p| self.shared.streams.partition(stream, *p).is_some());
            known.last().map(|last| (stream, last + 1)).ok_or_else(|| {
                JoinGroupError::UnknownStream { group: group.to_owned(), stream: stream.clone() }
            })
        });
        let counts = counts.collect::<Result<Vec<_>, _>>()?;
        group::joint_partitions(group, &counts).map(GroupMember::alone)
    }

    async fn claim_task(
        &self,
        task: &TaskName,
    ) -> Result<(TaskClaim, TaskSnapshot), ClaimTaskError> {
        let claimed = task.clone();
        let epoch = self
            .request(0, |reply| Request::ClaimTask { task: claimed, reply })
            .await
            .and_then(|claimed| claimed)
            .map_err(|source| ClaimTaskError::Claim { task: task.to_string(), source })?;
        let restore = |source| ClaimTaskError::Restore { task: task.to_string(), source };
        let store = self.shared.store().await.map_err(restore)?;
        let claim = TaskClaim { task: task.clone(), epoch };
        let task = task.clone();
        let snapshot = blocking(move || snapshot(&store, &task)).await.map_err(restore)?;
        Ok((claim, snapshot))
    }

    async fn commit_task(
        &self,
        claim: &TaskClaim,
        commit: TaskCommit,
    ) -> Result<Vec<Offset>, CommitTaskError> {
        let outputs: usize = commit.outputs.iter().map(|append| entry_bytes(&append.entry)).sum();
        let value = |value: &Option<_>| value.as_ref().map_or(0, bytes::Bytes::len);
        let state: usize = commit.state.iter().map(|s| s.key.len() + value(&s.value)).sum();
        let claim = claim.clone();
        self.request(outputs + state, |reply| Request::CommitTask { claim, commit, reply }).await?
    }

    async fn task_state(&self, task: &TaskName) -> Result<Vec<StateEntry>, ReadError> {
        let (store, task) = (self.shared.store().await?, task.clone());
        blocking(move || state(&store, &task)).await
    }

    async fn task_positions(&self, task: &TaskName) -> Result<Vec<InputPosition>, ReadError> {
        let store = self.shared.store().await?;
        positions(&store, task)
    }

    async fn remove(&self, streams: &[StreamName], tasks: &[TaskName]) -> Result<(), AppendError> {
        let (streams, tasks) = (streams.to_vec(), tasks.to_vec());
        self.request(0, |reply| Request::Remove { streams, tasks, reply }).await?
    }

    async fn check_writable(&self) -> Result<(), AppendError> {
        self.shared.check_writable()
    }

    fn statistics(&self) -> LogStatistics {
        let counters = &self.shared.counters;
        LogStatistics {
            disk_bytes: counters.disk_bytes.load(Relaxed),
            records: counters.records.load(Relaxed),
            syncs: counters.syncs.load(Relaxed),
            sync_seconds: std::time::Duration::from_micros(counters.sync_micros.load(Relaxed))
                .as_secs_f64(),
            ..LogStatistics::default()
        }
    }

    async fn close(&self) {
        // Closed already if it cannot be asked any more.
        let _ = self.request(0, |reply| Request::Close { reply }).await;
    }
}

/// Runs a read that may wait for the disk.
async fn blocking<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, ReadError> + Send + 'static,
) -> Result<T, ReadError> {
    match tokio::task::spawn_blocking(read).await {
        Ok(result) => result,
        Err(error) => Err(ReadError::Storage(Box::new(error))),
    }
}

/// What a task last committed.
fn snapshot(store: &Store, task: &TaskName) -> Result<TaskSnapshot, ReadError> {
    Ok(TaskSnapshot { positions: positions(store, task)?, state: state(store, task)? })
}

fn state(store: &Store, task: &TaskName) -> Result<Vec<StateEntry>, ReadError> {
    let failed = |error| ReadError::Storage(Box::new(error));
    let mut state = Vec::new();
    let prefix = keys::states(task);
    for item in store.state.prefix(&prefix) {
        let (key, value) = item.into_inner().map_err(failed)?;
        let (store, key) = keys::split_store(&key[prefix.len()..])
            .ok_or_else(|| ReadError::Storage("the key of a state is damaged".into()))?;
        let key = bytes::Bytes::copy_from_slice(key);
        state.push(StateEntry { store, key, value: value.into() });
    }
    Ok(state)
}

fn positions(store: &Store, task: &TaskName) -> Result<Vec<InputPosition>, ReadError> {
    let failed = |error| ReadError::Storage(Box::new(error));
    let saved = store.meta.prefix(keys::positions(task));
    saved
        .map(|item| {
            let saved: SavedPosition = decode(&item.value().map_err(failed)?)?;
            Ok(InputPosition::from(saved))
        })
        .collect()
}

fn decode<T: serde::de::DeserializeOwned>(saved: &[u8]) -> Result<T, ReadError> {
    saved::decode(saved).map_err(|damage| ReadError::Storage(damage.into()))
}
