//! One input of a task: judges every entry of a stream's partition by what stands before it.
//!
//! Pure: the task reads the log and says what comes next.

use std::collections::VecDeque;
use std::sync::Arc;

use millrace_core::Mark;
use millrace_core::Offset;
use millrace_core::Partition;
use millrace_core::Record;
use millrace_core::StreamName;
use millrace_log::Entry;
use millrace_log::InputPosition;
use millrace_plan::model::Deduplication;
use millrace_plan::model::OnLate;
use millrace_plan::model::StreamOrigin;
use millrace_plan::model::StreamPlan;

use crate::operators::Origin;
use crate::position::Position;
use crate::recent_ids::RecentIds;
use crate::watermark::Watermark;

/// After so many entries the watermark is noted, as a place to read again from.
const SEGMENT_ENTRIES: usize = 1000;

/// The version of UUIDs that ingest makes for events without an id of their own.
const MADE_AT_INGEST: usize = 7;

/// What is to be done with an entry.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// It waits in the buffer for its turn.
    Buffer(Record),
    /// It came after its event time was over.
    Late(Record),
    /// Its id was there before.
    Duplicate,
    /// It was a mark, or was processed before the restart.
    Nothing,
}

/// One input of a task.
#[derive(Debug)]
pub(crate) struct Input {
    /// The stream.
    pub(crate) stream: StreamName,
    /// The stream's name, as events carry it.
    pub(crate) label: Arc<str>,
    /// The partition.
    pub(crate) partition: Partition,
    /// Where its late records go.
    pub(crate) on_late: OnLate,
    /// Whether tasks write it: nothing in it is late.
    pub(crate) derived: bool,
    /// The next offset to read.
    pub(crate) next: Offset,
    watermark: Watermark,
    deduplicate: Option<Deduplication>,
    recent: Option<RecentIds>,
    /// Entries below were judged before the restart.
    judged_to: Offset,
    /// The last segment takes further entries; there is always one.
    segments: VecDeque<Segment>,
    last_segment_entries: usize,
}

/// A run of entries, and what is known where it starts.
#[derive(Debug)]
struct Segment {
    start: Offset,
    at_start: Watermark,
    buffered: usize,
}

impl Input {
    /// The input where its position says, or at its start; `upstream` is the number of tasks that
    /// write it, if it is derived.
    pub(crate) fn new(
        plan: &StreamPlan,
        partition: Partition,
        upstream: Partition,
        position: Option<Position>,
    ) -> Self {
        let (start, on_late, deduplicate) = match &plan.origin {
            StreamOrigin::Ingested(stream) => {
                (Watermark::ingested(stream.disorder), stream.on_late, stream.deduplicate)
            }
            StreamOrigin::Derived { .. } => {
                (Watermark::derived(upstream), OnLate::DeadLetter, None)
            }
            StreamOrigin::DeadLetters => (Watermark::derived(0), OnLate::DeadLetter, None),
        };
        let position = position.unwrap_or_else(|| Position::start(start));
        Self {
            stream: plan.name.clone(),
            label: Arc::from(plan.name.as_str()),
            partition,
            on_late,
            derived: matches!(plan.origin, StreamOrigin::Derived { .. }),
            next: position.scan_from,
            watermark: position.at_scan.clone(),
            recent: deduplicate.map(RecentIds::new),
            deduplicate,
            judged_to: position.read_to,
            segments: VecDeque::from([Segment {
                start: position.scan_from,
                at_start: position.at_scan,
                buffered: 0,
            }]),
            last_segment_entries: 0,
        }
    }

    /// Judges the next entry. `released_to` is what the task has processed in event time,
    /// `raised_to` the least that its watermark is.
    pub(crate) fn take(
        &mut self,
        offset: Offset,
        entry: Entry,
        released_to: i64,
        raised_to: i64,
    ) -> Judgement {
        if self.last_segment_entries == SEGMENT_ENTRIES {
            self.segments.push_back(Segment {
                start: offset,
                at_start: self.watermark.clone(),
                buffered: 0,
            });
            self.last_segment_entries = 0;
        }
        self.last_segment_entries += 1;
        self.next = offset + 1;
        match entry {
            Entry::Record(record) => self.judge(offset, record, released_to, raised_to),
            Entry::Mark(Mark::Idle { watermark }) => {
                self.watermark.idle(watermark);
                Judgement::Nothing
            }
            Entry::Mark(Mark::Task { task, watermark }) => {
                self.watermark.mark(task, watermark);
                Judgement::Nothing
            }
        }
    }

    fn judge(
        &mut self,
        offset: Offset,
        record: Record,
        released_to: i64,
        raised_to: i64,
    ) -> Judgement {
        let time = record.event_time;
        let watermark = self.watermark.current();
        self.watermark.observe(time);
        let highest = self.watermark.highest_time();
        let again = offset < self.judged_to;
        // A repetition is recognised before lateness is: it may well come late.
        if is_declared(&record)
            && self.recent.as_mut().is_some_and(|ids| ids.seen(record.id, time, offset, highest))
        {
            return if again { Judgement::Nothing } else { Judgement::Duplicate };
        }
        if again && (time < released_to || time < watermark) {
            return Judgement::Nothing;
        }
        if !again && time < watermark.max(raised_to) {
            return Judgement::Late(record);
        }
        if let Some(segment) = self.segments.back_mut() {
            segment.buffered += 1;
        }
        Judgement::Buffer(record)
    }

    /// The lowest offset that was never read, neither now nor before a restart.
    pub(crate) fn unread(&self) -> Offset {
        self.next.max(self.judged_to)
    }

    /// The input's watermark in event-time milliseconds.
    pub(crate) fn watermark(&self) -> i64 {
        self.watermark.current()
    }

    /// The highest event time of an ingested input.
    pub(crate) fn highest_time(&self) -> i64 {
        self.watermark.highest_time()
    }

    /// A buffered record of this offset was released.
    pub(crate) fn released(&mut self, offset: Offset) {
        let index = self.segments.partition_point(|segment| segment.start <= offset);
        if let Some(segment) = index.checked_sub(1).and_then(|i| self.segments.get_mut(i)) {
            segment.buffered = segment.buffered.saturating_sub(1);
        }
    }

    /// Goes back to where the records are read again that were judged and not released, as a
    /// restart does. None of them may be in the buffer.
    pub(crate) fn read_again(&mut self, released_to: i64, raised_to: i64) {
        let position = self.position(released_to, raised_to);
        self.next = position.scan_from;
        self.watermark = position.at_scan.clone();
        self.recent = self.deduplicate.map(RecentIds::new);
        self.judged_to = position.read_to;
        self.segments = VecDeque::from([Segment {
            start: position.scan_from,
            at_start: position.at_scan,
            buffered: 0,
        }]);
        self.last_segment_entries = 0;
    }

    /// Where a record of this input stood.
    pub(crate) fn origin(&self, offset: Offset, record: &Record) -> Origin {
        Origin {
            stream: Arc::clone(&self.label),
            partition: self.partition,
            offset,
            original: record.value.clone(),
        }
    }

    /// What to commit of this input when the task has processed everything below `released_to`.
    pub(crate) fn commit(&mut self, released_to: i64, raised_to: i64) -> InputPosition {
        let position = self.position(released_to, raised_to);
        InputPosition {
            stream: self.stream.clone(),
            partition: self.partition,
            next: position.read_to,
            metadata: position.encode(),
        }
    }

    /// The position to commit when the task has processed everything below `released_to`.
    fn position(&mut self, released_to: i64, raised_to: i64) -> Position {
        if let Some(recent) = &mut self.recent {
            // Ids are known by the highest event time; an idle mark may be far above it.
            recent.forget_before(released_to.min(self.watermark.highest_time()));
        }
        let needed = self.recent.as_ref().and_then(RecentIds::lowest_offset);
        while self.segments.len() > 1 {
            let unused = self.segments[0].buffered == 0
                && needed.is_none_or(|offset| offset >= self.segments[1].start);
            if !unused {
                break;
            }
            self.segments.pop_front();
        }
        let first = &self.segments[0];
        let empty = self.segments.len() == 1 && first.buffered == 0 && needed.is_none();
        let (scan_from, at_scan) = if empty {
            (self.next, self.watermark.clone())
        } else {
            (first.start, first.at_start.clone())
        };
        Position {
            scan_from,
            at_scan,
            // A commit soon after a restart must not forget what was judged before it.
            read_to: self.unread(),
            released_to,
            raised_to,
        }
    }
}

/// Whether an id may come again. Those that are made at ingest, UUIDs of version 7, do not.
fn is_declared(record: &Record) -> bool {
    record.id.as_uuid().get_version_num() != MADE_AT_INGEST
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use millrace_core::EventId;
    use millrace_core::Headers;
    use millrace_plan::model::IngestedStream;
    use millrace_plan::model::Retention;

    use super::*;

    fn stream(deduplicate: bool) -> StreamPlan {
        StreamPlan {
            name: "coordinates".parse().unwrap(),
            generation: 0,
            partitions: 1,
            retention: Retention::default(),
            origin: StreamOrigin::Ingested(IngestedStream {
                schema: None,
                key: vec![".race".parse().unwrap()],
                event_id: None,
                event_time: None,
                disorder: Duration::from_millis(50),
                idle: None,
                heartbeat: false,
                max_ahead: Duration::from_mins(5),
                max_behind: None,
                on_late: OnLate::Drop,
                deduplicate: deduplicate
                    .then_some(Deduplication { within: Duration::from_mins(2), max_ids: 1000 }),
            }),
        }
    }

    fn record(id: u8, time: i64) -> Record {
        Record {
            key: Bytes::from_static(b"race"),
            event_time: time,
            ingest_time: 0,
            id: EventId::from([id; 16]),
            headers: Headers::default(),
            value: Bytes::from_static(b"{}"),
        }
    }

    fn take(input: &mut Input, offset: Offset, id: u8, time: i64) -> Judgement {
        input.take(offset, Entry::Record(record(id, time)), i64::MIN, i64::MIN)
    }

    #[test]
    fn late_is_below_the_watermark_of_the_records_before_and_not_at_it() {
        let mut input = Input::new(&stream(true), 0, 0, None);
        assert!(matches!(take(&mut input, 0, 1, 1000), Judgement::Buffer(_)));
        assert!(matches!(take(&mut input, 1, 2, 950), Judgement::Buffer(_)));
        assert!(matches!(take(&mut input, 2, 3, 949), Judgement::Late(_)));
        input.take(3, Entry::Mark(Mark::Idle { watermark: 1001 }), i64::MIN, i64::MIN);
        assert!(matches!(take(&mut input, 4, 4, 1000), Judgement::Late(_)));
        assert!(matches!(take(&mut input, 5, 5, 1001), Judgement::Buffer(_)));
    }

    #[test]
    fn a_repetition_that_comes_late_is_a_repetition() {
        let mut input = Input::new(&stream(true), 0, 0, None);
        take(&mut input, 0, 1, 1000);
        take(&mut input, 1, 2, 2000);
        assert_eq!(take(&mut input, 2, 1, 1000), Judgement::Duplicate);
        let mut input = Input::new(&stream(false), 0, 0, None);
        take(&mut input, 0, 1, 1000);
        take(&mut input, 1, 2, 2000);
        assert!(matches!(take(&mut input, 2, 1, 1000), Judgement::Late(_)));
    }

    #[test]
    fn ids_that_were_made_at_ingest_are_unique_and_not_remembered() {
        let mut input = Input::new(&stream(true), 0, 0, None);
        let made: EventId = "0190163d-8694-739b-aea5-966c26f8ad91".parse().unwrap();
        for offset in 0..2 {
            let record = Record { id: made, ..record(0, 1000) };
            let judged = input.take(offset, Entry::Record(record), i64::MIN, i64::MIN);
            assert!(matches!(judged, Judgement::Buffer(_)));
        }
        assert_eq!(input.recent.unwrap().lowest_offset(), None);
    }

    #[test]
    fn after_a_restart_buffered_records_come_back_and_judged_ones_do_not() {
        let log = [(1, 1000), (2, 1060), (3, 900), (1, 1000), (4, 1080)];
        let mut input = Input::new(&stream(true), 0, 0, None);
        let judged: Vec<_> =
            (0..).zip(log).map(|(o, (id, t))| take(&mut input, o, id, t)).collect();
        assert!(matches!(judged[2], Judgement::Late(_)));
        assert_eq!(judged[3], Judgement::Duplicate);
        // The watermark is 1030: the record at 1000 was released, 1060 and 1080 are buffered.
        input.released(0);
        let position = input.position(1030, i64::MIN);
        assert_eq!((position.scan_from, position.read_to), (0, 5));

        let mut input = Input::new(&stream(true), 0, 0, Some(position));
        let again: Vec<_> = (0..)
            .zip(log)
            .map(|(o, (id, t))| input.take(o, Entry::Record(record(id, t)), 1030, i64::MIN))
            .collect();
        assert_eq!(again[0], Judgement::Nothing);
        assert!(matches!(again[1], Judgement::Buffer(_)));
        assert_eq!(again[2], Judgement::Nothing);
        assert_eq!(again[3], Judgement::Nothing);
        assert!(matches!(again[4], Judgement::Buffer(_)));
        assert_eq!(
            input.take(5, Entry::Record(record(2, 1060)), 1030, i64::MIN),
            Judgement::Duplicate
        );
    }

    #[test]
    fn a_commit_while_reading_again_does_not_take_the_position_back() {
        let mut input = Input::new(&stream(true), 0, 0, None);
        for offset in 0..5 {
            take(&mut input, offset, u8::try_from(offset).unwrap(), 1000 + offset);
        }
        let position = input.position(i64::MIN, i64::MIN);
        let mut input = Input::new(&stream(true), 0, 0, Some(position));
        take(&mut input, 0, 0, 1000);
        let position = input.position(i64::MIN, i64::MIN);
        assert_eq!((position.scan_from, position.read_to), (0, 5));
    }

    #[test]
    fn an_idle_mark_far_ahead_changes_nothing_in_what_a_restart_knows() {
        let log =
            [Entry::Record(record(1, 1_000_000)), Entry::Mark(Mark::Idle { watermark: 1_999_000 })];
        let mut input = Input::new(&stream(true), 0, 0, None);
        for (offset, entry) in (0..).zip(log.clone()) {
            input.take(offset, entry, i64::MIN, i64::MIN);
        }
        input.released(0);
        let position = input.position(1_999_000, i64::MIN);
        let mut again = Input::new(&stream(true), 0, 0, Some(position.clone()));
        for offset in position.scan_from..2 {
            let entry = log[usize::try_from(offset).unwrap()].clone();
            assert_eq!(again.take(offset, entry, 1_999_000, i64::MIN), Judgement::Nothing);
        }
        for input in [&mut input, &mut again] {
            let repeated = Entry::Record(record(1, 1_000_000));
            assert_eq!(input.take(2, repeated, 1_999_000, i64::MIN), Judgement::Duplicate);
        }
    }

    #[test]
    fn reading_again_gives_back_what_was_judged_and_not_released() {
        let log = [(1, 1000), (2, 1060), (3, 900), (1, 1000), (4, 1080)];
        let mut input = Input::new(&stream(true), 0, 0, None);
        for (offset, (id, time)) in (0..).zip(log) {
            take(&mut input, offset, id, time);
        }
        input.released(0);
        input.read_again(1030, i64::MIN);
        assert_eq!((input.next, input.unread()), (0, 5));
        let mut again = Vec::new();
        for (offset, (id, time)) in (0..).zip(log) {
            let judged = input.take(offset, Entry::Record(record(id, time)), 1030, i64::MIN);
            if let Judgement::Buffer(record) = judged {
                again.push(record.event_time);
            } else {
                assert_eq!(judged, Judgement::Nothing);
            }
        }
        assert_eq!(again, [1060, 1080]);
        let repeated = input.take(5, Entry::Record(record(2, 1060)), 1030, i64::MIN);
        assert_eq!(repeated, Judgement::Duplicate);
    }

    #[test]
    fn reading_again_starts_no_earlier_than_what_is_still_needed() {
        let mut input = Input::new(&stream(false), 0, 0, None);
        for offset in 0..2500 {
            take(&mut input, offset, 0, offset);
        }
        for offset in 0..1700 {
            input.released(offset);
        }
        let position = input.position(1700, i64::MIN);
        assert_eq!(position.scan_from, 1000);
        assert_eq!(position.at_scan.highest_time(), 999);
        for offset in 1700..2500 {
            input.released(offset);
        }
        assert_eq!(input.position(2500, i64::MIN).scan_from, 2500);
    }
}
