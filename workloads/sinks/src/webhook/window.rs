//! Records that were read and are not all sent: which may go next, and how far the position may
//! move.

use std::collections::HashSet;
use std::collections::VecDeque;

use bytes::Bytes;
use millrace_core::Offset;
use millrace_core::Record;

/// Records that were read and are not all sent, in the order of their offsets.
#[derive(Debug)]
pub(crate) struct Window {
    records: VecDeque<Slot>,
    /// Keys that have a record on its way.
    busy: HashSet<Bytes>,
    /// The offset after all that was read.
    read: Offset,
    /// Bytes of records that are not finished.
    bytes: usize,
}

#[derive(Debug)]
struct Slot {
    offset: Offset,
    state: SlotState,
}

#[derive(Debug)]
enum SlotState {
    Waiting(Record),
    /// Its key, and its bytes.
    OnItsWay(Bytes, usize),
    Finished,
}

impl Window {
    /// Nothing is read yet; the next offset to read.
    pub(crate) fn new(next: Offset) -> Self {
        Self { records: VecDeque::new(), busy: HashSet::new(), read: next, bytes: 0 }
    }

    /// The next offset to read.
    pub(crate) const fn read(&self) -> Offset {
        self.read
    }

    /// Records in the window.
    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is room for more: the window has fewer records and bytes than these, or is
    /// empty.
    pub(crate) fn has_room(&self, records: usize, bytes: usize) -> bool {
        self.records.is_empty() || (self.records.len() < records && self.bytes < bytes)
    }

    /// Records on their way.
    pub(crate) fn on_their_way(&self) -> usize {
        self.busy.len()
    }

    /// Everything below is sent, or refused for good.
    pub(crate) fn position(&self) -> Offset {
        self.records.front().map_or(self.read, |slot| slot.offset)
    }

    /// Adds what was read, and where to read on.
    pub(crate) fn add(&mut self, records: impl Iterator<Item = (Offset, Record)>, next: Offset) {
        for (offset, record) in records {
            self.bytes += size(&record);
            self.records.push_back(Slot { offset, state: SlotState::Waiting(record) });
        }
        self.read = next;
    }

    /// The first record that waits and whose key has none on its way; it is on its way then.
    pub(crate) fn start(&mut self) -> Option<(Offset, Record)> {
        let slot = self.records.iter_mut().find(
            |slot| matches!(&slot.state, SlotState::Waiting(record) if !self.busy.contains(&record.key)),
        )?;
        let SlotState::Waiting(record) = &slot.state else { return None };
        let record = record.clone();
        slot.state = SlotState::OnItsWay(record.key.clone(), size(&record));
        self.busy.insert(record.key.clone());
        Some((slot.offset, record))
    }

    /// A record has been sent, or refused for good.
    pub(crate) fn finish(&mut self, offset: Offset) {
        if let Ok(index) = self.records.binary_search_by_key(&offset, |slot| slot.offset)
            && let Some(slot) = self.records.get_mut(index)
            && let SlotState::OnItsWay(key, bytes) =
                std::mem::replace(&mut slot.state, SlotState::Finished)
        {
            self.busy.remove(&key);
            self.bytes -= bytes;
        }
        while matches!(self.records.front(), Some(slot) if matches!(slot.state, SlotState::Finished))
        {
            self.records.pop_front();
        }
    }
}

fn size(record: &Record) -> usize {
    record.key.len() + record.value.len()
}

#[cfg(test)]
mod tests {
    use millrace_core::EventId;
    use millrace_core::Headers;

    use super::*;

    fn window(keys: &[&'static str]) -> Window {
        let mut window = Window::new(10);
        let records = keys.iter().map(|key| Record {
            key: Bytes::from_static(key.as_bytes()),
            event_time: 0,
            ingest_time: 0,
            id: EventId::from([0; 16]),
            headers: Headers::default(),
            value: Bytes::new(),
        });
        window.add((10..).zip(records), 20);
        window
    }

    fn started(window: &mut Window) -> Option<Offset> {
        window.start().map(|(offset, _)| offset)
    }

    #[test]
    fn a_key_has_one_record_on_its_way_and_they_go_in_order() {
        let mut window = window(&["a", "a", "b", "a"]);
        assert_eq!([started(&mut window), started(&mut window)], [Some(10), Some(12)]);
        assert_eq!((started(&mut window), window.on_their_way()), (None, 2));
        window.finish(10);
        assert_eq!(started(&mut window), Some(11));
        assert_eq!(started(&mut window), None);
        window.finish(11);
        assert_eq!(started(&mut window), Some(13));
    }

    #[test]
    fn the_position_moves_over_finished_records_alone() {
        let mut window = window(&["a", "b", "c"]);
        for _ in 0..3 {
            window.start().unwrap();
        }
        window.finish(11);
        assert_eq!((window.position(), window.len()), (10, 3));
        window.finish(10);
        assert_eq!((window.position(), window.len()), (12, 1));
        window.finish(12);
        assert_eq!((window.position(), window.read()), (20, 20));
    }

    #[test]
    fn records_and_bytes_bound_what_is_read_and_an_empty_window_always_takes_more() {
        let mut window = window(&["a", "bb"]);
        assert!(window.has_room(3, 4));
        assert!(!window.has_room(2, 4));
        assert!(!window.has_room(3, 3));
        window.start().unwrap();
        window.start().unwrap();
        window.finish(11);
        assert!(window.has_room(3, 2));
        assert!(!window.has_room(3, 1));
        window.finish(10);
        assert!(window.has_room(0, 0));
    }
}
