//! Which partitions are given something right now, so that no one takes them for silent.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use millrace_core::Partition;
use millrace_core::StreamName;
use millrace_log::Append;
use millrace_plan::Plan;
use millrace_plan::model::StreamOrigin;

/// Entries on their way into the log, of the streams whose silence counts.
pub(super) struct UnderWay {
    /// Of each stream, how many there are of each partition.
    streams: Vec<(StreamName, Vec<AtomicUsize>)>,
}

/// Entries are on their way for as long as this is kept.
pub(super) struct OnTheirWay<'a> {
    counts: Vec<&'a AtomicUsize>,
}

impl UnderWay {
    /// Of the streams of a plan that declare `idle`.
    pub(super) fn new(plan: &Plan) -> Self {
        let streams = plan.streams.iter().filter(|stream| {
            matches!(&stream.origin, StreamOrigin::Ingested(ingested) if ingested.idle.is_some())
        });
        let counts = |partitions| (0..partitions).map(|_| AtomicUsize::new(0)).collect();
        Self { streams: streams.map(|s| (s.name.clone(), counts(s.partitions))).collect() }
    }

    /// Counts entries until what is returned is dropped.
    pub(super) fn begin(&self, entries: &[Append]) -> OnTheirWay<'_> {
        let counts = entries.iter().filter_map(|entry| self.count(&entry.stream, entry.partition));
        let counts: Vec<_> = counts.collect();
        for count in &counts {
            count.fetch_add(1, Ordering::SeqCst);
        }
        OnTheirWay { counts }
    }

    /// Whether anything is on its way to a partition.
    pub(super) fn is_any(&self, stream: &StreamName, partition: Partition) -> bool {
        self.count(stream, partition).is_some_and(|count| count.load(Ordering::SeqCst) > 0)
    }

    fn count(&self, stream: &StreamName, partition: Partition) -> Option<&AtomicUsize> {
        let (_, counts) = self.streams.iter().find(|(name, _)| name == stream)?;
        counts.get(usize::try_from(partition).ok()?)
    }
}

impl Drop for OnTheirWay<'_> {
    fn drop(&mut self) {
        for count in &self.counts {
            count.fetch_sub(1, Ordering::SeqCst);
        }
    }
}
