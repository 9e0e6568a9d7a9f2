//! The buffer in which a task puts records in order of event time.

use std::collections::BTreeMap;
use std::collections::VecDeque;

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
///
/// Most come nearly in order: the highest times lie in a row, where a record finds its place from
/// the end. What comes far behind goes into a tree.
#[derive(Debug)]
pub(crate) struct Buffer {
    limits: BufferLimits,
    /// Ascending by time.
    row: VecDeque<Frame>,
    tree: BTreeMap<i64, Vec<Buffered>>,
    /// Emptied lists, to be used again.
    spare: Vec<Vec<Buffered>>,
    records: usize,
    bytes: usize,
}

/// The records of one event time.
#[derive(Debug)]
struct Frame {
    time: i64,
    records: Vec<Buffered>,
}

/// A new time is put into the row up to so many places from its end.
const NEAR: usize = 64;

/// Most emptied lists that are kept, and the longest.
const SPARE_LISTS: usize = 64;
const SPARE_RECORDS: usize = 1024;

impl Buffer {
    pub(crate) fn new(limits: BufferLimits) -> Self {
        Self {
            limits,
            row: VecDeque::new(),
            tree: BTreeMap::new(),
            spare: Vec::new(),
            records: 0,
            bytes: 0,
        }
    }

    pub(crate) fn insert(&mut self, buffered: Buffered) {
        self.records += 1;
        self.bytes += weight(&buffered.record);
        let time = buffered.record.event_time;
        let place = match self.row.back() {
            Some(last) if time < last.time => self.row.partition_point(|frame| frame.time < time),
            Some(last) if time == last.time => self.row.len() - 1,
            _ => self.row.len(),
        };
        let from_end = self.row.len() - place;
        match self.row.get_mut(place) {
            Some(frame) if frame.time == time => frame.records.push(buffered),
            _ if from_end < NEAR => {
                let mut records = self.spare.pop().unwrap_or_default();
                records.push(buffered);
                self.row.insert(place, Frame { time, records });
            }
            _ => self.tree.entry(time).or_default().push(buffered),
        }
    }

    /// Takes out the records of the lowest event time in release order: by key, event id, input
    /// and offset. The list may be given back by [`Buffer::recycle`].
    pub(crate) fn release(&mut self) -> Vec<Buffered> {
        let Some(time) = self.lowest_time() else { return Vec::new() };
        let mut records = match self.row.pop_front_if(|frame| frame.time == time) {
            Some(frame) => frame.records,
            None => Vec::new(),
        };
        // A time is in both where it went into the tree before the row's end came near it.
        if let Some(entry) = self.tree.first_entry().filter(|entry| *entry.key() == time) {
            records.append(&mut entry.remove());
        }
        self.records -= records.len();
        self.bytes -= records.iter().map(|b| weight(&b.record)).sum::<usize>();
        if records.len() > 1 {
            records.sort_unstable_by(|a, b| {
                (&a.record.key, a.record.id, a.input, a.offset).cmp(&(
                    &b.record.key,
                    b.record.id,
                    b.input,
                    b.offset,
                ))
            });
        }
        records
    }

    /// Takes a list back, to be used again.
    pub(crate) fn recycle(&mut self, mut list: Vec<Buffered>) {
        if self.spare.len() < SPARE_LISTS && list.capacity() <= SPARE_RECORDS {
            list.clear();
            self.spare.push(list);
        }
    }

    /// The watermark that makes room, when the buffer is beyond its limits: just above its lowest
    /// event time.
    pub(crate) fn overflow(&self) -> Option<i64> {
        let full = self.records > self.limits.records || self.bytes > self.limits.bytes;
        let lowest = self.lowest_time().filter(|_| full)?;
        Some(lowest.saturating_add(1))
    }

    /// Where the buffer is beyond its limits, leaves the higher half of its records in the log:
    /// all from an event time on, which is given. The lowest event time stays, however many
    /// records it has.
    pub(crate) fn cut(&mut self) -> Option<i64> {
        self.overflow()?;
        let lowest = self.lowest_time()?;
        self.highest_time().filter(|highest| *highest > lowest)?;
        let mut times: Vec<i64> = Vec::with_capacity(self.records);
        times.extend(self.row.iter().flat_map(|frame| frame.records.iter().map(|_| frame.time)));
        times.extend(self.tree.iter().flat_map(|(time, records)| records.iter().map(|_| *time)));
        let middle = times.len() / 2;
        let (_, middle, above) = times.select_nth_unstable(middle);
        // The first time above the lowest, where half of all have that one.
        let cut = match *middle {
            time if time > lowest => time,
            _ => above.iter().copied().filter(|time| *time > lowest).min()?,
        };
        let left = self.row.split_off(self.row.partition_point(|frame| frame.time < cut));
        let far = self.tree.split_off(&cut);
        let left = left.iter().flat_map(|frame| &frame.records);
        for buffered in left.chain(far.values().flatten()) {
            self.records -= 1;
            self.bytes -= weight(&buffered.record);
        }
        Some(cut)
    }

    /// The lowest event time in the buffer.
    pub(crate) fn lowest_time(&self) -> Option<i64> {
        let row = self.row.front().map(|frame| frame.time);
        row.into_iter().chain(self.tree.keys().next().copied()).min()
    }

    /// Number of records.
    pub(crate) fn len(&self) -> usize {
        self.records
    }

    /// The highest event time in the buffer.
    pub(crate) fn highest_time(&self) -> Option<i64> {
        let row = self.row.back().map(|frame| frame.time);
        row.max(self.tree.keys().next_back().copied())
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
    use proptest::prelude::*;

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
    fn records_leave_by_time_then_key_then_id_then_offset() {
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
        let mut next = || (buffer.lowest_time(), offsets(&buffer.release()));
        assert_eq!(next(), (Some(5), vec![4]));
        assert_eq!(next(), (Some(10), vec![2, 3, 1, 0]));
        assert_eq!(next(), (Some(20), vec![5]));
        assert_eq!(next(), (None, vec![]));
    }

    fn offsets(records: &[Buffered]) -> Vec<Offset> {
        records.iter().map(|b| b.offset).collect()
    }

    #[test]
    fn a_time_that_came_far_behind_and_again_near_the_end_is_one_time() {
        let mut buffer = Buffer::new(BufferLimits::default());
        for time in 100..200 {
            buffer.insert(buffered("a", 1, 2 * time, time));
        }
        buffer.insert(buffered("a", 1, 211, 7));
        for time in (106..200).rev() {
            assert_eq!(buffer.lowest_time(), Some(200));
            buffer.insert(buffered("a", 1, 2 * time, 1000 + time));
        }
        for time in 100..106 {
            assert_eq!(offsets(&buffer.release()), [time], "{time}");
        }
        assert_eq!(buffer.lowest_time(), Some(211));
        buffer.insert(buffered("a", 1, 211, 8));
        assert_eq!(offsets(&buffer.release()), [7, 8]);
    }

    #[test]
    fn a_cut_leaves_the_higher_half_in_the_log_and_never_the_lowest_time() {
        let mut buffer = Buffer::new(BufferLimits { records: 3, bytes: usize::MAX });
        for (offset, time) in (0..).zip([50, 10, 40]) {
            buffer.insert(buffered("a", 1, time, offset));
        }
        assert_eq!(buffer.cut(), None);
        buffer.insert(buffered("a", 1, 30, 3));
        assert_eq!(buffer.cut(), Some(40));
        assert_eq!((buffer.len(), buffer.highest_time()), (2, Some(30)));
        for offset in 4..9 {
            buffer.insert(buffered("a", 1, 10, offset));
        }
        assert_eq!(buffer.cut(), Some(30));
        assert_eq!((buffer.len(), buffer.cut()), (6, None));
        assert_eq!(offsets(&buffer.release()), [1, 4, 5, 6, 7, 8]);
        assert_eq!((buffer.records, buffer.bytes), (0, 0));
    }

    proptest! {
        #[test]
        fn records_leave_as_if_all_were_sorted(
            steps in prop::collection::vec((0..300_i64, 0..400_i64, 0..3_usize), 0..400),
        ) {
            let mut buffer = Buffer::new(BufferLimits::default());
            let (mut now, mut released, mut expected) = (0, 0, Vec::new());
            let mut left: Vec<(i64, Offset)> = Vec::new();
            for (offset, (step, back, releases)) in (0..).zip(steps) {
                now += step;
                let time = (now - back).max(released);
                buffer.insert(buffered("a", 1, time, offset));
                expected.push((time, offset));
                for _ in 0..releases.saturating_sub(1) {
                    let Some(time) = buffer.lowest_time() else { break };
                    released = time + 1;
                    let records = buffer.release();
                    left.extend(records.iter().map(|b| (time, b.offset)));
                    buffer.recycle(records);
                }
            }
            while let Some(time) = buffer.lowest_time() {
                left.extend(buffer.release().iter().map(|b| (time, b.offset)));
            }
            expected.sort_unstable();
            prop_assert_eq!(left, expected);
            prop_assert_eq!((buffer.len(), buffer.bytes), (0, 0));
        }
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
