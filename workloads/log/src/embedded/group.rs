//! A group: the requests that become durable together with one fsync.
//!
//! Requests are checked one by one when they are staged; one that fails leaves no trace in the
//! group. Nothing here is visible to readers.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use fjall::PersistMode;
use millrace_core::Offset;

use super::background::now_ms;
use super::chunk::ChunkWriter;
use super::keys;
use super::options::MAX_ENTRY_BYTES;
use super::options::MAX_STATE_KEY_BYTES;
use super::request::Answer;
use super::saved;
use super::saved::SavedPosition;
use super::store::Store;
use super::streams::PartitionState;
use super::streams::Progress;
use super::streams::Streams;
use crate::Append;
use crate::AppendError;
use crate::Entry;
use crate::TaskClaim;
use crate::TaskCommit;
use crate::TaskName;

/// What one partition gets in a group.
struct StagedPartition {
    state: Arc<PartitionState>,
    progress: Progress,
    chunks: Vec<(Offset, Bytes)>,
    open: Option<(Offset, ChunkWriter)>,
}

impl StagedPartition {
    fn new(state: Arc<PartitionState>) -> Self {
        let progress = state.progress();
        Self { state, progress, chunks: Vec::new(), open: None }
    }

    fn push(&mut self, entry: &Entry, now_ms: i64) -> Offset {
        if self.open.as_ref().is_some_and(|(_, chunk)| chunk.is_full()) {
            self.finish_chunk();
        }
        let offset = self.progress.count(entry, now_ms);
        self.open.get_or_insert_with(|| (offset, ChunkWriter::new())).1.push(entry);
        offset
    }

    fn finish_chunk(&mut self) {
        if let Some((first, chunk)) = self.open.take() {
            let before = self.progress.bytes;
            self.progress.bytes += chunk.entry_bytes();
            self.chunks.push((first, chunk.finish(before, self.progress.highest_ingest_time)));
        }
    }
}

/// Requests that become durable together.
#[derive(Default)]
pub(super) struct Group {
    partitions: BTreeMap<usize, StagedPartition>,
    meta: BTreeMap<Vec<u8>, Option<Bytes>>,
    state: BTreeMap<Vec<u8>, Option<Bytes>>,
    epochs: HashMap<TaskName, i64>,
    answers: Vec<Answer>,
    /// Records in it.
    pub(super) records: u64,
    /// About how many bytes it will write.
    pub(super) bytes: usize,
}

impl Group {
    pub(super) fn is_empty(&self) -> bool {
        self.answers.is_empty()
    }

    /// How many wait for it.
    pub(super) fn callers(&self) -> usize {
        self.answers.len()
    }

    /// The epoch of a task's last claim in this group.
    pub(super) fn epoch(&self, task: &TaskName) -> Option<i64> {
        self.epochs.get(task).copied()
    }

    /// Registers whom to answer once the group is durable.
    pub(super) fn answer(&mut self, answer: Answer) {
        self.answers.push(answer);
    }

    /// Stages entries, all or none.
    pub(super) fn append(
        &mut self,
        streams: &Streams,
        entries: &[Append],
    ) -> Result<Vec<Offset>, AppendError> {
        let partitions = check_entries(streams, entries)?;
        Ok(self.append_checked(&partitions, entries))
    }

    /// Stages a task's commit, all or none. The claim has been checked.
    pub(super) fn commit_task(
        &mut self,
        streams: &Streams,
        claim: &TaskClaim,
        commit: TaskCommit,
    ) -> Result<Vec<Offset>, AppendError> {
        let partitions = check_entries(streams, &commit.outputs)?;
        let mut state = Vec::with_capacity(commit.state.len());
        for change in commit.state {
            let key = keys::state(&claim.task, &change.store, &change.key);
            check_size("the key of a state", key.len(), MAX_STATE_KEY_BYTES)?;
            let length = change.value.as_ref().map_or(0, Bytes::len);
            check_size("the value of a state", length, MAX_ENTRY_BYTES)?;
            state.push((key, change.value));
        }
        for (key, value) in state {
            self.bytes += key.len() + value.as_ref().map_or(0, Bytes::len) + 32;
            self.state.insert(key, value);
        }
        for position in commit.positions {
            let key = keys::position(&claim.task, &position.stream, position.partition);
            self.put(key, saved::encode(&SavedPosition::from(position)));
        }
        Ok(self.append_checked(&partitions, &commit.outputs))
    }

    /// Stages a piece of bookkeeping; of several for one key the last counts.
    pub(super) fn put(&mut self, key: Vec<u8>, value: Bytes) {
        self.bytes += key.len() + value.len() + 32;
        self.meta.insert(key, Some(value));
    }

    /// Stages the removal of a piece of bookkeeping.
    pub(super) fn remove(&mut self, key: Vec<u8>) {
        self.bytes += key.len() + 32;
        self.meta.insert(key, None);
    }

    /// Stages the removal of a piece of a task's state.
    pub(super) fn remove_state(&mut self, key: Vec<u8>) {
        self.bytes += key.len() + 32;
        self.state.insert(key, None);
    }

    /// Stages a task's new epoch.
    pub(super) fn claim(&mut self, task: TaskName, epoch: i64) {
        self.put(keys::epoch(&task), saved::encode(&epoch));
        self.epochs.insert(task, epoch);
    }

    /// Stages a later start of a partition.
    pub(super) fn move_start(&mut self, partition: &Arc<PartitionState>, start: Offset) {
        let staged = self.staged(partition);
        let end = staged.progress.end;
        staged.progress.start = staged.progress.start.max(start.min(end));
    }

    /// Writes the group and waits until it is durable.
    pub(super) fn write(&mut self, store: &Store, number: u64) -> fjall::Result<()> {
        let mut batch = store.db.batch().durability(Some(PersistMode::SyncData));
        batch.insert(&store.meta, keys::GROUP, saved::encode(&number));
        for (slot, staged) in &mut self.partitions {
            staged.finish_chunk();
            // What was staged for a stream that is gone meanwhile goes with it.
            let Some(keyspace) = store.partition_to_write(*slot)? else { continue };
            for (first, chunk) in staged.chunks.drain(..) {
                batch.insert(&keyspace, keys::chunk(first), chunk);
            }
            let key = keys::partition(&staged.state.stream, staged.state.partition);
            batch.insert(&store.meta, key, saved::encode(&staged.progress));
        }
        for (keyspace, changes) in [(&store.meta, &mut self.meta), (&store.state, &mut self.state)]
        {
            for (key, value) in std::mem::take(changes) {
                match value {
                    Some(value) => batch.insert(keyspace, key, value),
                    None => batch.remove(keyspace, key),
                }
            }
        }
        batch.commit()
    }

    /// Shows the durable group to readers and answers the callers. Returns the epochs that it
    /// raised.
    pub(super) fn publish(self) -> HashMap<TaskName, i64> {
        for staged in self.partitions.values() {
            staged.state.publish(staged.progress);
        }
        for answer in self.answers {
            answer.succeed();
        }
        self.epochs
    }

    /// Tells all callers that nothing was written.
    pub(super) fn fail(self, error: &AppendError) {
        for answer in self.answers {
            answer.fail(error);
        }
    }

    /// The slots of the partitions it writes to.
    pub(super) fn slots(&self) -> impl Iterator<Item = usize> {
        self.partitions.keys().copied()
    }

    fn append_checked(
        &mut self,
        partitions: &[Arc<PartitionState>],
        entries: &[Append],
    ) -> Vec<Offset> {
        let mut offsets = Vec::with_capacity(entries.len());
        let now_ms = now_ms();
        for (partition, append) in partitions.iter().zip(entries) {
            if let Entry::Record(_) = append.entry {
                self.records += 1;
            }
            self.bytes += entry_bytes(&append.entry);
            offsets.push(self.staged(partition).push(&append.entry, now_ms));
        }
        offsets
    }

    fn staged(&mut self, partition: &Arc<PartitionState>) -> &mut StagedPartition {
        self.partitions
            .entry(partition.slot)
            .or_insert_with(|| StagedPartition::new(partition.clone()))
    }
}

/// Finds the partition of each entry.
fn check_entries(
    streams: &Streams,
    entries: &[Append],
) -> Result<Vec<Arc<PartitionState>>, AppendError> {
    let mut partitions: Vec<Arc<PartitionState>> = Vec::with_capacity(entries.len());
    for append in entries {
        check_size("an entry", entry_bytes(&append.entry), MAX_ENTRY_BYTES)?;
        // Neighbours mostly go to the same partition.
        let found = match partitions.last() {
            Some(last) if last.partition == append.partition && last.stream == append.stream => {
                last.clone()
            }
            _ => streams.partition(&append.stream, append.partition).ok_or_else(|| {
                AppendError::UnknownStream {
                    stream: append.stream.clone(),
                    partition: append.partition,
                }
            })?,
        };
        partitions.push(found);
    }
    Ok(partitions)
}

fn check_size(what: &'static str, bytes: usize, limit: usize) -> Result<(), AppendError> {
    if bytes > limit { Err(AppendError::TooLarge { what, bytes, limit }) } else { Ok(()) }
}

/// About how many bytes an entry takes.
pub(super) fn entry_bytes(entry: &Entry) -> usize {
    match entry {
        Entry::Record(record) => {
            let headers: usize = record.headers.0.iter().map(|(n, v)| n.len() + v.len() + 8).sum();
            64 + record.key.len() + record.value.len() + headers
        }
        Entry::Mark(_) => 32,
    }
}
