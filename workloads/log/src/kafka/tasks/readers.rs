//! Reads changelogs, and asks what is committed. All of it waits, and belongs on a thread where
//! waiting is allowed.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use millrace_core::Offset;
use millrace_core::Partition;
use parking_lot::Mutex;
use rdkafka::ClientConfig;
use rdkafka::Message;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::BaseConsumer;
use rdkafka::consumer::Consumer;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::KafkaError;

use super::super::client;
use super::super::client::ConfigureKafkaError;
use super::super::client::Connection;
use super::super::client::Role;
use super::super::names::Names;
use super::super::settings::KafkaSasl;
use super::super::settings::KafkaSettings;
use super::partition_ends::ends;
use super::partition_ends::first;
use super::partition_ends::unreachable;
use super::partition_ends::wait_until_decided;
use super::restored::NotUnderstood;
use super::standbys::members::Listed;
use super::standbys::members::list;

/// How long a question may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// How long a changelog may bring nothing while it is read.
const SILENCE: Duration = Duration::from_secs(30);
/// How long transactions of others may stay open; the brokers give them up after 10 to 20 s.
pub(super) const OPEN: Duration = Duration::from_mins(1);
/// Consumers that are kept for the next changelog.
const MAX_IDLE: usize = 2;

pub(super) type Reader = BaseConsumer<Connection>;

/// A changelog that cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadChangelogError {
    /// No client can be made.
    #[error("the reader of changelogs cannot be made")]
    Configure(#[from] ConfigureKafkaError),
    /// The cluster does not answer.
    #[error("Kafka does not answer about topic `{topic}` partition {partition}")]
    Unreachable {
        topic: String,
        partition: Partition,
        #[source]
        source: KafkaError,
    },
    /// Nothing came for long.
    #[error(
        "topic `{topic}` partition {partition} has brought nothing for {} s: are all brokers up?",
        SILENCE.as_secs()
    )]
    Silence { topic: String, partition: Partition },
    /// A transaction stays open.
    #[error(
        "topic `{topic}` partition {partition} has a transaction that is open for more than {} s",
        OPEN.as_secs()
    )]
    Open { topic: String, partition: Partition },
    /// It does not go on where it was read to.
    #[error("topic `{topic}` partition {partition} begins anew: was it removed and made again?")]
    Rewound { topic: String, partition: Partition },
    /// What is there is not understood.
    #[error(
        "topic `{topic}` partition {partition} has a record at offset {offset} that cannot be read"
    )]
    Record {
        topic: String,
        partition: Partition,
        offset: Offset,
        #[source]
        source: NotUnderstood,
    },
}

/// Reads changelogs.
pub(super) struct Readers {
    settings: Arc<KafkaSettings>,
    group: String,
    idle: Mutex<Vec<Reader>>,
    uncommitted: Mutex<Option<Arc<Reader>>>,
    outsiders: Mutex<HashMap<String, Arc<ConsumerGroupMetadata>>>,
}

impl Readers {
    pub(super) fn new(settings: Arc<KafkaSettings>, names: &Names) -> Self {
        Self {
            settings,
            group: names.reader(),
            idle: Mutex::default(),
            uncommitted: Mutex::default(),
            outsiders: Mutex::default(),
        }
    }

    fn make(&self, config: &ClientConfig) -> Result<Reader, ConfigureKafkaError> {
        let reader: Reader = config
            .create_with_context(Connection::new(&self.settings))
            .map_err(ConfigureKafkaError::Create)?;
        if let Some(KafkaSasl::OAuthBearer { .. }) = self.settings.sasl {
            // A token comes only to those who ask.
            drop(reader.poll(Duration::from_millis(200)));
        }
        Ok(reader)
    }

    fn config(&self, group: &str) -> Result<ClientConfig, ConfigureKafkaError> {
        client::config(&self.settings, Role::Reader { group })
    }

    /// Lets go of all clients.
    pub(super) fn close(&self) {
        self.idle.lock().clear();
        self.uncommitted.lock().take();
    }

    /// A reader of one partition at a time, which may take more memory than one of many.
    fn reader(&self) -> Result<Reader, ConfigureKafkaError> {
        if let Some(idle) = self.idle.lock().pop() {
            drop(idle.poll(Duration::ZERO));
            return Ok(idle);
        }
        let mut config = self.config(&self.group)?;
        for (property, value) in [
            ("enable.partition.eof", "true"),
            ("fetch.wait.max.ms", "20"),
            ("fetch.max.bytes", "33554432"),
            ("fetch.message.max.bytes", "8388608"),
            ("queued.min.messages", "1000000"),
            ("queued.max.messages.kbytes", "32768"),
        ] {
            config.set(property, value);
        }
        self.make(&config)
    }

    fn give_back(&self, reader: Reader) {
        if reader.unassign().is_err() {
            return;
        }
        let mut idle = self.idle.lock();
        if idle.len() < MAX_IDLE {
            idle.push(reader);
        }
    }

    /// Someone who sees what is not committed yet.
    fn uncommitted(&self) -> Result<Arc<Reader>, ConfigureKafkaError> {
        let mut known = self.uncommitted.lock();
        if let Some(known) = &*known {
            drop(known.poll(Duration::ZERO));
            return Ok(Arc::clone(known));
        }
        let mut config = self.config(&self.group)?;
        config.set("isolation.level", "read_uncommitted");
        let reader = Arc::new(self.make(&config)?);
        *known = Some(Arc::clone(&reader));
        Ok(reader)
    }

    /// What shows the brokers a group to someone who is no member of it.
    pub(super) fn outsider(
        &self,
        group: &str,
    ) -> Result<Arc<ConsumerGroupMetadata>, ConfigureKafkaError> {
        if let Some(known) = self.outsiders.lock().get(group) {
            return Ok(Arc::clone(known));
        }
        let consumer = self.make(&self.config(group)?)?;
        let Some(metadata) = consumer.group_metadata() else {
            return Err(ConfigureKafkaError::Create(KafkaError::Canceled));
        };
        let metadata = Arc::new(metadata);
        self.outsiders.lock().insert(group.to_owned(), Arc::clone(&metadata));
        Ok(metadata)
    }

    /// The offsets that a group has committed, of these partitions.
    pub(super) fn committed(
        &self,
        group: &str,
        of: TopicPartitionList,
    ) -> Result<TopicPartitionList, ReadChangelogError> {
        let consumer = self.make(&self.config(group)?)?;
        consumer.committed_offsets(of, PATIENCE).map_err(|source| ReadChangelogError::Unreachable {
            topic: format!("offsets of {group}"),
            partition: 0,
            source,
        })
    }

    /// Where partitions end, whatever of them is committed.
    pub(super) fn ends(
        &self,
        partitions: &[(&str, Partition)],
    ) -> Result<Vec<Offset>, ReadChangelogError> {
        ends(&*self.uncommitted()?, partitions)
    }

    /// Up to where it is decided what of partitions is committed.
    pub(super) fn decided_ends(
        &self,
        partitions: &[(&str, Partition)],
    ) -> Result<Vec<Offset>, ReadChangelogError> {
        let reader = self.reader()?;
        let found = ends(&reader, partitions)?;
        self.give_back(reader);
        Ok(found)
    }

    /// The members of a group as the brokers know them; none while it is shared out anew.
    pub(super) fn members(&self, group: &str) -> Result<Option<Vec<Listed>>, ReadChangelogError> {
        list(&*self.uncommitted()?, group)
    }

    /// Reads a partition from an offset to where it ends now, with all that transactions have
    /// under way there; returns up to where it was read.
    pub(super) fn read(
        &self,
        topic: &str,
        partition: Partition,
        from: Offset,
        mut apply: impl FnMut(&[u8], Option<&[u8]>) -> Result<(), NotUnderstood>,
    ) -> Result<Offset, ReadChangelogError> {
        let end = first(self.ends(&[(topic, partition)])?);
        if from >= end {
            return Ok(end);
        }
        let reader = self.reader()?;
        wait_until_decided(&reader, topic, partition, end)?;
        let apply = |key: &[u8], value: Option<&[u8]>| apply(key, value).map(ControlFlow::Continue);
        let reached = drain(&reader, topic, partition, from, apply)?;
        self.give_back(reader);
        Ok(reached.offset.max(end))
    }

    /// Reads what is decided of a partition from an offset on, which ended there when it was
    /// asked; less if it is broken off. Returns up to where it was read.
    pub(super) fn read_decided(
        &self,
        topic: &str,
        partition: Partition,
        from: Offset,
        end: Offset,
        apply: impl FnMut(&[u8], Option<&[u8]>) -> Result<ControlFlow<()>, NotUnderstood>,
    ) -> Result<Offset, ReadChangelogError> {
        let reader = self.reader()?;
        let reached = drain(&reader, topic, partition, from, apply)?;
        self.give_back(reader);
        Ok(if reached.is_end { reached.offset.max(end) } else { reached.offset })
    }

    /// Whether a record whose transaction has ended or ends now was committed.
    pub(super) fn is_committed(
        &self,
        topic: &str,
        partition: Partition,
        offset: Offset,
    ) -> Result<bool, ReadChangelogError> {
        let reader = self.reader()?;
        wait_until_decided(&reader, topic, partition, offset + 1)?;
        assign(&reader, topic, partition, offset)?;
        let deadline = Instant::now() + SILENCE;
        let found = loop {
            match reader.poll(Duration::from_millis(500)) {
                Some(Ok(message)) => break message.offset() == offset,
                Some(Err(KafkaError::PartitionEOF(_))) => break false,
                _ if Instant::now() > deadline => {
                    return Err(ReadChangelogError::Silence { topic: topic.to_owned(), partition });
                }
                _ => {}
            }
        };
        self.give_back(reader);
        Ok(found)
    }
}

/// Up to where a partition was read.
struct Reached {
    /// The offset behind the last record.
    offset: Offset,
    /// Whether nothing more was there.
    is_end: bool,
}

/// Reads a partition from an offset on, until it ends or it is broken off.
fn drain(
    reader: &Reader,
    topic: &str,
    partition: Partition,
    from: Offset,
    mut apply: impl FnMut(&[u8], Option<&[u8]>) -> Result<ControlFlow<()>, NotUnderstood>,
) -> Result<Reached, ReadChangelogError> {
    assign(reader, topic, partition, from)?;
    let mut reached = from;
    let mut heard = Instant::now();
    loop {
        match reader.poll(Duration::from_millis(500)) {
            Some(Ok(message)) => {
                let offset = message.offset();
                if offset < reached {
                    let topic = topic.to_owned();
                    return Err(ReadChangelogError::Rewound { topic, partition });
                }
                let applied = apply(message.key().unwrap_or_default(), message.payload());
                let applied = applied.map_err(|source| ReadChangelogError::Record {
                    topic: topic.to_owned(),
                    partition,
                    offset,
                    source,
                })?;
                reached = offset + 1;
                if applied.is_break() {
                    return Ok(Reached { offset: reached, is_end: false });
                }
                heard = Instant::now();
            }
            Some(Err(KafkaError::PartitionEOF(_))) => {
                return Ok(Reached { offset: reached, is_end: true });
            }
            Some(Err(error)) if heard.elapsed() > SILENCE => {
                return Err(unreachable(topic, partition, error));
            }
            None if heard.elapsed() > SILENCE => {
                return Err(ReadChangelogError::Silence { topic: topic.to_owned(), partition });
            }
            // The client goes on by itself when the broker is back.
            Some(Err(_)) | None => {}
        }
    }
}

fn assign(
    reader: &Reader,
    topic: &str,
    partition: Partition,
    from: Offset,
) -> Result<(), ReadChangelogError> {
    let mut list = TopicPartitionList::with_capacity(1);
    list.add_partition_offset(topic, partition, rdkafka::Offset::Offset(from))
        .and_then(|()| reader.assign(&list))
        .map_err(|error| unreachable(topic, partition, error))
}

#[cfg(test)]
mod tests {
    use rand::Rng;
    use rdkafka::admin::AdminClient;
    use rdkafka::admin::AdminOptions;
    use rdkafka::admin::NewTopic;
    use rdkafka::admin::TopicReplication;
    use rdkafka::client::DefaultClientContext;
    use rdkafka::producer::BaseProducer;
    use rdkafka::producer::BaseRecord;
    use rdkafka::producer::Producer;

    use super::*;

    /// Readers of a cluster where a topic `t` of one partition was made, its name, and a producer.
    async fn begin() -> (Arc<Readers>, String, BaseProducer) {
        let servers = millrace_services::kafka().unwrap();
        let prefix = format!("readers-{:016x}.", rand::rng().random::<u64>());
        let topic = format!("{prefix}t");
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &servers);
        let admin: AdminClient<DefaultClientContext> = config.create().unwrap();
        let wanted = NewTopic::new(&topic, 1, TopicReplication::Fixed(1));
        admin.create_topics([&wanted], &AdminOptions::new()).await.unwrap();
        let producer: BaseProducer = config.set("transactional.id", &prefix).create().unwrap();
        producer.init_transactions(PATIENCE).unwrap();
        let settings = format!("{{\"bootstrapServers\": [{servers:?}]}}");
        let settings = Arc::new(serde_json::from_str(&settings).unwrap());
        (Arc::new(Readers::new(settings, &Names::new(prefix))), topic, producer)
    }

    /// Leaves a transaction open that has written these values.
    fn write(producer: &BaseProducer, topic: &str, values: &[&str]) {
        producer.begin_transaction().unwrap();
        for value in values {
            let record = BaseRecord::to(topic).partition(0).key("k").payload(*value);
            producer.send(record).map_err(|(error, _)| error).unwrap();
        }
        producer.flush(PATIENCE).unwrap();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn whether_a_record_is_committed_is_known_once_its_transaction_has_ended() {
        let (readers, topic, producer) = begin().await;
        let ask = |offset| {
            let (readers, topic) = (Arc::clone(&readers), topic.clone());
            tokio::task::spawn_blocking(move || readers.is_committed(&topic, 0, offset).unwrap())
        };
        write(&producer, &topic, &["0", "1"]);
        let first = ask(1);
        producer.commit_transaction(PATIENCE).unwrap();
        assert!(first.await.unwrap());

        // Offset 2 is the marker of the commit, 4 that of the end of this one.
        write(&producer, &topic, &["3"]);
        let second = ask(3);
        producer.abort_transaction(PATIENCE).unwrap();
        assert!(!second.await.unwrap());
        assert!(ask(0).await.unwrap());

        // A later commit says nothing of an earlier record.
        write(&producer, &topic, &["5"]);
        producer.commit_transaction(PATIENCE).unwrap();
        assert!(!ask(3).await.unwrap());
        assert!(ask(5).await.unwrap());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_partition_is_read_to_its_end_with_what_is_under_way_there() {
        let (readers, topic, producer) = begin().await;
        let read = |from| {
            let (readers, topic) = (Arc::clone(&readers), topic.clone());
            tokio::task::spawn_blocking(move || {
                let mut values = Vec::new();
                let end = readers.read(&topic, 0, from, |key, value| {
                    assert_eq!(key, b"k");
                    values.push(String::from_utf8_lossy(value.unwrap_or_default()).into_owned());
                    Ok(())
                });
                (values, end.unwrap())
            })
        };
        assert_eq!(read(0).await.unwrap(), (vec![], 0));
        write(&producer, &topic, &["0", "1"]);
        let under_way = read(0);
        tokio::task::yield_now().await;
        producer.commit_transaction(PATIENCE).unwrap();
        let (values, end) = under_way.await.unwrap();
        assert!(values == ["0", "1"] && (2..=3).contains(&end), "{values:?} {end}");
        write(&producer, &topic, &["3"]);
        producer.abort_transaction(PATIENCE).unwrap();
        write(&producer, &topic, &["5"]);
        producer.commit_transaction(PATIENCE).unwrap();
        let (values, end) = read(end).await.unwrap();
        assert!(values == ["5"] && (6..=7).contains(&end), "{values:?} {end}");
    }
}
