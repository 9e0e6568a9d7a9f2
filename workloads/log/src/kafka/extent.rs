//! What is known of a partition: where it starts and ends, and how far its times have come.
//!
//! Everything here is a lower bound that only rises: it is told by the cluster at intervals, and
//! by what this process appends, commits and reads as soon as that has happened.

use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering;

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
    partitions: Vec<Extent>,
}

impl Topic {
    pub(super) fn new(stream: StreamName, name: String, partitions: Partition) -> Self {
        let partitions = (0..partitions).map(|_| Extent::default()).collect();
        Self { stream, name, partitions }
    }

    /// The partition of this number.
    pub(super) fn partition(&self, partition: Partition) -> Option<&Extent> {
        self.partitions.get(usize::try_from(partition).ok()?)
    }

    /// How many partitions it has.
    pub(super) fn partitions(&self) -> Partition {
        Partition::try_from(self.partitions.len()).unwrap_or(Partition::MAX)
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
    times: Mutex<Times>,
}

impl Default for Extent {
    fn default() -> Self {
        Self {
            start: AtomicI64::new(0),
            end: watch::channel(0).0,
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
