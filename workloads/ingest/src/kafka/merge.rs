//! Records of all partitions of a topic, in the order of their timestamps.
//!
//! What is taken from a topic becomes late in its stream where another partition's later records
//! came before it. So none is taken while a partition that has more is still being fetched.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::select_all;
use futures::future::try_join_all;
use millrace_core::Offset;
use millrace_core::Partition;
use millrace_core::Record;
use millrace_core::StreamName;
use millrace_log::Entry;
use millrace_log::InputPosition;
use millrace_log::Log;
use millrace_log::ReadError;
use millrace_log::ReadLimit;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::warn;

/// Most records of a batch.
const BATCH_RECORDS: usize = 4000;

/// Most bytes of values of a batch; the record that passes it is the last.
const BATCH_BYTES: usize = 4 << 20;

/// Most records that wait of one partition.
const WAITING_RECORDS: usize = 1000;

/// About so many bytes wait of all partitions together, and at least [`LEAST_BYTES`] of each.
const WAITING_BYTES: usize = 16 << 20;
const LEAST_BYTES: usize = 64 << 10;

/// How long the other partitions wait for one whose records do not come.
const PATIENCE: Duration = Duration::from_secs(10);

/// Pause before a read that comes again because the last one brought nothing.
const FETCHING: Duration = Duration::from_millis(5);

/// A record and its place.
pub(super) struct Taken {
    pub(super) partition: Partition,
    pub(super) offset: Offset,
    pub(super) record: Record,
}

/// The partitions of a topic as far as they were read.
pub(super) struct Merge {
    source: StreamName,
    heads: Vec<Head>,
    limit: ReadLimit,
}

/// A partition, from where it is read on.
struct Head {
    partition: Partition,
    /// What was read and not taken.
    waiting: VecDeque<(Offset, Record)>,
    /// Where to read on.
    read: Offset,
    /// The next offset to take.
    next: Offset,
    /// The same as it was committed last.
    committed: Option<Offset>,
    end: watch::Receiver<Offset>,
    /// Since when it has more that does not come.
    missing_since: Option<Instant>,
}

/// Where to begin in a partition.
pub(super) struct Begin {
    pub(super) partition: Partition,
    pub(super) next: Offset,
    pub(super) end: watch::Receiver<Offset>,
}

impl Merge {
    pub(super) fn new(source: &StreamName, begins: Vec<Begin>) -> Self {
        let bytes = (WAITING_BYTES / begins.len().max(1)).max(LEAST_BYTES);
        let heads = begins.into_iter().map(|Begin { partition, next, end }| Head {
            partition,
            waiting: VecDeque::new(),
            read: next,
            next,
            committed: None,
            end,
            missing_since: None,
        });
        Self {
            source: source.clone(),
            heads: heads.collect(),
            limit: ReadLimit { entries: WAITING_RECORDS, bytes },
        }
    }

    /// The next batch, once there is something; none if that takes longer than `patience`.
    pub(super) async fn next_batch(
        &mut self,
        log: &Arc<dyn Log>,
        patience: Duration,
    ) -> Result<Option<Vec<Taken>>, ReadError> {
        let deadline = Instant::now() + patience;
        let mut is_first = true;
        loop {
            self.fill(log).await?;
            let batch = self.take();
            if !batch.is_empty() {
                return Ok(Some(batch));
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
            if self.heads.iter().any(Head::has_more) {
                // It is being fetched.
                tokio::time::sleep(if is_first { Duration::ZERO } else { FETCHING }).await;
                is_first = false;
            } else if tokio::time::timeout_at(deadline, self.more()).await.is_err() {
                return Ok(None);
            }
        }
    }

    /// Reads on in the partitions of which nothing waits.
    async fn fill(&mut self, log: &Arc<dyn Log>) -> Result<(), ReadError> {
        let (source, limit) = (&self.source, self.limit);
        let reading = self.heads.iter_mut().filter(|head| head.has_more()).map(|head| async {
            let batch = log.read(source, head.partition, head.read, limit).await?;
            head.take_over(batch.next, batch.entries);
            Ok(())
        });
        try_join_all(reading).await.map(drop)
    }

    /// Takes what waits, in order, up to the limits, as long as no partition lacks what it has.
    fn take(&mut self) -> Vec<Taken> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        if self.heads.iter().any(Head::is_missing) {
            return batch;
        }
        while batch.len() < BATCH_RECORDS && bytes < BATCH_BYTES {
            let first = self.heads.iter_mut().filter_map(|head| Some((head.timestamp()?, head)));
            let first = first.min_by_key(|(timestamp, head)| (*timestamp, head.partition));
            let Some((_, head)) = first else { break };
            let Some((offset, record)) = head.waiting.pop_front() else { break };
            bytes += record.value.len();
            head.next = if head.waiting.is_empty() { head.read } else { offset + 1 };
            batch.push(Taken { partition: head.partition, offset, record });
            if head.is_missing() {
                break;
            }
        }
        batch
    }

    /// Waits until a partition has more than was read.
    async fn more(&mut self) {
        let moved = self.heads.iter_mut().map(|head| {
            let read = head.read;
            // Where the log has let it go, the next read says why.
            async move { drop(head.end.wait_for(|end| *end > read).await) }.boxed()
        });
        let moved: Vec<_> = moved.collect();
        if moved.is_empty() {
            return std::future::pending().await;
        }
        select_all(moved).await;
    }

    /// Where to read on, of the partitions in which that has changed since the last commit.
    pub(super) fn positions(&self) -> Vec<InputPosition> {
        let changed = self.heads.iter().filter(|head| head.committed != Some(head.next));
        changed.map(|head| position(&self.source, head.partition, head.next)).collect()
    }

    /// What [`Self::positions`] said is committed.
    pub(super) fn committed(&mut self) {
        for head in &mut self.heads {
            head.committed = Some(head.next);
        }
    }

    /// How many offsets the partitions have that were not taken.
    pub(super) fn lag(&self) -> i64 {
        self.heads.iter().map(|head| (*head.end.borrow() - head.next).max(0)).sum()
    }
}

/// Where to read on in a partition.
pub(super) fn position(source: &StreamName, partition: Partition, next: Offset) -> InputPosition {
    let metadata = bytes::Bytes::new();
    InputPosition { stream: source.clone(), partition, next, metadata }
}

impl Head {
    /// Whether nothing waits, and there is more.
    fn has_more(&self) -> bool {
        self.waiting.is_empty() && *self.end.borrow() > self.read
    }

    /// Whether the others have to wait for it.
    fn is_missing(&self) -> bool {
        let is_given_up = |since: Instant| since.elapsed() >= PATIENCE;
        self.has_more() && !self.missing_since.is_some_and(is_given_up)
    }

    fn timestamp(&self) -> Option<i64> {
        self.waiting.front().map(|(_, record)| record.ingest_time)
    }

    /// Takes over what was read.
    fn take_over(&mut self, next: Offset, entries: Vec<(Offset, Entry)>) {
        let has_moved = next > self.read;
        self.read = next;
        self.waiting.extend(entries.into_iter().filter_map(|(offset, entry)| match entry {
            Entry::Record(record) => Some((offset, record)),
            Entry::Mark(_) => None,
        }));
        if self.waiting.is_empty() {
            self.next = next;
        }
        let was_given_up = self.missing_since.is_some() && !self.is_missing();
        if has_moved {
            self.missing_since = None;
        } else if self.missing_since.is_none() {
            self.missing_since = Some(Instant::now());
        } else if !was_given_up && !self.is_missing() {
            warn!(
                message = "Records of a partition do not come; those of the others go on without.",
                partition = self.partition
            );
        }
    }
}
