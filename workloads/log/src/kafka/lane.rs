//! A lane: one consumer that reads each partition at one place at most.

use std::collections::HashMap;
use std::collections::hash_map::Entry as MapEntry;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use millrace_core::Offset;
use parking_lot::Mutex;
use rdkafka::Offset as KafkaOffset;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::BaseConsumer;
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use tokio::sync::mpsc::UnboundedSender;

use super::client;
use super::client::ConfigureKafkaError;
use super::client::Connection;
use super::client::Role;
use super::cursor::Cursor;
use super::cursor::Place;
use super::cursor::Signal;
use super::extent::Topic;
use super::names::Names;
use super::settings::KafkaSettings;

/// A consumer, and where it stands in which partitions.
pub(super) struct Lane {
    consumer: Arc<BaseConsumer<Connection>>,
    cursors: Mutex<HashMap<Place, Slot>>,
    is_retired: AtomicBool,
}

enum Slot {
    /// Someone reads by it, or it is being opened.
    Taken,
    Idle(Box<Cursor>),
}

/// A place of a lane that is taken. It goes back when this is dropped.
pub(super) struct Lease {
    lane: Arc<Lane>,
    place: Place,
    cursor: Option<Box<Cursor>>,
}

impl Lane {
    pub(super) fn new(
        settings: &KafkaSettings,
        names: &Names,
    ) -> Result<Arc<Self>, ConfigureKafkaError> {
        let consumer = client::config(settings, Role::Reader { group: &names.reader() })?
            .create_with_context(Connection::new(settings))
            .map_err(ConfigureKafkaError::Create)?;
        Ok(Arc::new(Self {
            consumer: Arc::new(consumer),
            cursors: Mutex::default(),
            is_retired: AtomicBool::new(false),
        }))
    }

    /// Whether nobody should begin to read by it any more.
    pub(super) fn is_retired(&self) -> bool {
        self.is_retired.load(Ordering::Relaxed)
    }

    /// Takes the idle cursor that stands exactly there.
    pub(super) fn take_at(
        self: &Arc<Self>,
        place: &Place,
        topic: &Arc<Topic>,
        from: Offset,
    ) -> Option<Lease> {
        // A stream that was removed and made anew has another topic.
        self.take_if(place, |cursor| cursor.next == from && Arc::ptr_eq(&cursor.topic, topic))
    }

    /// Takes the idle cursor of a place if it has not been used for so long.
    pub(super) fn take_unused(self: &Arc<Self>, place: &Place, since: Duration) -> Option<Lease> {
        self.take_if(place, |cursor| cursor.used.elapsed() >= since)
    }

    fn take_if(
        self: &Arc<Self>,
        place: &Place,
        condition: impl FnOnce(&Cursor) -> bool,
    ) -> Option<Lease> {
        let mut cursors = self.cursors.lock();
        let slot = cursors.get_mut(place)?;
        match slot {
            Slot::Idle(cursor) if condition(cursor) => {}
            _ => return None,
        }
        let Slot::Idle(cursor) = std::mem::replace(slot, Slot::Taken) else { return None };
        Some(Lease { lane: Arc::clone(self), place: place.clone(), cursor: Some(cursor) })
    }

    /// Takes a place that this lane does not read yet.
    pub(super) fn take_free(self: &Arc<Self>, place: &Place) -> Option<Lease> {
        match self.cursors.lock().entry(place.clone()) {
            MapEntry::Occupied(_) => None,
            MapEntry::Vacant(vacant) => {
                vacant.insert(Slot::Taken);
                Some(Lease { lane: Arc::clone(self), place: place.clone(), cursor: None })
            }
        }
    }

    /// How long the idle cursor of a place has not been used.
    pub(super) fn unused_for(&self, place: &Place) -> Option<Duration> {
        match self.cursors.lock().get(place) {
            Some(Slot::Idle(cursor)) => Some(cursor.used.elapsed()),
            _ => None,
        }
    }

    /// Something has been fetched for a cursor: if nobody reads by it, the partition's followers
    /// are told.
    pub(super) fn look(&self, place: &Place) {
        let mut cursors = self.cursors.lock();
        if let Some(Slot::Idle(cursor)) = cursors.get_mut(place)
            && cursor.look().is_err()
        {
            // Whoever reads there meets the error again.
            self.unassign(&cursor.topic.name, place);
            cursors.remove(place);
        }
    }

    /// Lets librdkafka do what it does by its user's thread: log lines and tokens.
    pub(super) fn serve(&self) {
        if let Some(Ok(message)) = self.consumer.poll(Duration::ZERO) {
            // Every partition has its own queue before it is read.
            tracing::error!(
                message = "A message came by a way that it should not come by.",
                topic = message.topic(),
                partition = message.partition(),
                offset = message.offset(),
            );
        }
    }

    /// Lets idle cursors go that the condition finds superfluous; whether any cursor is left.
    pub(super) fn retain(&self, mut is_needed: impl FnMut(&Place, &Cursor) -> bool) -> bool {
        let mut gone = Vec::new();
        let mut cursors = self.cursors.lock();
        cursors.retain(|place, slot| match slot {
            Slot::Idle(cursor) if !is_needed(place, cursor) => {
                gone.push((place.clone(), cursor.topic.name.clone()));
                false
            }
            _ => true,
        });
        // The lock is held until the partitions are unassigned, so that they are not assigned
        // again in between.
        for (place, topic) in &gone {
            self.unassign(topic, place);
        }
        !cursors.is_empty()
    }

    /// The offset that comes after all that was fetched of a place and taken, marks of
    /// transactions included.
    fn position(&self, cursor: &Cursor) -> Option<Offset> {
        let positions = self.consumer.position().ok()?;
        let found = positions.find_partition(&cursor.topic.name, cursor.partition)?;
        match found.offset() {
            KafkaOffset::Offset(offset) => Some(offset),
            _ => None,
        }
    }

    fn assign(&self, topic: &str, place: &Place, from: Offset) -> Result<(), KafkaError> {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, place.partition, KafkaOffset::Offset(from))?;
        self.consumer.incremental_assign(&list)
    }

    fn unassign(&self, topic: &str, place: &Place) {
        let mut list = TopicPartitionList::new();
        list.add_partition(topic, place.partition);
        if let Err(error) = self.consumer.incremental_unassign(&list) {
            tracing::warn!(message = "A partition is still fetched.", ?place, %error);
        }
    }
}

impl Lease {
    /// The cursor, which stands where it was opened.
    pub(super) fn cursor(&mut self) -> Option<&mut Cursor> {
        self.cursor.as_deref_mut()
    }

    /// Begins to read at an offset. It asks librdkafka and waits for its answer.
    pub(super) fn open(
        &mut self,
        topic: &Arc<Topic>,
        from: Offset,
        arrivals: UnboundedSender<Arc<Signal>>,
    ) -> Result<(), KafkaError> {
        let lane = &self.lane;
        if let Some(before) = self.cursor.take() {
            lane.unassign(&before.topic.name, &self.place);
        }
        // The queue is split off first, so that nothing is fetched into the consumer's own.
        let queue = lane
            .consumer
            .split_partition_queue(&topic.name, self.place.partition)
            .ok_or_else(|| KafkaError::Subscription(format!("no queue of {}", topic.name)))?;
        lane.assign(&topic.name, &self.place, from)?;
        let signal = Signal::new(Arc::downgrade(lane), self.place.clone(), arrivals);
        let (topic, partition) = (Arc::clone(topic), self.place.partition);
        self.cursor = Some(Box::new(Cursor::new(topic, partition, from, queue, signal)));
        Ok(())
    }

    /// Moves the cursor behind marks of transactions that were fetched.
    pub(super) fn pass_marks(&mut self) {
        if let Some(cursor) = &mut self.cursor
            && let Some(next) = self.lane.position(cursor)
        {
            cursor.pass(next);
        }
    }

    /// Does not read here any more, and has nobody else begin to read by the same consumer.
    pub(super) fn retire(self) {
        self.lane.is_retired.store(true, Ordering::Relaxed);
        self.close();
    }

    /// Does not read here any more: the cursor does not stand where it says.
    pub(super) fn close(mut self) {
        if let Some(cursor) = self.cursor.take() {
            self.lane.unassign(&cursor.topic.name, &self.place);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut cursors = self.lane.cursors.lock();
        let Some(mut cursor) = self.cursor.take() else {
            cursors.remove(&self.place);
            return;
        };
        cursor.used = Instant::now();
        // What was fetched while it was taken was told to nobody else.
        if cursor.look().is_ok() {
            cursors.insert(self.place.clone(), Slot::Idle(cursor));
        } else {
            self.lane.unassign(&cursor.topic.name, &self.place);
            cursors.remove(&self.place);
        }
    }
}
