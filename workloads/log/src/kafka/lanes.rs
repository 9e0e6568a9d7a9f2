//! Reads by lanes: every sequential reader of a partition goes on where it stood, in a lane of
//! its own, and nothing is fetched twice.

use std::sync::Arc;
use std::time::Duration;

use millrace_core::Offset;
use millrace_core::Partition;
use millrace_core::StreamName;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::timeout_at;

use super::client::ConfigureKafkaError;
use super::cluster::Cluster;
use super::cursor::Cursor;
use super::cursor::Place;
use super::cursor::Signal;
use super::extent::Extent;
use super::extent::Topic;
use super::lane::Lane;
use super::lane::Lease;
use super::names::Names;
use super::settings::KafkaSettings;
use super::settings::ReadAhead;
use super::topics::Topics;
use crate::ReadBatch;
use crate::ReadError;
use crate::ReadLimit;

/// How long a read waits for what is known to be there. It is fetched within milliseconds; if the
/// brokers are gone the reader asks again.
const PATIENCE: Duration = Duration::from_secs(3);

/// A consumer that fetches nothing for so long of what is known to be there is replaced. More than a
/// transaction of others can stay open.
const IN_VAIN: Duration = Duration::from_secs(25);

/// A reader that pauses for less keeps its place.
const PAUSE: Duration = Duration::from_secs(5);

/// As many lanes are made before readers that pause lose their places.
const ENOUGH_LANES: usize = 8;

/// Places that nobody follows or reads at for so long are given up.
const UNUSED: Duration = Duration::from_mins(1);

/// Most places that wait for a reader of pages, beside those that are followed: what was fetched ahead
/// for each takes megabytes where records are small.
const PLACES: usize = 16;

/// Reads partitions.
pub(super) struct Lanes {
    settings: KafkaSettings,
    names: Names,
    topics: Arc<Topics>,
    cluster: Arc<Cluster>,
    open: Mutex<Vec<Arc<Lane>>>,
    arrivals: UnboundedSender<Arc<Signal>>,
}

impl Lanes {
    /// No lane at first; the receiver is for [`tell_arrivals`].
    pub(super) fn new(
        settings: &KafkaSettings,
        names: &Names,
        topics: Arc<Topics>,
        cluster: Arc<Cluster>,
    ) -> (Self, UnboundedReceiver<Arc<Signal>>) {
        let (arrivals, receiver) = mpsc::unbounded_channel();
        let (settings, names) = (settings.clone(), names.clone());
        let open = Mutex::default();
        (Self { settings, names, topics, cluster, open, arrivals }, receiver)
    }

    /// Reads from an offset on what is there.
    pub(super) async fn read(
        &self,
        stream: &StreamName,
        partition: Partition,
        from: Offset,
        limit: ReadLimit,
    ) -> Result<ReadBatch, ReadError> {
        let unknown = || ReadError::UnknownStream { stream: stream.clone(), partition };
        let topic = self.topics.find(stream).await?.ok_or_else(unknown)?;
        let extent = topic.partition(partition).ok_or_else(unknown)?;
        if from > extent.end() {
            // Others have appended since we asked; otherwise there is nothing to wait for.
            self.cluster.measure(std::slice::from_ref(&topic)).await?;
            if from > extent.end() {
                return Ok(ReadBatch { entries: Vec::new(), next: from });
            }
        }
        let from = from.max(extent.start());
        let mut lease = self.take(&topic, partition, from).await?;
        let result = self.read_by(&mut lease, extent, limit).await;
        if !matches!(result, Ok((_, Ok(())))) {
            lease.close();
        } else if lease.cursor().is_some_and(|cursor| cursor.in_vain >= IN_VAIN) {
            self.give_up(lease, &topic).await;
        }
        match result? {
            // What came before an error counts; the error comes again.
            (batch, Err(error)) if batch.entries.is_empty() => Err(error),
            (batch, _) => Ok(batch),
        }
    }

    /// Nothing is fetched of what is there. If the brokers answer, the consumer has lost its way, as
    /// has been seen after a broker came back at another address.
    async fn give_up(&self, mut lease: Lease, topic: &Arc<Topic>) {
        let measured = self.cluster.measure(std::slice::from_ref(topic)).await;
        let Some(cursor) = lease.cursor() else { return };
        if measured.is_err() {
            cursor.in_vain = Duration::ZERO;
            return;
        }
        tracing::warn!(
            message = "Nothing is fetched of what is there: another consumer takes over.",
            topic = topic.name,
            partition = cursor.partition,
            next = cursor.next,
        );
        lease.retire();
    }

    async fn read_by(
        &self,
        lease: &mut Lease,
        extent: &Extent,
        limit: ReadLimit,
    ) -> Result<(ReadBatch, Result<(), ReadError>), ReadError> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let cursor = lease.cursor().ok_or_else(lost)?;
            let mut batch = ReadBatch { entries: Vec::new(), next: cursor.next };
            let result = cursor.take(&mut batch, limit);
            if !batch.entries.is_empty() || result.is_err() || extent.end() <= batch.next {
                return Ok((batch, result));
            }
            // Something is there. If it is a mark of a transaction, it is passed over.
            lease.pass_marks();
            let cursor = lease.cursor().ok_or_else(lost)?;
            batch.next = cursor.next;
            if extent.end() <= batch.next {
                return Ok((batch, Ok(())));
            }
            let signal = Arc::clone(&cursor.signal);
            if timeout_at(deadline, signal.fetched.notified()).await.is_err() {
                if let Some(cursor) = lease.cursor() {
                    cursor.in_vain += PATIENCE;
                }
                return Ok((batch, Ok(())));
            }
        }
    }

    /// A cursor that stands there.
    async fn take(
        &self,
        topic: &Arc<Topic>,
        partition: Partition,
        from: Offset,
    ) -> Result<Lease, ReadError> {
        let place = Place { stream: topic.stream.clone(), partition };
        let mut lanes = self.open.lock().clone();
        lanes.retain(|lane| !lane.is_retired());
        if let Some(lease) = lanes.iter().find_map(|lane| lane.take_at(&place, topic, from)) {
            return Ok(lease);
        }
        if self.settings.read_ahead == ReadAhead::Pages {
            make_room(&lanes);
        }
        let mut lease = match take_any(&lanes, &place) {
            Some(lease) => lease,
            None => self.take_new(&place).await?,
        };
        let (topic, arrivals) = (Arc::clone(topic), self.arrivals.clone());
        let opened =
            tokio::task::spawn_blocking(move || lease.open(&topic, from, arrivals).map(|()| lease));
        match opened.await {
            Ok(Ok(lease)) => Ok(lease),
            Ok(Err(error)) => Err(ReadError::Storage(Box::new(error))),
            Err(_) => Err(lost()),
        }
    }

    /// A cursor of a new lane.
    async fn take_new(&self, place: &Place) -> Result<Lease, ReadError> {
        let (settings, names) = (self.settings.clone(), self.names.clone());
        let lane = tokio::task::spawn_blocking(move || Lane::new(&settings, &names)).await;
        let lane = lane
            .map_err(|_| lost())?
            .map_err(|error: ConfigureKafkaError| ReadError::Storage(Box::new(error)))?;
        let lease = lane.take_free(place).ok_or_else(lost)?;
        self.open.lock().push(lane);
        Ok(lease)
    }

    /// Lets librdkafka do what it does by its user's thread.
    pub(super) fn serve(&self) {
        let lanes = self.open.lock().clone();
        for lane in lanes {
            lane.serve();
        }
    }

    /// Gives up places that nobody reads at or follows any more, and lanes without places.
    pub(super) fn tidy(&self) {
        let lanes = self.open.lock().clone();
        let mut empty = Vec::new();
        for (index, lane) in lanes.iter().enumerate() {
            let is_retired = lane.is_retired();
            let is_used = lane.retain(|_, cursor| !is_retired && self.is_needed(cursor));
            // One lane stays, so that the next reader need not connect.
            if !is_used && (index > 0 || is_retired) {
                empty.push(lane);
            }
        }
        self.open.lock().retain(|lane| {
            // Someone may just have taken it.
            let is_empty = empty.iter().any(|empty| Arc::ptr_eq(empty, lane));
            !is_empty || lane.retain(|_, _| true)
        });
    }

    fn is_needed(&self, cursor: &Cursor) -> bool {
        let topic = self.topics.get(&cursor.topic.stream);
        let is_there = topic.is_some_and(|topic| Arc::ptr_eq(&topic, &cursor.topic));
        is_there && (is_followed(cursor) || cursor.used.elapsed() < UNUSED)
    }

    /// Gives up all places, and all lanes.
    pub(super) async fn close(&self) {
        let lanes = std::mem::take(&mut *self.open.lock());
        // Consumers say goodbye to their brokers, and wait for that.
        let closed = tokio::task::spawn_blocking(move || {
            for lane in &lanes {
                lane.retain(|_, _| false);
            }
            drop(lanes);
        });
        drop(closed.await);
    }
}

/// Gives up those places that were not read at for the longest time.
fn make_room(lanes: &[Arc<Lane>]) {
    let mut used = Vec::new();
    for lane in lanes {
        lane.retain(|_, cursor| {
            used.extend((!is_followed(cursor)).then_some(cursor.used));
            true
        });
    }
    if used.len() < PLACES {
        return;
    }
    let (_, oldest, _) = used.select_nth_unstable_by(PLACES - 1, |a, b| b.cmp(a));
    let oldest = *oldest;
    for lane in lanes {
        lane.retain(|_, cursor| is_followed(cursor) || cursor.used > oldest);
    }
}

/// Whether a cursor waits at the end of a partition for those who follow it.
fn is_followed(cursor: &Cursor) -> bool {
    let extent = cursor.topic.partition(cursor.partition);
    extent.is_some_and(|extent| extent.is_followed() && cursor.next >= extent.end())
}

/// A cursor for the place, of a lane that does not read there, or not any more.
fn take_any(lanes: &[Arc<Lane>], place: &Place) -> Option<Lease> {
    if let Some(lease) = lanes.iter().find_map(|lane| lane.take_free(place)) {
        return Some(lease);
    }
    let unused = lanes.iter().filter_map(|lane| Some((lane.unused_for(place)?, lane)));
    let (longest, lane) = unused.max_by_key(|(unused, _)| *unused)?;
    let since = if lanes.len() < ENOUGH_LANES { PAUSE } else { Duration::ZERO };
    if longest >= since { lane.take_unused(place, since) } else { None }
}

fn lost() -> ReadError {
    ReadError::Storage("the reader was broken off".into())
}

/// Tells followers of partitions of what is fetched while nobody reads. It ends with the lanes.
pub(super) async fn tell_arrivals(mut arrivals: UnboundedReceiver<Arc<Signal>>) {
    while let Some(signal) = arrivals.recv().await {
        signal.taken();
        if let Some(lane) = signal.lane.upgrade() {
            lane.look(&signal.place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Log as _;
    use crate::conformance::append;
    use crate::conformance::stream;
    use crate::kafka::KafkaLog;
    use crate::kafka::admin::Admin;

    #[tokio::test]
    async fn another_consumer_takes_over_from_one_that_fetches_nothing_of_what_is_there() {
        let settings = settings();
        let log = KafkaLog::connect(settings.clone(), "test", "test-0").await.unwrap();
        log.ensure_streams(&[stream("a", 1)]).await.unwrap();
        log.append((0..3).map(|number| append("a", 0, "k", number)).collect()).await.unwrap();

        let (lanes, topics, _arrivals) = lanes_over(&settings).await;
        let name: StreamName = "a".parse().unwrap();
        let read = async |from| {
            lanes.read(&name, 0, from, ReadLimit::default()).await.unwrap().entries.len()
        };
        let topic = topics.find(&name).await.unwrap().unwrap();
        // More than there is.
        topic.partition(0).unwrap().reaches(1000);
        assert_eq!(read(0).await, 3);
        let first = Arc::clone(&lanes.open.lock()[0]);
        tokio::time::pause();
        for _ in 0..8 {
            assert_eq!(read(3).await, 0);
            assert!(!first.is_retired());
        }
        assert_eq!(read(3).await, 0);
        assert!(first.is_retired());
        tokio::time::resume();
        assert_eq!(read(0).await, 3);
        assert_eq!(lanes.open.lock().len(), 2);
        lanes.tidy();
        let left = lanes.open.lock().clone();
        assert!(left.len() == 1 && !Arc::ptr_eq(&left[0], &first));
    }

    #[tokio::test]
    async fn who_reads_pages_of_many_partitions_keeps_few_places() {
        let settings = KafkaSettings { read_ahead: ReadAhead::Pages, ..settings() };
        let log = KafkaLog::connect(settings.clone(), "test", "test-0").await.unwrap();
        log.ensure_streams(&[stream("a", 24)]).await.unwrap();
        let all = (0..24).flat_map(|part| (0..3).map(move |n| append("a", part, "k", n)));
        log.append(all.collect()).await.unwrap();
        let (lanes, topics, _arrivals) = lanes_over(&settings).await;
        let name: StreamName = "a".parse().unwrap();
        let topic = topics.find(&name).await.unwrap().unwrap();
        for partition in 0..24 {
            topic.partition(partition).unwrap().reaches(3);
        }
        let limit = ReadLimit { entries: 2, ..ReadLimit::default() };
        for (from, entries) in [(0, 2), (2, 1)] {
            for partition in 0..24 {
                let read = lanes.read(&name, partition, from, limit).await.unwrap();
                assert_eq!(read.entries.len(), entries, "partition {partition} from {from}");
            }
            let mut places = 0;
            for lane in &*lanes.open.lock() {
                lane.retain(|_, _| {
                    places += 1;
                    true
                });
            }
            assert_eq!(places, PLACES);
        }
    }

    fn settings() -> KafkaSettings {
        let servers = millrace_services::kafka().unwrap();
        let servers: Vec<_> = servers.split(',').collect();
        let prefix = format!("lanes-{:016x}.", rand::random::<u64>());
        let settings = serde_json::json!({"bootstrapServers": servers, "prefix": prefix});
        serde_json::from_value(settings).unwrap()
    }

    async fn lanes_over(
        settings: &KafkaSettings,
    ) -> (Lanes, Arc<Topics>, UnboundedReceiver<Arc<Signal>>) {
        let names = Names::new(settings.prefix.clone().unwrap());
        let cluster = Arc::new(Cluster::new(settings, &names).unwrap());
        let admin = Admin::new(settings).unwrap();
        let topics = Arc::new(Topics::new(names.clone(), Arc::clone(&cluster), admin));
        topics.refresh().await.unwrap();
        let (lanes, arrivals) = Lanes::new(settings, &names, Arc::clone(&topics), cluster);
        (lanes, topics, arrivals)
    }
}
