//! The states that are kept, in memory and within their bound.
//!
//! One thread reads on in them; whoever claims a task takes its state away, and where it is being
//! read at that moment, has that broken off. What is taken is what a whole restore would have read
//! up to the same offset.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

use millrace_core::Offset;
use millrace_core::Partition;
use parking_lot::Condvar;
use parking_lot::Mutex;

use super::super::changelog::Changelog;
use super::super::restored::Restored;
use crate::StandbyStatistics;
use crate::TaskName;

/// A state that was not read up to the end of its changelog for so long is not used: that a key
/// was removed may have gone from there meanwhile. Far less than the topic keeps it.
const MAX_AGE: Duration = Duration::from_hours(1);
/// How long a claim waits for whoever reads at that moment.
const PATIENCE: Duration = Duration::from_secs(5);

/// The states that are kept.
pub(super) struct Store {
    kept: Mutex<BTreeMap<TaskName, Standby>>,
    /// One is no longer being read.
    given_back: Condvar,
    max_bytes: usize,
}

struct Standby {
    topic: Arc<str>,
    state: State,
    entries: usize,
    bytes: usize,
    /// Offsets of the changelog that were missing when it was last asked; none if it has never
    /// been read to its end.
    lag: Option<Offset>,
    /// When it was known to have been read to its end, or begun.
    read_to_end: SystemTime,
}

enum State {
    Here(Restored),
    /// It is being read; set to have that broken off.
    BeingRead(Arc<AtomicBool>),
    /// There is no room for it, or a later program wrote it.
    GivenUp,
}

/// A state that is read on in.
pub(super) struct Reading {
    pub(super) restored: Restored,
    /// Whether somebody wants it as it is.
    pub(super) wanted: Arc<AtomicBool>,
    /// How large it may become.
    pub(super) max_bytes: usize,
}

impl Standby {
    fn new(topic: &Arc<str>) -> Self {
        Self {
            topic: Arc::clone(topic),
            state: State::Here(Restored::default()),
            entries: 0,
            bytes: 0,
            lag: None,
            read_to_end: SystemTime::now(),
        }
    }

    fn give_up(&mut self) {
        (self.entries, self.bytes, self.lag) = (0, 0, None);
        self.state = State::GivenUp;
    }

    fn is_fresh(&self) -> bool {
        // A clock that was set back tells nothing.
        self.read_to_end.elapsed().is_ok_and(|age| age < MAX_AGE)
    }
}

impl Store {
    pub(super) fn new(max_bytes: usize) -> Self {
        Self { kept: Mutex::default(), given_back: Condvar::new(), max_bytes }
    }

    /// Keeps these partitions of a stage from now on. Those that are this process's own stay until
    /// they are claimed, but are not begun.
    pub(super) fn keep(
        &self,
        stage: &str,
        changelog: &Changelog,
        wanted: &BTreeSet<Partition>,
        own: &BTreeSet<Partition>,
    ) {
        let mut kept = self.kept.lock();
        kept.retain(|task, standby| {
            let stays = wanted.contains(&task.partition) || own.contains(&task.partition);
            // There may be room now.
            let is_of_use = !matches!(standby.state, State::GivenUp);
            task.stage != stage || stays && is_of_use && standby.topic == changelog.topic
        });
        for partition in wanted.difference(own) {
            let task = TaskName { stage: stage.to_owned(), partition: *partition };
            kept.entry(task).or_insert_with(|| Standby::new(&changelog.topic));
        }
    }

    /// Keeps nothing of a stage any more.
    pub(super) fn forget(&self, stage: &str) {
        self.kept.lock().retain(|task, _| task.stage != stage);
    }

    /// Takes a task's state away; none if it is not kept, or too old. It may wait for moments.
    pub(super) fn take(&self, task: &TaskName) -> Option<Restored> {
        let deadline = Instant::now() + PATIENCE;
        let mut kept = self.kept.lock();
        while let Some(State::BeingRead(wanted)) = kept.get(task).map(|standby| &standby.state) {
            wanted.store(true, Ordering::Release);
            if self.given_back.wait_until(&mut kept, deadline).timed_out() {
                break;
            }
        }
        let standby = kept.remove(task)?;
        let is_fresh = standby.is_fresh();
        match standby.state {
            State::Here(restored) if is_fresh && restored.end > 0 => Some(restored),
            _ => None,
        }
    }

    /// The tasks whose states can be read on, with their topics and up to where they were read.
    pub(super) fn readable(&self) -> Vec<(TaskName, Arc<str>, Offset)> {
        let kept = self.kept.lock();
        let of = |(task, standby): (&TaskName, &Standby)| match &standby.state {
            State::Here(restored) => Some((task.clone(), Arc::clone(&standby.topic), restored.end)),
            State::BeingRead(_) | State::GivenUp => None,
        };
        kept.iter().filter_map(of).collect()
    }

    /// Begins to read on; none if it is not kept any more.
    pub(super) fn begin(&self, task: &TaskName) -> Option<Reading> {
        let mut kept = self.kept.lock();
        let others = kept.iter().filter(|(other, _)| *other != task);
        let others: usize = others.map(|(_, standby)| standby.bytes).sum();
        let standby = kept.get_mut(task)?;
        if !standby.is_fresh() {
            *standby = Standby::new(&Arc::clone(&standby.topic));
        }
        let wanted = Arc::new(AtomicBool::new(false));
        let being_read = State::BeingRead(Arc::clone(&wanted));
        match std::mem::replace(&mut standby.state, being_read) {
            State::Here(restored) => {
                Some(Reading { restored, wanted, max_bytes: self.max_bytes.saturating_sub(others) })
            }
            other => {
                standby.state = other;
                None
            }
        }
    }

    /// Ends reading with what there is now. `end` is where the changelog ended at a time.
    pub(super) fn give_back(&self, task: &TaskName, reading: Reading, end: Offset, at: SystemTime) {
        let Reading { restored, wanted, max_bytes } = reading;
        self.put(task, &wanted, |standby| {
            (standby.entries, standby.bytes) = (restored.entries(), restored.footprint());
            if restored.end >= end {
                (standby.lag, standby.read_to_end) = (Some(0), at);
            } else if let Some(lag) = &mut standby.lag {
                *lag = end - restored.end;
            }
            if standby.bytes > max_bytes {
                standby.give_up();
            } else {
                standby.state = State::Here(restored);
            }
        });
    }

    /// Ends reading for good: it cannot be read here.
    pub(super) fn give_up(&self, task: &TaskName, wanted: &Arc<AtomicBool>) {
        self.put(task, wanted, Standby::give_up);
    }

    /// Ends reading with nothing: it begins anew.
    pub(super) fn discard(&self, task: &TaskName, wanted: &Arc<AtomicBool>) {
        self.put(task, wanted, |standby| *standby = Standby::new(&Arc::clone(&standby.topic)));
    }

    fn put(&self, task: &TaskName, wanted: &Arc<AtomicBool>, change: impl FnOnce(&mut Standby)) {
        let mut kept = self.kept.lock();
        // It may have been forgotten meanwhile, and begun anew.
        if let Some(standby) = kept.get_mut(task)
            && matches!(&standby.state, State::BeingRead(known) if Arc::ptr_eq(known, wanted))
        {
            change(standby);
        }
        drop(kept);
        self.given_back.notify_all();
    }

    /// Notes that a state had been read to where its changelog ended at a time.
    pub(super) fn is_level(&self, task: &TaskName, end: Offset, at: SystemTime) {
        if let Some(standby) = self.kept.lock().get_mut(task)
            && matches!(&standby.state, State::Here(restored) if restored.end == end)
        {
            (standby.lag, standby.read_to_end) = (Some(0), at);
        }
    }

    /// Whether everything of a stage was read to its end, as far as there is room.
    pub(super) fn is_complete(&self, stage: &str) -> bool {
        let kept = self.kept.lock();
        let mut of_stage = kept.iter().filter(|(task, _)| task.stage == stage);
        of_stage
            .all(|(_, standby)| standby.lag.is_some() || matches!(standby.state, State::GivenUp))
    }

    /// What is kept.
    pub(super) fn statistics(&self) -> Vec<StandbyStatistics> {
        let kept = self.kept.lock();
        kept.iter()
            .map(|(task, standby)| StandbyStatistics {
                task: task.clone(),
                entries: standby.entries as u64,
                bytes: standby.bytes as u64,
                lag: standby.lag.and_then(|lag| u64::try_from(lag).ok()),
                is_kept: !matches!(standby.state, State::GivenUp),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::keys;
    use super::*;

    const HOURS: Duration = Duration::from_hours(2);

    fn task() -> TaskName {
        TaskName { stage: "s".to_owned(), partition: 0 }
    }

    /// A store of so many bytes that keeps partition 0, of which 10 entries were read at a time.
    fn store(max_bytes: usize, at: SystemTime) -> Store {
        let store = Store::new(max_bytes);
        let changelog = Changelog { topic: Arc::from("t"), partitions: 1 };
        store.keep("s", &changelog, &BTreeSet::from([0]), &BTreeSet::new());
        read_on(&store, at);
        store
    }

    /// Reads 10 entries, to the end.
    fn read_on(store: &Store, at: SystemTime) {
        let mut reading = store.begin(&task()).unwrap();
        for key in 0..10_u8 {
            reading.restored.apply(&keys::state("s", &[key]), Some(b"value")).unwrap();
        }
        reading.restored.end = 10;
        store.give_back(&task(), reading, 10, at);
    }

    #[test]
    fn what_was_read_to_the_end_is_taken_once() {
        let store = store(10_000, SystemTime::now());
        assert!(store.is_complete("s"));
        assert_eq!(store.statistics()[0].entries, 10);
        let taken = store.take(&task()).unwrap();
        assert_eq!((taken.end, taken.entries()), (10, 10));
        assert!(store.take(&task()).is_none());
        assert_eq!(store.statistics(), []);
    }

    #[test]
    fn what_was_not_at_its_end_for_long_is_not_used_and_begun_anew() {
        let store = store(10_000, SystemTime::now() - HOURS);
        let reading = store.begin(&task()).unwrap();
        assert_eq!((reading.restored.end, reading.restored.entries()), (0, 0));
        store.discard(&task(), &reading.wanted);
        read_on(&store, SystemTime::now() - HOURS);
        assert!(store.take(&task()).is_none());
        // Nor is it where the clock was set back since.
        let store = super::tests::store(10_000, SystemTime::now() + HOURS);
        assert!(store.take(&task()).is_none());
    }

    #[test]
    fn a_state_that_had_nothing_to_read_stays_of_use() {
        let store = store(10_000, SystemTime::now() - HOURS);
        store.is_level(&task(), 11, SystemTime::now());
        assert!(store.kept.lock()[&task()].read_to_end.elapsed().unwrap() > HOURS / 2);
        store.is_level(&task(), 10, SystemTime::now());
        assert!(store.take(&task()).is_some());
    }

    #[test]
    fn there_is_room_for_what_others_leave() {
        // An entry takes 5 bytes for its key, 5 for its value, and 128.
        let store = store(1500, SystemTime::now());
        assert_eq!(store.statistics()[0].bytes, 1380);
        let changelog = Changelog { topic: Arc::from("t"), partitions: 1 };
        store.keep("other", &changelog, &BTreeSet::from([0]), &BTreeSet::new());
        let other = TaskName { stage: "other".to_owned(), partition: 0 };
        assert_eq!(store.begin(&other).unwrap().max_bytes, 120);
        let reading = store.begin(&task()).unwrap();
        assert_eq!(reading.max_bytes, 1500);
        store.give_back(&task(), Reading { max_bytes: 1379, ..reading }, 10, SystemTime::now());
        let kept = &store.statistics()[1];
        assert_eq!((kept.bytes, kept.is_kept), (0, false));
        assert!(store.is_complete("s"));
        assert!(store.begin(&task()).is_none() && store.take(&task()).is_none());
    }

    #[test]
    fn whoever_claims_has_the_reading_broken_off_and_gets_what_there_is() {
        let store = store(10_000, SystemTime::now());
        let mut reading = store.begin(&task()).unwrap();
        std::thread::scope(|scope| {
            let claim = scope.spawn(|| store.take(&task()).unwrap());
            while !reading.wanted.load(Ordering::Acquire) {
                std::thread::yield_now();
            }
            reading.restored.apply(&keys::state("s", b"more"), Some(b"value")).unwrap();
            reading.restored.end = 12;
            store.give_back(&task(), reading, 20, SystemTime::now());
            let taken = claim.join().unwrap();
            assert_eq!((taken.end, taken.entries()), (12, 11));
        });
    }

    #[test]
    fn own_partitions_stay_until_they_are_claimed_and_others_go() {
        let store = store(10_000, SystemTime::now());
        let changelog = Changelog { topic: Arc::from("t"), partitions: 3 };
        let (wanted, own) = (BTreeSet::from([1]), BTreeSet::from([0, 2]));
        store.keep("s", &changelog, &wanted, &own);
        let kept = |store: &Store| -> Vec<Partition> {
            store.statistics().iter().map(|kept| kept.task.partition).collect()
        };
        assert_eq!(kept(&store), [0, 1]);
        store.keep("s", &changelog, &wanted, &BTreeSet::new());
        assert_eq!(kept(&store), [1]);
        store.forget("s");
        assert!(kept(&store).is_empty());
    }
}
