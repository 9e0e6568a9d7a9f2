//! Recognises events that were delivered before, by id, within a span of event time.
//!
//! What it knows at an offset follows from the partition's log up to there alone, so that a
//! replay and a restart judge every record the same.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::VecDeque;
use std::time::Duration;

use millrace_core::EventId;
use millrace_core::Offset;
use millrace_plan::model::Deduplication;

/// Offsets that must be read again are kept in buckets of this much event time, in milliseconds.
const BUCKET_MILLIS: i64 = 1000;

/// The ids of a partition's recent events.
///
/// An id is known if it came among the last `max_ids` entries of the partition, at an event time
/// that is not further below the highest one than the span. Both are facts of the log; a limit by
/// the number of different ids would depend on where reading began.
#[derive(Debug)]
pub(crate) struct RecentIds {
    within: i64,
    max_ids: Offset,
    last: HashMap<EventId, Occurrence>,
    /// The occurrences in the order of the log; those that are not known any more leave in front.
    order: VecDeque<(EventId, Occurrence)>,
    /// By buckets of event time: the lowest offset that is needed to know the same ids again.
    lowest_offsets: BTreeMap<i64, Offset>,
}

/// Where an id was last, and the highest event time that it came with.
#[derive(Debug, Clone, Copy)]
struct Occurrence {
    offset: Offset,
    time: i64,
}

impl RecentIds {
    /// Starts empty.
    pub(crate) fn new(settings: Deduplication) -> Self {
        Self {
            within: millis(settings.within),
            max_ids: Offset::try_from(settings.max_ids.max(1)).unwrap_or(Offset::MAX),
            last: HashMap::new(),
            order: VecDeque::new(),
            lowest_offsets: BTreeMap::new(),
        }
    }

    /// Takes the next record's id; `highest_time` is the partition's highest event time, this
    /// record included. Whether the id was there before.
    pub(crate) fn seen(
        &mut self,
        id: EventId,
        time: i64,
        offset: Offset,
        highest_time: i64,
    ) -> bool {
        let horizon = highest_time.saturating_sub(self.within);
        let lowest = offset.saturating_sub(self.max_ids);
        let known = |one: &Occurrence| one.time >= horizon && one.offset >= lowest;
        while let Some((id, one)) = self.order.pop_front_if(|(_, one)| !known(one)) {
            // It may have come again since.
            if self.last.get(&id).is_some_and(|last| last.offset == one.offset) {
                self.last.remove(&id);
            }
        }
        let before = self.last.get(&id).copied().filter(known);
        let time = before.map_or(time, |before| before.time.max(time));
        if time >= horizon {
            let occurrence = Occurrence { offset, time };
            self.last.insert(id, occurrence);
            self.order.push_back((id, occurrence));
            self.lowest_offsets.entry(time.div_euclid(BUCKET_MILLIS)).or_insert(offset);
        }
        before.is_some()
    }

    /// Gives up what cannot matter after a restart at this event time: what came before it by
    /// more than the span.
    pub(crate) fn forget_before(&mut self, time: i64) {
        let horizon = time.saturating_sub(self.within);
        while let Some(entry) = self.lowest_offsets.first_entry() {
            if (entry.key() + 1).saturating_mul(BUCKET_MILLIS) > horizon {
                break;
            }
            entry.remove();
        }
    }

    /// The lowest offset that must be read again to know the same ids.
    pub(crate) fn lowest_offset(&self) -> Option<Offset> {
        self.lowest_offsets.values().copied().min()
    }
}

/// A duration in milliseconds; what does not fit is the most there is.
pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u8) -> EventId {
        EventId::from([number; 16])
    }

    fn recent(max_ids: usize) -> RecentIds {
        RecentIds::new(Deduplication { within: Duration::from_mins(2), max_ids })
    }

    #[test]
    fn an_id_is_known_for_two_minutes_of_event_time() {
        let mut ids = recent(10);
        assert!(!ids.seen(id(1), 1000, 0, 1000));
        assert!(ids.seen(id(1), 1000, 1, 121_000));
        assert!(!ids.seen(id(1), 1000, 2, 121_001));
    }

    #[test]
    fn forgetting_what_is_out_of_reach_frees_it_and_its_offset() {
        let mut ids = recent(10);
        ids.seen(id(1), 1000, 7, 1000);
        ids.seen(id(2), 5000, 8, 5000);
        ids.forget_before(121_999);
        assert_eq!(ids.lowest_offset(), Some(7));
        ids.forget_before(122_000);
        assert_eq!(ids.lowest_offset(), Some(8));
    }

    #[test]
    fn an_id_is_known_among_as_many_entries_as_the_limit_says() {
        let mut ids = recent(2);
        assert!(!ids.seen(id(1), 500, 0, 500));
        assert!(!ids.seen(id(2), 500, 1, 500));
        assert!(ids.seen(id(1), 500, 2, 500));
        assert!(ids.seen(id(1), 500, 4, 500));
        assert!(!ids.seen(id(2), 500, 5, 500));
        assert_eq!((ids.last.len(), ids.order.len()), (2, 2));
    }

    #[test]
    fn what_is_beyond_the_span_takes_no_memory() {
        let mut ids = recent(1000);
        for (number, time) in (0_u8..100).zip((0..).step_by(60_000)) {
            ids.seen(id(number), time, Offset::from(number), time);
        }
        assert_eq!((ids.last.len(), ids.order.len()), (3, 3));
    }

    #[test]
    fn a_repetition_counts_from_its_last_and_latest_occurrence() {
        let mut ids = recent(10);
        assert!(!ids.seen(id(1), 100_000, 0, 100_000));
        assert!(ids.seen(id(1), 60_000, 1, 150_000));
        assert!(ids.seen(id(1), 60_000, 2, 220_000));
        assert!(!ids.seen(id(1), 60_000, 3, 220_001));
    }
}
