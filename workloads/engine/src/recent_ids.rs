//! Recognises events that were delivered before, by id, within a span of event time.
//!
//! What it knows at an offset follows from the partition's log up to there alone, so that a
//! replay and a restart judge every record the same.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::time::Duration;

use millrace_core::EventId;
use millrace_core::Offset;
use millrace_plan::model::Deduplication;

/// Ids are forgotten in buckets of this much event time, in milliseconds.
const BUCKET_MILLIS: i64 = 1000;

/// The ids of a partition's recent events.
#[derive(Debug)]
pub(crate) struct RecentIds {
    within: i64,
    max_ids: usize,
    times: HashMap<EventId, i64>,
    buckets: BTreeMap<i64, Bucket>,
    /// Ids of events before this time are not known any more, for want of room.
    floor: i64,
}

#[derive(Debug)]
struct Bucket {
    lowest_offset: Offset,
    ids: Vec<EventId>,
}

impl RecentIds {
    /// Starts empty; `floor` is what [`RecentIds::floor`] was when the partition was last read.
    pub(crate) fn new(settings: Deduplication, floor: i64) -> Self {
        Self {
            within: millis(settings.within),
            max_ids: settings.max_ids.max(1),
            times: HashMap::new(),
            buckets: BTreeMap::new(),
            floor,
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
        let horizon = highest_time.saturating_sub(self.within).max(self.floor);
        if self.times.get(&id).is_some_and(|before| *before >= horizon) {
            return true;
        }
        if time >= horizon {
            self.times.insert(id, time);
            let bucket = self
                .buckets
                .entry(time.div_euclid(BUCKET_MILLIS))
                .or_insert_with(|| Bucket { lowest_offset: offset, ids: Vec::new() });
            bucket.ids.push(id);
            if self.times.len() > self.max_ids {
                self.forget_lowest();
            }
        }
        false
    }

    /// Forgets what can no longer matter: ids of events before `time` less the span.
    pub(crate) fn forget_before(&mut self, time: i64) {
        let horizon = time.saturating_sub(self.within);
        while let Some(entry) = self.buckets.first_entry() {
            if (entry.key() + 1).saturating_mul(BUCKET_MILLIS) > horizon {
                break;
            }
            let (number, bucket) = entry.remove_entry();
            self.drop_ids(number, bucket);
        }
    }

    /// The lowest offset that must be read again to know the same ids.
    pub(crate) fn lowest_offset(&self) -> Option<Offset> {
        self.buckets.values().map(|bucket| bucket.lowest_offset).min()
    }

    /// The event time below which ids were forgotten for want of room.
    pub(crate) fn floor(&self) -> i64 {
        self.floor
    }

    fn forget_lowest(&mut self) {
        if let Some((number, bucket)) = self.buckets.pop_first() {
            self.floor = (number + 1).saturating_mul(BUCKET_MILLIS);
            self.drop_ids(number, bucket);
        }
    }

    /// An id may have come again at a later time, after it was no longer known: then it stays.
    fn drop_ids(&mut self, number: i64, bucket: Bucket) {
        for id in bucket.ids {
            if self.times.get(&id).is_some_and(|time| time.div_euclid(BUCKET_MILLIS) == number) {
                self.times.remove(&id);
            }
        }
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
        RecentIds::new(Deduplication { within: Duration::from_mins(2), max_ids }, i64::MIN)
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
        assert_eq!(ids.times.len(), 1);
    }

    #[test]
    fn beyond_the_limit_the_oldest_ids_go_and_the_floor_says_so() {
        let mut ids = recent(2);
        ids.seen(id(1), 500, 0, 500);
        ids.seen(id(2), 1500, 1, 1500);
        ids.seen(id(3), 2500, 2, 2500);
        assert_eq!(ids.floor(), 1000);
        assert!(!ids.seen(id(1), 500, 3, 2500));
        assert!(ids.seen(id(2), 1500, 4, 2500));
    }
}
