//! The writer: one thread that makes everything durable, in groups of whatever waits.
//!
//! While a group is being synced, the next one gathers in the queue; so groups grow with the
//! load and a lone caller waits for one fsync only. Under load, groups gather a little longer. A failed write takes the database through
//! [`Recovery`]; until it accepts again, callers are told why it does not.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;
use std::time::Instant;

use fjall::PersistMode;
use millrace_core::StreamName;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::oneshot;
use tracing::info;
use tracing::warn;

use super::acknowledged::AcknowledgedFile;
use super::group::Group;
use super::keys;
use super::recovery;
use super::recovery::Recovery;
use super::removal;
use super::request::Answer;
use super::request::Queued;
use super::request::Request;
use super::saved;
use super::shared::Shared;
use super::shared::StoreState;
use super::store::Store;
use super::streams::Progress;
use crate::AppendError;
use crate::CommitTaskError;
use crate::EnsureStreamsError;
use crate::StreamConfig;
use crate::TaskName;

/// A group takes no further request beyond this many bytes: it bounds memory and latency.
const GROUP_BYTES: usize = 8 << 20;
/// After a group of so many callers, the next one waits a little for more: fewer and larger groups
/// leave more of the processor to the callers. Below that, nobody ever waits for others.
const CROWD: usize = 4;
/// How long it waits at once, and how often at most; it goes on at once when nobody has come.
const PAUSE: Duration = Duration::from_micros(100);
const PAUSES: u32 = 6;
/// Memtables waiting to be sorted into tables, per keyspace, beyond which the writer waits. Below
/// fjall's own limit, at which it would wait without noticing that sorting has failed.
const SEALED_MEMTABLES: usize = 3;
/// How often the total of all memtables is looked at.
const MEMTABLE_CHECK_BYTES: u64 = 1 << 20;

/// The state of the writer's thread.
pub(super) struct Writer {
    shared: Arc<Shared>,
    store: Option<Arc<Store>>,
    acknowledged: AcknowledgedFile,
    /// Number of the last durable group.
    number: u64,
    /// Epochs of the tasks claimed since the start.
    epochs: HashMap<TaskName, i64>,
    /// Set while the log does not accept.
    recovery: Option<Recovery>,
    /// The last time it did not.
    recovered: Option<Recovery>,
    unchecked_bytes: u64,
    /// Whether the last group was of a [`CROWD`].
    crowded: bool,
}

impl Writer {
    pub(super) fn new(
        shared: Arc<Shared>,
        store: Arc<Store>,
        acknowledged: AcknowledgedFile,
        number: u64,
    ) -> Self {
        Self {
            shared,
            store: Some(store),
            acknowledged,
            number,
            epochs: HashMap::new(),
            recovery: None,
            recovered: None,
            unchecked_bytes: 0,
            crowded: false,
        }
    }

    /// Serves requests until the log is closed or nobody can send any.
    pub(super) fn run(mut self, requests: &Receiver<Queued>) {
        let mut closing = None;
        while closing.is_none() {
            let first = match self.next(requests) {
                Ok(queued) => queued,
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            closing = self.serve(first, requests);
        }
        self.shared.set_store(StoreState::Closed);
        if let Some(store) = self.store.take() {
            recovery::close_store(store);
        }
        self.shared.lock.lock().take();
        for queued in requests.try_iter() {
            queued.request.refuse(&AppendError::Closed);
        }
        if let Some(reply) = closing {
            let _ = reply.send(());
        }
    }

    /// Waits for a request; while the log does not accept, tries to recover in between.
    fn next(&mut self, requests: &Receiver<Queued>) -> Result<Queued, RecvTimeoutError> {
        let Some(recovery) = &self.recovery else {
            return requests.recv().map_err(|_| RecvTimeoutError::Disconnected);
        };
        let wait = recovery.retry_at().saturating_duration_since(Instant::now());
        if wait.is_zero() {
            self.recover();
            return Err(RecvTimeoutError::Timeout);
        }
        requests.recv_timeout(wait)
    }

    /// Gathers a group that begins with a request and writes it. Returns whom to tell when the
    /// log is closed, if that was asked for.
    fn serve(&mut self, first: Queued, requests: &Receiver<Queued>) -> Option<oneshot::Sender<()>> {
        let mut group = Group::default();
        // Given back at once with the answers, and not one by one.
        let mut permit = None;
        let mut pauses = if self.crowded { PAUSES } else { 0 };
        let mut next = Some(first);
        while let Some(queued) = next {
            merge(&mut permit, queued.permit);
            match queued.request {
                Request::Close { reply } => {
                    self.write(group);
                    return Some(reply);
                }
                Request::EnsureStreams { streams, reply } => {
                    self.write(std::mem::take(&mut group));
                    drop(reply.send(self.ensure_streams(&streams)));
                }
                Request::Remove { streams, tasks, reply } => {
                    self.write(std::mem::take(&mut group));
                    drop(reply.send(self.remove(&streams, &tasks)));
                }
                request => self.stage(&mut group, request),
            }
            next = if group.bytes < GROUP_BYTES { waiting(requests, &mut pauses) } else { None };
        }
        self.write(group);
        None
    }

    /// Checks a request and stages it, or answers it at once if it fails.
    fn stage(&mut self, group: &mut Group, request: Request) {
        if let Some(recovery) = &self.recovery {
            request.refuse(&recovery.error());
            return;
        }
        let streams = &self.shared.streams;
        match request {
            Request::Append { entries, reply } => match group.append(streams, &entries) {
                Ok(offsets) => group.answer(Answer::Appended(reply, offsets)),
                Err(error) => drop(reply.send(Err(error))),
            },
            Request::CommitTask { claim, commit, reply } => {
                let result = match self.epoch(group, &claim.task) {
                    Ok(epoch) if epoch == claim.epoch => group
                        .commit_task(&self.shared.streams, &claim, commit)
                        .map_err(CommitTaskError::from),
                    Ok(_) => Err(CommitTaskError::Fenced { task: claim.task.to_string() }),
                    Err(error) => Err(error.into()),
                };
                match result {
                    Ok(offsets) => group.answer(Answer::Committed(reply, offsets)),
                    Err(error) => drop(reply.send(Err(error))),
                }
            }
            Request::ClaimTask { task, reply } => match self.epoch(group, &task) {
                Ok(epoch) => {
                    group.claim(task, epoch + 1);
                    group.answer(Answer::Claimed(reply, epoch + 1));
                }
                Err(error) => drop(reply.send(Err(error))),
            },
            Request::CommitGroupOffset { key, next, reply } => {
                group.put(key, saved::encode(&next));
                group.answer(Answer::Done(reply));
            }
            Request::MoveStart { partition, start, reply } => {
                group.move_start(&partition, start);
                group.answer(Answer::Done(reply));
            }
            other => other.refuse(&AppendError::Closed),
        }
    }

    /// The epoch of a task's last claim; 0 if it was never claimed.
    fn epoch(&mut self, group: &Group, task: &TaskName) -> Result<i64, AppendError> {
        if let Some(epoch) = group.epoch(task).or_else(|| self.epochs.get(task).copied()) {
            return Ok(epoch);
        }
        let Some(store) = &self.store else {
            return Err(AppendError::Unavailable("the log is being reopened".to_owned()));
        };
        let unavailable = |reason: String| AppendError::Unavailable(reason);
        let epoch = match store.meta.get(keys::epoch(task)) {
            Ok(Some(saved)) => {
                saved::decode(&saved).map_err(|damage| unavailable(damage.to_owned()))?
            }
            Ok(None) => 0,
            Err(error) => return Err(unavailable(error.to_string())),
        };
        self.epochs.insert(task.clone(), epoch);
        Ok(epoch)
    }

    /// Makes a group durable and answers its callers.
    fn write(&mut self, mut group: Group) {
        if group.is_empty() {
            return;
        }
        self.crowded = group.callers() >= CROWD;
        let began = Instant::now();
        match self.try_write(&mut group) {
            Ok(()) => {
                self.shared.counters.synced(group.records, began.elapsed());
                self.unchecked_bytes += group.bytes as u64;
                self.epochs.extend(group.publish());
                self.sort_memtables();
            }
            Err(error) => {
                let error = self.fail(&error);
                group.fail(&error);
            }
        }
    }

    fn try_write(&mut self, group: &mut Group) -> fjall::Result<()> {
        let store = self.store.clone().ok_or(fjall::Error::Poisoned)?;
        wait_for_sorting(&store, group)?;
        group.write(&store, self.number + 1)?;
        self.number += 1;
        self.acknowledged.write(self.number);
        Ok(())
    }

    /// Creates what is missing of the streams and takes over retentions.
    fn ensure_streams(&mut self, configs: &[StreamConfig]) -> Result<(), EnsureStreamsError> {
        for config in configs {
            if let Some(stream) = self.shared.streams.get(&config.name) {
                let existing = i32::try_from(stream.partitions.len()).unwrap_or(i32::MAX);
                if existing != config.partitions {
                    return Err(EnsureStreamsError::PartitionCount {
                        stream: config.name.clone(),
                        existing,
                        wanted: config.partitions,
                    });
                }
            }
        }
        for config in configs {
            self.ensure_stream(config).map_err(|source| EnsureStreamsError::Create {
                stream: config.name.clone(),
                source,
            })?;
        }
        Ok(())
    }

    fn ensure_stream(&mut self, config: &StreamConfig) -> Result<(), AppendError> {
        let existing = self.shared.streams.get(&config.name);
        if existing.as_ref().is_some_and(|stream| *stream.retention.lock() == config.retention) {
            return Ok(());
        }
        if let Some(recovery) = &self.recovery {
            return Err(recovery.error());
        }
        let mut group = Group::default();
        group.put(keys::stream(&config.name), saved::encode(&saved::SavedStream::from(config)));
        let slot = self.store.as_ref().map_or(0, |store| store.next_slot());
        let written = match (&existing, &self.store) {
            (None, Some(store)) => store.add_partitions(slot, &config.name, config.partitions),
            _ => Ok(()),
        }
        .and_then(|()| self.try_write(&mut group));
        if let Err(error) = written {
            return Err(self.fail(&error));
        }
        if let Some(stream) = existing {
            *stream.retention.lock() = config.retention;
        } else {
            let progress = (0..config.partitions).map(|_| Progress::EMPTY);
            self.shared.streams.add(config, slot, progress);
        }
        Ok(())
    }

    /// Removes streams and tasks. A stream is forgotten before its entries go, so that what an
    /// interruption leaves of it is found at the next start.
    fn remove(&mut self, streams: &[StreamName], tasks: &[TaskName]) -> Result<(), AppendError> {
        if let Some(recovery) = &self.recovery {
            return Err(recovery.error());
        }
        let Some(store) = self.store.clone() else { return Err(AppendError::Closed) };
        for task in tasks {
            let epoch = self.epoch(&Group::default(), task)?;
            let removed = removal::forget_task(&store, task, epoch + 1);
            self.write_all(removed)?;
            self.epochs.insert(task.clone(), epoch + 1);
        }
        for stream in streams {
            let removed = removal::forget_stream(&store, stream).map(|group| vec![group]);
            let known = self.shared.streams.get(stream);
            self.write_all(removed)?;
            self.shared.streams.remove(stream);
            let partitions = known.map_or(0, |stream| stream.partitions.len());
            let partitions = i32::try_from(partitions).unwrap_or(i32::MAX);
            if let Err(error) = store.remove_partitions(stream, partitions) {
                drop(store);
                return Err(self.fail(&error));
            }
        }
        Ok(())
    }

    fn write_all(&mut self, groups: fjall::Result<Vec<Group>>) -> Result<(), AppendError> {
        let written = groups.and_then(|groups| {
            groups.into_iter().try_for_each(|mut group| self.try_write(&mut group))
        });
        written.map_err(|error| AppendError::Unavailable(reason(&error)))
    }

    /// Notes that a write failed and reopens the database as it was before it.
    fn fail(&mut self, error: &fjall::Error) -> AppendError {
        warn!(message = "Failed to write the log; it does not accept until it can.", %error);
        let recovery = Recovery::begin(reason(error), self.recovered.take());
        let answer = recovery.error();
        self.shared.set_writable(Err(answer.clone()));
        self.recovery = Some(recovery);
        self.reopen();
        answer
    }

    /// Closes the database, cuts off what was not acknowledged, and opens it anew, so that reads
    /// go on. What fails here is tried again later.
    fn reopen(&mut self) {
        self.shared.set_store(StoreState::Reopening);
        if let Some(store) = self.store.take() {
            recovery::close_store(store);
        }
        match recovery::reopen_store(&self.shared, self.number) {
            Ok(store) => {
                let store = Arc::new(store);
                self.store = Some(store.clone());
                self.shared.set_store(StoreState::Open(store));
            }
            Err(error) => {
                warn!(message = "Failed to reopen the log.", %error);
                self.shared.set_store(StoreState::Failed(error.to_string()));
            }
        }
    }

    /// Looks whether the log can accept again.
    fn recover(&mut self) {
        let poisoned = |store: &Arc<Store>| store.db.persist(PersistMode::Buffer).is_err();
        if self.store.as_ref().is_none_or(poisoned) {
            self.reopen();
        }
        let result = match &self.store {
            Some(_) => recovery::probe(&self.shared.options.folder),
            None => Err("the log cannot be reopened".to_owned()),
        };
        let Some(recovery) = self.recovery.take() else { return };
        match result {
            Ok(()) => {
                info!(message = "The log accepts again.", after = ?recovery.lasted());
                self.recovered = Some(recovery);
                self.shared.set_writable(Ok(()));
            }
            Err(reason) => {
                let recovery = recovery.again(reason);
                self.shared.set_writable(Err(recovery.error()));
                self.recovery = Some(recovery);
            }
        }
    }

    /// Has the largest memtable sorted into a table when all together hold too much.
    fn sort_memtables(&mut self) {
        if self.unchecked_bytes < MEMTABLE_CHECK_BYTES.min(self.shared.options.write_buffer_bytes) {
            return;
        }
        self.unchecked_bytes = 0;
        if let Some(store) = &self.store {
            store.sort_memtables(self.shared.options.write_buffer_bytes);
        }
    }
}

/// A request that waits; if none does and there is a pause left, one that comes during the pause.
fn waiting(requests: &Receiver<Queued>, pauses: &mut u32) -> Option<Queued> {
    if let Ok(queued) = requests.try_recv() {
        return Some(queued);
    }
    *pauses = pauses.checked_sub(1)?;
    std::thread::sleep(PAUSE);
    requests.try_recv().ok()
}

/// Adds a request's share of the queue to that of the requests before it.
fn merge(held: &mut Option<OwnedSemaphorePermit>, more: Option<OwnedSemaphorePermit>) {
    match (held, more) {
        (Some(held), Some(more)) => held.merge(more),
        (held @ None, more) => *held = more,
        (Some(_), None) => {}
    }
}

/// Waits while the group's partitions have too many memtables that wait to become tables.
fn wait_for_sorting(store: &Store, group: &Group) -> fjall::Result<()> {
    let written = group.slots().filter_map(|slot| store.partition(slot));
    for keyspace in written.chain([store.meta.clone(), store.state.clone()]) {
        while keyspace.sealed_memtable_count() >= SEALED_MEMTABLES {
            // Fails once the background work has failed.
            store.db.persist(PersistMode::Buffer)?;
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    Ok(())
}

/// The operating system's reason where there is one.
fn reason(error: &fjall::Error) -> String {
    match error {
        fjall::Error::Io(source) => source.to_string(),
        fjall::Error::Poisoned => "a write in the background failed".to_owned(),
        other => other.to_string(),
    }
}
