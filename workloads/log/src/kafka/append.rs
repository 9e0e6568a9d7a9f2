//! Appends: by one idempotent producer, each entry confirmed before the call returns.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use millrace_core::Offset;
use millrace_core::Partition;
use millrace_core::record::MAX_VALUE_BYTES;
use parking_lot::RwLock;
use rdkafka::error::KafkaError;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::BaseRecord;
use rdkafka::producer::Producer as _;
use rdkafka::producer::PurgeConfig;
use rdkafka::producer::ThreadedProducer;
use tokio::sync::Semaphore;
use tokio::sync::SemaphorePermit;
use tokio::sync::oneshot;
use tokio::time::sleep;
use tokio::time::timeout;

use super::client;
use super::client::ConfigureKafkaError;
use super::client::Connection;
use super::client::DELIVERY_TIMEOUT_MILLISECONDS;
use super::client::MAX_MESSAGE_BYTES;
use super::client::Role;
use super::cluster::Unreachable;
use super::delivery::Confirmed;
use super::delivery::Deliveries;
use super::delivery::MAX_ENTRIES;
use super::extent::Times;
use super::extent::Topic;
use super::health::Health;
use super::settings::KafkaSettings;
use super::topics::Topics;
use super::wire;
use crate::Append;
use crate::AppendError;
use crate::Entry;
use crate::LogStatistics;

/// How long an append may wait for room, and for its confirmation.
const PATIENCE: Duration = Duration::from_millis(DELIVERY_TIMEOUT_MILLISECONDS as u64);

/// Brokers tell each other of new topics within milliseconds.
const PAUSE: Duration = Duration::from_millis(50);

/// How long `close` waits for what is under way.
const CLOSING: Duration = Duration::from_secs(15);

/// Most bytes on their way to the brokers, in KiB, with what librdkafka needs for each message.
const ROOM_KIB: usize = 128 << 10;
const MESSAGE_OVERHEAD: usize = 384;

/// Largest key and headers of an entry together.
const MAX_BESIDE_VALUE: usize = MAX_MESSAGE_BYTES - MAX_VALUE_BYTES - (64 << 10);

type Producer = ThreadedProducer<Deliveries>;

/// Appends to streams.
pub(super) struct Appender {
    settings: KafkaSettings,
    topics: Arc<Topics>,
    health: Arc<Health>,
    producer: RwLock<Arc<Producer>>,
    room: Semaphore,
    records: AtomicU64,
    calls: AtomicU64,
    microseconds: AtomicU64,
}

impl Appender {
    pub(super) fn new(
        settings: &KafkaSettings,
        topics: Arc<Topics>,
        health: Arc<Health>,
    ) -> Result<Self, ConfigureKafkaError> {
        let producer = produce(settings, &health)?;
        Ok(Self {
            settings: settings.clone(),
            topics,
            health,
            producer: RwLock::new(Arc::new(producer)),
            room: Semaphore::new(ROOM_KIB),
            records: AtomicU64::new(0),
            calls: AtomicU64::new(0),
            microseconds: AtomicU64::new(0),
        })
    }

    /// Appends entries; returns their offsets when all are confirmed.
    pub(super) async fn append(&self, entries: &[Append]) -> Result<Vec<Offset>, AppendError> {
        self.health.check()?;
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        let bytes = check_sizes(entries)?;
        let targets = self.resolve(entries).await?;
        let began = Instant::now();
        let room = self.wait_for_room(bytes).await?;
        let producer = self.working_producer()?;
        for run in &targets {
            if !run.topic.is_prepared.load(Ordering::Relaxed) {
                prepare(&producer, &run.topic).await?;
            }
        }
        let confirmed = send(&producer, entries, &targets);
        let confirmed = match timeout(PATIENCE + CLOSING, confirmed).await {
            Ok(Ok(confirmed)) => confirmed,
            // The producer was given up, and its context with it.
            Ok(Err(_)) | Err(_) => Err(KafkaError::Canceled),
        };
        drop(room);
        let offsets = confirmed.map_err(|error| self.not_confirmed(&error))?;
        tell(entries, &targets, &offsets);
        self.count(entries.len(), began.elapsed());
        Ok(offsets)
    }

    /// The topic of each run of entries, with where the run ends.
    async fn resolve(&self, entries: &[Append]) -> Result<Vec<Run>, AppendError> {
        let mut runs: Vec<Run> = Vec::new();
        for (index, append) in entries.iter().enumerate() {
            let topic = match runs.last_mut() {
                Some(run) if run.topic.stream == append.stream => {
                    if run.partition == append.partition {
                        run.end = index + 1;
                        continue;
                    }
                    Some(Arc::clone(&run.topic))
                }
                _ => self.topics.find(&append.stream).await.map_err(|error| self.lost(error))?,
            };
            let known = topic.filter(|topic| topic.takes(append.partition));
            let Some(topic) = known else {
                return Err(AppendError::UnknownStream {
                    stream: append.stream.clone(),
                    partition: append.partition,
                });
            };
            runs.push(Run { topic, partition: append.partition, end: index + 1 });
        }
        Ok(runs)
    }

    fn lost(&self, error: Unreachable) -> AppendError {
        self.health.not_answered(error.to_string());
        error.into()
    }

    async fn wait_for_room(&self, bytes: usize) -> Result<SemaphorePermit<'_>, AppendError> {
        let kib = bytes.div_ceil(1024).min(ROOM_KIB);
        let kib = u32::try_from(kib).unwrap_or(u32::MAX);
        match timeout(PATIENCE, self.room.acquire_many(kib)).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) => Err(AppendError::Closed),
            Err(_) => Err(AppendError::Unavailable(
                "Kafka takes less than arrives, and what waits for it has no more room".to_owned(),
            )),
        }
    }

    /// The producer; a new one if the last can never go on.
    fn working_producer(&self) -> Result<Arc<Producer>, AppendError> {
        let producer = Arc::clone(&self.producer.read());
        let Some((code, reason)) = producer.client().fatal_error() else { return Ok(producer) };
        let mut current = self.producer.write();
        if !Arc::ptr_eq(&current, &producer) {
            return Ok(Arc::clone(&current));
        }
        tracing::warn!(message = "The producer cannot go on; a new one is made.", %code, reason);
        let new = produce(&self.settings, &self.health)
            .map_err(|error| AppendError::Unavailable(millrace_core::with_causes(&error)))?;
        let given_up = mem::replace(&mut *current, Arc::new(new));
        let new = Arc::clone(&current);
        drop(current);
        producer.purge(PurgeConfig::default().queue().inflight());
        // It waits for its thread, which reports what was purged.
        tokio::task::spawn_blocking(move || drop((given_up, producer)));
        Ok(new)
    }

    fn not_confirmed(&self, error: &KafkaError) -> AppendError {
        if self.health.is_closed() {
            return AppendError::Closed;
        }
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::MessageSizeTooLarge) => AppendError::Unavailable(
                "the topic's max.message.bytes is smaller than an entry: raise it".to_owned(),
            ),
            _ => AppendError::Unavailable(format!("Kafka has not confirmed: {error}")),
        }
    }

    fn count(&self, records: usize, took: Duration) {
        let microseconds = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.records.fetch_add(records as u64, Ordering::Relaxed);
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.microseconds.fetch_add(microseconds, Ordering::Relaxed);
    }

    pub(super) fn statistics(&self) -> LogStatistics {
        LogStatistics {
            disk_bytes: 0,
            records: self.records.load(Ordering::Relaxed),
            syncs: self.calls.load(Ordering::Relaxed),
            sync_seconds: Duration::from_micros(self.microseconds.load(Ordering::Relaxed))
                .as_secs_f64(),
            ..LogStatistics::default()
        }
    }

    /// Waits for what is under way and accepts nothing more.
    pub(super) async fn close(&self) {
        self.room.close();
        let producer = Arc::clone(&self.producer.read());
        let flushed = tokio::task::spawn_blocking(move || producer.flush(CLOSING)).await;
        if let Ok(Err(error)) = flushed {
            tracing::warn!(message = "Not all that was appended is confirmed.", %error);
        }
    }
}

/// Entries one after the other that go to one partition.
struct Run {
    topic: Arc<Topic>,
    partition: Partition,
    end: usize,
}

/// Lets readers know at once.
fn tell(entries: &[Append], targets: &[Run], offsets: &[Offset]) {
    let mut begin = 0;
    for Run { topic, partition, end } in targets {
        let mut times = Times::default();
        for append in &entries[begin..*end] {
            times.see(&append.entry);
        }
        if let (Some(extent), Some(last)) = (topic.partition(*partition), offsets.get(end - 1)) {
            extent.saw(times);
            extent.reaches(last + 1);
        }
        begin = *end;
    }
}

/// Lets the producer look at a topic that it has not produced to. It may remember one of the same
/// name that was removed, with other partitions.
async fn prepare(producer: &Arc<Producer>, topic: &Arc<Topic>) -> Result<(), AppendError> {
    let deadline = Instant::now() + PATIENCE;
    let wanted = usize::try_from(topic.partitions()).unwrap_or_default();
    loop {
        let (asking, name) = (Arc::clone(producer), topic.name.clone());
        let asked = tokio::task::spawn_blocking(move || {
            let metadata = asking.client().fetch_metadata(Some(&name), PATIENCE)?;
            Ok::<_, KafkaError>(metadata.topics().first().map_or(0, |it| it.partitions().len()))
        });
        let seen = match asked.await {
            Ok(Ok(partitions)) if partitions >= wanted => {
                topic.is_prepared.store(true, Ordering::Relaxed);
                return Ok(());
            }
            Ok(Ok(partitions)) => {
                format!("{partitions} partitions instead of {wanted}")
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => return Err(AppendError::Closed),
        };
        if Instant::now() >= deadline {
            let text = format!("topic `{}` cannot be written yet: {seen}", topic.name);
            return Err(AppendError::Unavailable(text));
        }
        sleep(PAUSE).await;
    }
}

fn produce(
    settings: &KafkaSettings,
    health: &Arc<Health>,
) -> Result<Producer, ConfigureKafkaError> {
    let context = Deliveries::new(Connection::new(settings), Arc::clone(health));
    client::config(settings, Role::Producer)?
        .create_with_context(context)
        .map_err(ConfigureKafkaError::Create)
}

/// Hands entries over to librdkafka, which copies them.
fn send(producer: &Producer, entries: &[Append], targets: &[Run]) -> oneshot::Receiver<Confirmed> {
    let deliveries = producer.client().context();
    let (call, confirmed) = deliveries.begin(entries.len());
    let mut targets = targets.iter();
    let mut target = targets.next();
    for (place, append) in entries.iter().enumerate() {
        if target.is_some_and(|run| run.end <= place) {
            target = targets.next();
        }
        let Some(run) = target else {
            deliveries.give_up(call, entries.len() - place, KafkaError::Canceled);
            break;
        };
        let encoded = wire::encode(&append.entry);
        let mut record = BaseRecord::with_opaque_to(&run.topic.name, call.word(place))
            .partition(run.partition)
            .payload(encoded.value)
            .headers(encoded.headers);
        record.key = encoded.key;
        record.timestamp = encoded.timestamp;
        if let Err((error, _)) = producer.send(record) {
            deliveries.give_up(call, entries.len() - place, error);
            break;
        }
    }
    confirmed
}

/// The bytes of all entries on their way.
fn check_sizes(entries: &[Append]) -> Result<usize, AppendError> {
    let limited = |what, bytes, limit| {
        if bytes > limit { Err(AppendError::TooLarge { what, bytes, limit }) } else { Ok(()) }
    };
    limited("number of entries", entries.len(), MAX_ENTRIES)?;
    let mut sum = 0;
    for append in entries {
        sum += MESSAGE_OVERHEAD;
        if let Entry::Record(record) = &append.entry {
            let headers = &record.headers.0;
            let headers: usize = headers.iter().map(|(name, value)| name.len() + value.len()).sum();
            limited("a value", record.value.len(), MAX_VALUE_BYTES)?;
            limited("a key with its headers", record.key.len() + headers, MAX_BESIDE_VALUE)?;
            sum += record.value.len() + record.key.len() + headers;
        }
    }
    Ok(sum)
}
