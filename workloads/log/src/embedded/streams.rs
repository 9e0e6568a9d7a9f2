//! What is known in memory of every stream and partition: extents, times and who follows them.

use std::collections::HashMap;
use std::sync::Arc;

use millrace_core::Mark;
use millrace_core::Offset;
use millrace_core::Partition;
use millrace_core::StreamName;
use millrace_plan::model::Retention;
use parking_lot::Mutex;
use parking_lot::RwLock;
use serde::Deserialize;
use serde::Serialize;
use tokio::sync::watch;

use crate::Entry;
use crate::PartitionInfo;
use crate::ReadError;
use crate::StreamConfig;

/// How far a partition has come; written with every group that touches it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Progress {
    pub(super) start: Offset,
    pub(super) end: Offset,
    pub(super) highest_event_time: Option<i64>,
    pub(super) highest_mark: Option<i64>,
    /// Highest arrival time of all entries; `i64::MIN` without any.
    pub(super) highest_ingest_time: i64,
    /// Bytes of all entries ever appended.
    pub(super) bytes: u64,
}

impl Progress {
    pub(super) const EMPTY: Self = Self {
        start: 0,
        end: 0,
        highest_event_time: None,
        highest_mark: None,
        highest_ingest_time: i64::MIN,
        bytes: 0,
    };

    /// Counts an entry that is appended; returns its offset. A mark arrives now.
    pub(super) fn count(&mut self, entry: &Entry, now_ms: i64) -> Offset {
        match entry {
            Entry::Record(record) => {
                self.highest_event_time = self.highest_event_time.max(Some(record.event_time));
                self.highest_ingest_time = self.highest_ingest_time.max(record.ingest_time);
            }
            Entry::Mark(Mark::Idle { watermark } | Mark::Task { watermark, .. }) => {
                self.highest_mark = self.highest_mark.max(Some(*watermark));
                self.highest_ingest_time = self.highest_ingest_time.max(now_ms);
            }
        }
        let offset = self.end;
        self.end += 1;
        offset
    }

    fn info(&self) -> PartitionInfo {
        PartitionInfo {
            start: self.start,
            end: self.end,
            highest_event_time: self.highest_event_time,
            highest_mark: self.highest_mark,
        }
    }
}

/// A partition of an open log.
#[derive(Debug)]
pub(super) struct PartitionState {
    pub(super) stream: StreamName,
    pub(super) partition: Partition,
    /// Index of its keyspace in the store.
    pub(super) slot: usize,
    progress: Mutex<Progress>,
    end: watch::Sender<Offset>,
}

impl PartitionState {
    pub(super) fn progress(&self) -> Progress {
        *self.progress.lock()
    }

    pub(super) fn info(&self) -> PartitionInfo {
        self.progress.lock().info()
    }

    pub(super) fn follow(&self) -> watch::Receiver<Offset> {
        self.end.subscribe()
    }

    /// Shows readers what has become durable.
    pub(super) fn publish(&self, progress: Progress) {
        *self.progress.lock() = progress;
        self.end.send_if_modified(|end| {
            let moved = *end != progress.end;
            *end = progress.end;
            moved
        });
    }
}

/// A stream of an open log.
#[derive(Debug)]
pub(super) struct StreamState {
    pub(super) name: StreamName,
    pub(super) partitions: Vec<Arc<PartitionState>>,
    pub(super) retention: Mutex<Retention>,
}

/// All streams of an open log.
#[derive(Debug, Default)]
pub(super) struct Streams {
    by_name: RwLock<HashMap<StreamName, Arc<StreamState>>>,
}

impl Streams {
    pub(super) fn get(&self, stream: &StreamName) -> Option<Arc<StreamState>> {
        self.by_name.read().get(stream).cloned()
    }

    pub(super) fn partition(
        &self,
        stream: &StreamName,
        partition: Partition,
    ) -> Option<Arc<PartitionState>> {
        let index = usize::try_from(partition).ok()?;
        self.by_name.read().get(stream)?.partitions.get(index).cloned()
    }

    /// Like [`Self::partition`], for readers.
    pub(super) fn find(
        &self,
        stream: &StreamName,
        partition: Partition,
    ) -> Result<Arc<PartitionState>, ReadError> {
        self.partition(stream, partition)
            .ok_or_else(|| ReadError::UnknownStream { stream: stream.clone(), partition })
    }

    /// Adds a stream whose partitions have the given slots and progress.
    pub(super) fn add(
        &self,
        config: &StreamConfig,
        first_slot: usize,
        progress: impl IntoIterator<Item = Progress>,
    ) {
        let partitions = (0..)
            .zip(first_slot..)
            .zip(progress)
            .map(|((partition, slot), progress)| {
                Arc::new(PartitionState {
                    stream: config.name.clone(),
                    partition,
                    slot,
                    progress: Mutex::new(progress),
                    end: watch::Sender::new(progress.end),
                })
            })
            .collect();
        let state = StreamState {
            name: config.name.clone(),
            partitions,
            retention: Mutex::new(config.retention),
        };
        self.by_name.write().insert(config.name.clone(), Arc::new(state));
    }

    /// Takes a stream away. Who follows it learns that it has ended.
    pub(super) fn remove(&self, stream: &StreamName) -> Option<Arc<StreamState>> {
        self.by_name.write().remove(stream)
    }

    /// All streams, in the order of their slots.
    pub(super) fn all(&self) -> Vec<Arc<StreamState>> {
        let mut all: Vec<_> = self.by_name.read().values().cloned().collect();
        all.sort_by_key(|stream| stream.partitions.first().map(|p| p.slot));
        all
    }
}
