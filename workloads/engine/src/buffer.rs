//! The buffer in which a task puts records in order of event time.

use std::collections::BTreeMap;

use millrace_core::Offset;
use millrace_core::Record;
use millrace_plan::model::BufferLimits;

/// A record in the buffer, with its place in the log.
#[derive(Debug)]
pub(crate) struct Buffered {
    /// Index of the task's input.
    pub(crate) input: usize,
    /// Offset in that input.
    pub(crate) offset: Offset,
    /// The record.
    pub(crate) record: Record,
}

/// Records by event time.
#[derive(Debug)]
pub(crate) struct Buffer {
    limits: BufferLimits,
    by_time: BTreeMap<i64, Vec<Buffered>>,
    records: usize,
    bytes: usize,
}

impl Buffer {
    pub(crate) fn new(limits: BufferLimits) -> Self {
        Self { limits, by_time: BTreeMap::new(), records: 0, bytes: 0 }
    }

    pub(crate) fn insert(&mut self, buffered: Buffered) {
        self.records += 1;
        self.bytes += weight(&buffered.record);
        self.by_time.entry(buffered.record.event_time).or_default().push(buffered);
    }

    /// Takes out the lowest event time below `watermark` with its records in release order: by
    /// key, event id, input and offset.
    pub(crate) fn release(&mut self, watermark: i64) -> Option<(i64, Vec<Buffered>)> {
        let entry = self.by_time.first_entry().filter(|entry| *entry.key() < watermark)?;
        let (time, mut records) = entry.remove_entry();
        self.records -= records.len();
        self.bytes -= records.iter().map(|b| weight(&b.record)).sum::<usize>();
        records.sort_by(|a, b| {
            (&a.record.key, a.record.id, a.input, a.offset).cmp(&(
                &b.record.key,
                b.record.id,
                b.input,
                b.offset,
            ))
        });
        Some((time, records))
    }

    /// The watermark that makes room, when the buffer is beyond its limits: just above its lowest
    /// event time.
    pub(crate) fn overflow(&self) -> Option<i64> {
        let full = self.records > self.limits.records || self.bytes > self.limits.bytes;
        let lowest = self.by_time.keys().next().filter(|_| full)?;
        Some(lowest.saturating_add(1))
    }

    /// The lowest event time in the buffer.
    pub(crate) fn lowest_time(&self) -> Option<i64> {
        self.by_time.keys().next().copied()
    }

    /// Number of records.
    pub(crate) fn len(&self) -> usize {
        self.records
    }

    /// The highest event time in the buffer.
    pub(crate) fn highest_time(&self) -> Option<i64> {
        self.by_time.keys().next_back().copied()
    }
}

fn weight(record: &Record) -> usize {
    record.key.len() + record.value.len() + size_of::<Buffered>()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use millrace_core::EventId;
    use millrace_core::Headers;

    use super::*;

    fn buffered(key: &'static str, id: u8, time: i64, offset: Offset) -> Buffered {
        let record = Record {
            key: Bytes::from_static(key.as_bytes()),
            event_time: time,
            ingest_time: 0,
            id: EventId::from([id; 16]),
            headers: Headers::default(),
            value: Bytes::new(),
        };
        Buffered { input: 0, offset, record }
    }

    #[test]
    fn records_leave_by_time_then_key_then_id_then_offset_and_only_below_the_watermark() {
        let mut buffer = Buffer::new(BufferLimits::default());
        for record in [
            buffered("b", 1, 10, 0),
            buffered("a", 2, 10, 1),
            buffered("a", 1, 10, 2),
            buffered("a", 1, 10, 3),
            buffered("z", 9, 5, 4),
            buffered("a", 1, 20, 5),
        ] {
            buffer.insert(record);
        }
        let offsets = |step: Option<(i64, Vec<Buffered>)>| {
            step.map(|(time, records)| (time, records.iter().map(|b| b.offset).collect::<Vec<_>>()))
        };
        assert_eq!(offsets(buffer.release(20)), Some((5, vec![4])));
        assert_eq!(offsets(buffer.release(20)), Some((10, vec![2, 3, 1, 0])));
        assert_eq!(offsets(buffer.release(20)), None);
        assert_eq!(buffer.len(), 1);
    }

    #[test]
    fn a_buffer_beyond_its_limits_asks_for_a_watermark_above_its_lowest_time() {
        let mut buffer = Buffer::new(BufferLimits { records: 1, bytes: usize::MAX });
        buffer.insert(buffered("a", 1, 30, 0));
        assert_eq!(buffer.overflow(), None);
        buffer.insert(buffered("a", 2, 10, 1));
        assert_eq!(buffer.overflow(), Some(11));
        let mut buffer = Buffer::new(BufferLimits { records: 10, bytes: 1 });
        buffer.insert(buffered("a", 1, 30, 0));
        assert_eq!(buffer.overflow(), Some(31));
    }
}
