//! Reading entries of a partition.

use std::ops::Bound;

use bytes::Bytes;
use fjall::Guard;
use millrace_core::Offset;

use super::chunk;
use super::chunk::Entries;
use super::keys;
use super::store::Store;
use super::streams::PartitionState;
use crate::Entry;
use crate::ReadBatch;
use crate::ReadError;
use crate::ReadLimit;

/// Reads durable entries from an offset on, up to `end`, which the partition has been seen to
/// reach.
pub(super) fn read(
    store: &Store,
    partition: &PartitionState,
    from: Offset,
    end: Offset,
    limit: ReadLimit,
) -> Result<ReadBatch, ReadError> {
    let mut batch = ReadBatch { entries: Vec::new(), next: from };
    let mut bytes = 0;
    let keyspace = store.partition(partition.slot).ok_or_else(|| removed(partition))?;
    let floor = keyspace.range(..=keys::chunk(from)).next_back();
    let Some((mut first, mut chunk)) = floor.map(|item| load(partition, item)).transpose()? else {
        return Err(damaged(partition, from, "it is missing"));
    };
    let mut following =
        keyspace.range::<[u8; 8], _>((Bound::Excluded(keys::chunk(first)), Bound::Unbounded));
    loop {
        let corrupt = |what| damaged(partition, first, what);
        let header = chunk::open(&chunk).map_err(corrupt)?;
        let chunk_end = first + i64::from(header.count);
        let skipped = batch.next - first;
        if skipped < 0 || (skipped >= i64::from(header.count) && chunk_end < end) {
            return Err(damaged(partition, batch.next, "it is missing"));
        }
        let mut entries = Entries::new(&chunk);
        entries.skip(usize::try_from(skipped).unwrap_or(usize::MAX)).map_err(corrupt)?;
        while batch.next < chunk_end.min(end) {
            let entry = entries.next().map_err(corrupt)?;
            bytes += content_bytes(&entry);
            batch.entries.push((batch.next, entry));
            batch.next += 1;
            if batch.entries.len() >= limit.entries || bytes >= limit.bytes {
                return Ok(batch);
            }
        }
        if batch.next >= end {
            return Ok(batch);
        }
        let Some(item) = following.next() else {
            return Err(damaged(partition, batch.next, "it is missing"));
        };
        (first, chunk) = load(partition, item)?;
    }
}

fn load(partition: &PartitionState, item: Guard) -> Result<(Offset, Bytes), ReadError> {
    let (key, chunk) = item.into_inner().map_err(|error| storage_error(partition, error))?;
    let first =
        keys::chunk_offset(&key).ok_or_else(|| damaged(partition, 0, "a key is damaged"))?;
    Ok((first, chunk.into()))
}

/// Bytes that count for a reader's limit.
fn content_bytes(entry: &Entry) -> usize {
    match entry {
        Entry::Record(record) => record.key.len() + record.value.len(),
        Entry::Mark(_) => 0,
    }
}

fn storage_error(partition: &PartitionState, error: fjall::Error) -> ReadError {
    match error {
        fjall::Error::Storage(fjall::LsmError::Io(_)) | fjall::Error::Io(_) => {
            ReadError::Storage(Box::new(error))
        }
        error => damaged(partition, partition.info().start, &error.to_string()),
    }
}

/// The stream was there when the read began.
pub(super) fn removed(partition: &PartitionState) -> ReadError {
    ReadError::UnknownStream { stream: partition.stream.clone(), partition: partition.partition }
}

pub(super) fn damaged(partition: &PartitionState, offset: Offset, what: &str) -> ReadError {
    ReadError::Corrupt {
        stream: partition.stream.clone(),
        partition: partition.partition,
        offset,
        what: what.to_owned(),
    }
}
