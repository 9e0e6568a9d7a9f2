//! Removes what is too old or too much.
//!
//! The start of a partition moves to the beginning of a chunk, durably; only then do tables that
//! hold nothing but what is below go. What shares a table with younger entries goes with them.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use fjall::AbstractTree;
use millrace_core::Offset;
use millrace_plan::model::Retention;
use tokio::sync::oneshot;

use super::chunk;
use super::chunk::ChunkHeader;
use super::keys;
use super::read::damaged;
use super::read::removed;
use super::request::Queued;
use super::request::Request;
use super::shared::Shared;
use super::store::Store;
use super::streams::PartitionState;
use crate::AppendError;
use crate::ReadError;
use crate::RetentionError;

/// Applies the retention of every stream; runs on a thread that may block.
pub(super) fn enforce(
    shared: &Shared,
    requests: &SyncSender<Queued>,
    now_ms: i64,
) -> Result<(), RetentionError> {
    let storage = |error: fjall::Error| ReadError::Storage(Box::new(error));
    if shared.copies.load(Relaxed) > 0 {
        return Ok(());
    }
    let mut deleted = false;
    for stream in shared.streams.all() {
        let retention = *stream.retention.lock();
        for partition in &stream.partitions {
            let store = shared.open_store().ok_or(AppendError::Closed)?;
            let start = find_start(&store, partition, retention, now_ms)?;
            if start > partition.progress().start {
                drop(store);
                move_start(requests, partition, start)?;
            }
            // Also without a new start: what lay in memory before may have become tables.
            let store = shared.open_store().ok_or(AppendError::Closed)?;
            deleted |= delete_tables(&store, partition).map_err(storage)?;
        }
    }
    // fjall removes the files of deleted tables when it starts a new memtable in any keyspace,
    // provided something was written since. So they go now, with the next retention, or when
    // enough is written, whichever comes first.
    if shared.tables_deleted.swap(deleted, Relaxed) || deleted {
        let store = shared.open_store().ok_or(AppendError::Closed)?;
        store.meta.rotate_memtable().map_err(storage)?;
    }
    Ok(())
}

fn move_start(
    requests: &SyncSender<Queued>,
    partition: &Arc<PartitionState>,
    start: Offset,
) -> Result<(), AppendError> {
    let (reply, answer) = oneshot::channel();
    let request = Request::MoveStart { partition: partition.clone(), start, reply };
    // The permit is what keeps callers from filling the queue; this caller may wait for a place.
    requests.send(Queued { request, permit: None }).map_err(|_| AppendError::Closed)?;
    answer.blocking_recv().map_err(|_| AppendError::Closed)?
}

/// Where a partition has to start. Looks at a number of chunks that grows with the logarithm of
/// the partition's length.
fn find_start(
    store: &Store,
    partition: &PartitionState,
    retention: Retention,
    now_ms: i64,
) -> Result<Offset, ReadError> {
    let progress = partition.progress();
    let oldest = retention.time.map(|time| now_ms.saturating_sub(millis(time)));
    // The start may pass a chunk whose records, and all before it, are too old, or behind which
    // there is as much as may be kept.
    let may_pass = |header: &ChunkHeader, bytes_behind: u64| {
        oldest.is_some_and(|oldest| header.highest_ingest_time < oldest)
            || retention.bytes.is_some_and(|limit| bytes_behind >= limit)
    };
    let (mut low, mut high) = (progress.start, progress.end);
    while low < high {
        let (first, end, header, entry_bytes) = chunk_at(store, partition, low + (high - low) / 2)?;
        let bytes_behind = progress.bytes.saturating_sub(header.bytes_before + entry_bytes);
        if may_pass(&header, bytes_behind) {
            low = end;
        } else {
            high = first;
        }
    }
    Ok(low.min(progress.end))
}

/// Deletes tables that hold nothing from the start on. The table of the last entry always stays:
/// fjall learns from it up to where the journals are superseded. Returns whether any went.
fn delete_tables(store: &Store, partition: &PartitionState) -> fjall::Result<bool> {
    let progress = partition.progress();
    let keep_from = progress.start.min(progress.end - 1);
    if keep_from <= 0 {
        return Ok(false);
    }
    let Some(keyspace) = store.partition(partition.slot) else { return Ok(false) };
    // The chunk that holds the last entry begins at or before it.
    let Some(first_kept) = keyspace.range(..=keys::chunk(keep_from)).next_back() else {
        return Ok(false);
    };
    let first_kept = first_kept.key()?;
    let tables = keyspace.table_count();
    keyspace.tree.drop_range::<&[u8], _>(..&*first_kept)?;
    Ok(keyspace.table_count() < tables)
}

/// First offset, end, header and entries' bytes of the chunk that holds an offset.
fn chunk_at(
    store: &Store,
    partition: &PartitionState,
    offset: Offset,
) -> Result<(Offset, Offset, ChunkHeader, u64), ReadError> {
    let keyspace = store.partition(partition.slot).ok_or_else(|| removed(partition))?;
    let Some(item) = keyspace.range(..=keys::chunk(offset)).next_back() else {
        return Err(damaged(partition, offset, "it is missing"));
    };
    let (key, chunk) = item.into_inner().map_err(|error| ReadError::Storage(Box::new(error)))?;
    let first =
        keys::chunk_offset(&key).ok_or_else(|| damaged(partition, offset, "a key is damaged"))?;
    let header = chunk::open(&chunk).map_err(|what| damaged(partition, first, what))?;
    let end = first + i64::from(header.count);
    if offset < end {
        Ok((first, end, header, chunk::entry_bytes(&chunk)))
    } else {
        Err(damaged(partition, offset, "it is missing"))
    }
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}
