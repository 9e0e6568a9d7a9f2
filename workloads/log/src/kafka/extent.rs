//! What is known of a partition: where it starts and ends, and how far its times have come.
//!
//! Everything here is a lower bound that only rises: it is told by the cluster at intervals, and
//! by what this process appends, commits and reads as soon as that has happened.

use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use millrace_core::Mark;
use millrace_core::Offset;
use millrace_core::Partition;
use millrace_core::StreamName;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::Entry;
use crate::PartitionInfo;

/// A stream's topic. Whoever follows it is told of its end when the last one lets it go.
#[derive(Debug)]
pub(super) struct Topic {
    /// The stream.
    pub(super) stream: StreamName,
    /// What the cluster calls it.
    pub(super) name: String,
    /// Whether others write it: then its messages are not in our format, and it is only read.
    pub(super) is_external: bool,
    /// Whether the producer has seen it as it is: it remembers topics that were removed.
    pub(super) is_prepared: AtomicBool,
    partitions: Extents,
}

impl Topic {
    pub(super) fn new(stream: StreamName, name: String, partitions: Partition) -> Self {
        Self {
            stream,
            name,
            is_external: false,
            is_prepared: AtomicBool::new(false),
            partitions: Extents::new(partitions),
        }
    }

    /// A topic that others write.
    pub(super) fn external(stream: StreamName, name: String, partitions: Partition) -> Self {
        Self { is_external: true, ..Self::new(stream, name, partitions) }
    }

    /// The partition of this number.
    pub(super) fn partition(&self, partition: Partition) -> Option<&Extent> {
        self.partitions.get(usize::try_from(partition).ok()?)
    }

    /// Whether we may write to the partition of this number.
    pub(super) fn takes(&self, partition: Partition) -> bool {
        !self.is_external && self.partition(partition).is_some()
    }

    /// Takes over how many partitions it has by now; returns whether it has more than before.
    pub(super) fn grow(&self, partitions: Partition) -> bool {
        self.partitions.grow(usize::try_from(partitions).unwrap_or_default())
    }

    /// How many partitions it has.
    pub(super) fn partitions(&self) -> Partition {
        Partition::try_from(self.partitions.len()).unwrap_or(Partition::MAX)
    }
}

/// The extents of a topic's partitions. There can be more of them, but never fewer: those who
/// follow one keep it.
#[derive(Debug)]
struct Extents {
    first: Vec<Extent>,
    more: OnceLock<Box<Extents>>,
}

impl Extents {
    fn new(partitions: Partition) -> Self {
        let first = (0..partitions).map(|_| Extent::default()).collect();
        Self { first, more: OnceLock::new() }
    }

    fn get(&self, index: usize) -> Option<&Extent> {
        match index.checked_sub(self.first.len()) {
            None => self.first.get(index),
            Some(further) => self.more.get()?.get(further),
        }
    }

    fn len(&self) -> usize {
        self.first.len() + self.more.get().map_or(0, |more| more.len())
    }

    fn grow(&self, to: usize) -> bool {
        let Some(further) = to.checked_sub(self.first.len()).filter(|further| *further > 0) else {
            return false;
        };
        let mut is_new = false;
        let more = self.more.get_or_init(|| {
            is_new = true;
            Box::new(Self::new(Partition::try_from(further).unwrap_or(Partition::MAX)))
        });
        is_new || more.grow(further)
    }
}

/// Highest times of a partition.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Times {
    event: Option<i64>,
    mark: Option<i64>,
}

impl Times {
    /// Takes an entry's time in.
    pub(super) fn see(&mut self, entry: &Entry) {
        match entry {
            Entry::Record(record) => self.event = self.event.max(Some(record.event_time)),
            Entry::Mark(Mark::Idle { watermark } | Mark::Task { watermark, .. }) => {
                self.mark = self.mark.max(Some(*watermark));
            }
        }
    }
}

/// The extent of a partition.
#[derive(Debug)]
pub(super) struct Extent {
    start: AtomicI64,
    end: watch::Sender<Offset>,
    /// When the cluster was asked last where it ends, of the questions that it has answered.
    asked: Mutex<Instant>,
    times: Mutex<Times>,
}

impl Default for Extent {
    fn default() -> Self {
        Self {
            start: AtomicI64::new(0),
            end: watch::channel(0).0,
            asked: Mutex::new(Instant::now()),
            times: Mutex::new(Times::default()),
        }
    }
}

impl Extent {
    /// The lowest offset that is kept, as far as known.
    pub(super) fn start(&self) -> Offset {
        self.start.load(Ordering::Relaxed)
    }

    /// The offset after the last entry that is known.
    pub(super) fn end(&self) -> Offset {
        *self.end.borrow()
    }

    /// The partition starts here.
    pub(super) fn starts(&self, start: Offset) {
        self.start.fetch_max(start, Ordering::Relaxed);
        self.reaches(start);
    }

    /// The partition has come at least to here; its followers are told.
    pub(super) fn reaches(&self, end: Offset) {
        self.end.send_if_modified(|known| {
            let further = end > *known;
            *known = end.max(*known);
            further
        });
    }

    /// The cluster was asked then, and says that it ends here.
    pub(super) fn ends(&self, end: Offset, asked: Instant) {
        self.reaches(end);
        let mut last = self.asked.lock();
        *last = asked.max(*last);
    }

    /// How long ago the cluster was asked where it ends.
    pub(super) fn end_age(&self) -> Duration {
        self.asked.lock().elapsed()
    }

    /// These times are in the partition.
    pub(super) fn saw(&self, times: Times) {
        if times == Times::default() {
            return;
        }
        let mut known = self.times.lock();
        known.event = known.event.max(times.event);
        known.mark = known.mark.max(times.mark);
    }

    /// Follows the end.
    pub(super) fn follow(&self) -> watch::Receiver<Offset> {
        self.end.subscribe()
    }

    /// Whether anybody follows the end.
    pub(super) fn is_followed(&self) -> bool {
        self.end.receiver_count() > 0
    }

    pub(super) fn info(&self) -> PartitionInfo {
        let times = *self.times.lock();
        PartitionInfo {
            start: self.start(),
            end: self.end(),
            highest_event_time: times.event,
            highest_mark: times.mark,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_that_grows_keeps_its_partitions_and_their_followers() {
        let topic = Topic::external("a".parse().unwrap(), "t".to_owned(), 2);
        topic.partition(1).unwrap().reaches(7);
        let followed = topic.partition(1).unwrap().follow();
        assert!(topic.grow(3) && topic.grow(6));
        assert!(!topic.grow(6) && !topic.grow(4));
        assert_eq!(topic.partitions(), 6);
        topic.partition(5).unwrap().reaches(1);
        assert!(topic.partition(6).is_none());
        assert_eq!(topic.partition(4).unwrap().end(), 0);
        topic.partition(1).unwrap().reaches(8);
        assert_eq!(*followed.borrow(), 8);
    }

    #[test]
    fn an_extent_only_grows_and_tells_when_it_does() {
        let extent = Extent::default();
        let mut end = extent.follow();
        extent.reaches(5);
        assert!(end.has_changed().unwrap());
        assert_eq!(*end.borrow_and_update(), 5);
        extent.reaches(4);
        extent.reaches(5);
        assert!(!end.has_changed().unwrap());
        extent.starts(7);
        extent.starts(6);
        assert_eq!((extent.start(), extent.end()), (7, 7));
    }
}
