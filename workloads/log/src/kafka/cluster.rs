//! Questions to the cluster: which topics there are, and where their partitions start and end.
//!
//! librdkafka answers them while its caller waits, so each runs on a thread for waiting.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use millrace_core::Partition;
use rdkafka::Offset;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::BaseConsumer;
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::metadata::MetadataTopic;
use rdkafka::types::RDKafkaRespErr;
use tokio::time::Instant;
use tokio::time::sleep;

use super::client;
use super::client::ConfigureKafkaError;
use super::client::Connection;
use super::client::Role;
use super::extent::Topic;
use super::names::Names;
use super::settings::KafkaSettings;
use crate::AppendError;
use crate::ReadError;

/// How long a question may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long partitions that were just made may be without a leader.
const LEADERS: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(20);

/// A topic that is asked for to see whether brokers answer: every cluster has it.
const PROBE: &str = "__consumer_offsets";

/// The cluster did not answer.
#[derive(Debug, Clone, thiserror::Error)]
#[error("Kafka does not answer: {what}: {error}{}", because(reason.as_deref()))]
pub(super) struct Unreachable {
    pub(super) what: String,
    pub(super) error: Box<KafkaError>,
    /// What the client last complained of.
    pub(super) reason: Option<String>,
}

fn because(reason: Option<&str>) -> String {
    reason.map(|reason| format!(" ({reason})")).unwrap_or_default()
}

impl From<Unreachable> for AppendError {
    fn from(error: Unreachable) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<Unreachable> for ReadError {
    fn from(error: Unreachable) -> Self {
        Self::Storage(Box::new(error))
    }
}

/// What the cluster says of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Described {
    /// How many partitions it has.
    pub(super) partitions: Partition,
    /// Whether each of them has a leader, so that it can be written and read.
    pub(super) has_leaders: bool,
}

/// Asks the cluster, as one who reads what is committed.
pub(super) struct Cluster {
    consumer: Arc<BaseConsumer<Connection>>,
}

impl Cluster {
    /// A client for questions; it connects by itself.
    pub(super) fn new(
        settings: &KafkaSettings,
        names: &Names,
    ) -> Result<Self, ConfigureKafkaError> {
        let role = Role::Reader { group: &names.reader() };
        let consumer = client::config(settings, role)?
            .create_with_context(Connection::new(settings))
            .map_err(ConfigureKafkaError::Create)?;
        Ok(Self { consumer: Arc::new(consumer) })
    }

    /// Lets librdkafka do what it does by its user's thread: log lines and tokens.
    pub(super) fn serve(&self) {
        // It reads no partition, so that nothing can come but errors, and those are logged.
        drop(self.consumer.poll(Duration::ZERO));
    }

    async fn ask<T: Send + 'static>(
        &self,
        what: impl Into<String>,
        question: impl FnOnce(&BaseConsumer<Connection>) -> Result<T, KafkaError> + Send + 'static,
    ) -> Result<T, Unreachable> {
        let consumer = Arc::clone(&self.consumer);
        let answer = tokio::task::spawn_blocking(move || question(&consumer)).await;
        // Only the end of the runtime breaks such a thread off.
        let answer = answer.unwrap_or(Err(KafkaError::Canceled));
        answer.map_err(|error| {
            let reason = self.consumer.context().last_error();
            Unreachable { what: what.into(), error: Box::new(error), reason }
        })
    }

    /// Whether any broker answers.
    pub(super) async fn answers(&self) -> Result<(), Unreachable> {
        self.ask("brokers", |consumer| consumer.fetch_metadata(Some(PROBE), PATIENCE).map(drop))
            .await
    }

    /// All topics that may be seen.
    pub(super) async fn describe_topics(&self) -> Result<HashMap<String, Described>, Unreachable> {
        self.ask("topics", |consumer| {
            let metadata = consumer.fetch_metadata(None, PATIENCE)?;
            let topics = metadata.topics().iter();
            Ok(topics
                .filter_map(|topic| {
                    let described = described(topic).ok()??;
                    Some((topic.name().to_owned(), described))
                })
                .collect())
        })
        .await
    }

    /// A topic; none if it does not exist.
    pub(super) async fn describe_topic(
        &self,
        name: &str,
    ) -> Result<Option<Described>, Unreachable> {
        let topic = name.to_owned();
        self.ask(format!("topic `{name}`"), move |consumer| {
            let metadata = consumer.fetch_metadata(Some(&topic), PATIENCE)?;
            match metadata.topics().first() {
                Some(topic) => described(topic).map_err(KafkaError::MetadataFetch),
                None => Ok(None),
            }
        })
        .await
    }

    /// Takes over where partitions start and end at present. It waits for leaders that do not know
    /// yet that they lead.
    pub(super) async fn measure(&self, topics: &[Arc<Topic>]) -> Result<(), Unreachable> {
        let deadline = Instant::now() + LEADERS;
        for which in [Offset::Beginning, Offset::End] {
            loop {
                match self.measure_from(topics, which).await {
                    Ok(()) => break,
                    Err(error) if passes(&error.error) && Instant::now() < deadline => {
                        sleep(PAUSE).await;
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    /// Asks who leads now. Of a leader that has left the cluster librdkafka only says that it does
    /// not know another, at the next question too: it asks for none by itself.
    async fn learn_leaders(&self) {
        // Who gets no answer here asks again after the next question.
        drop(self.describe_topics().await);
    }

    /// Takes over where partitions start, or where they end.
    pub(super) async fn measure_from(
        &self,
        topics: &[Arc<Topic>],
        which: Offset,
    ) -> Result<(), Unreachable> {
        let mut list = TopicPartitionList::new();
        for topic in topics {
            for partition in 0..topic.partitions() {
                list.add_partition_offset(&topic.name, partition, which).map_err(|error| {
                    Unreachable { what: topic.name.clone(), error: Box::new(error), reason: None }
                })?;
            }
        }
        if list.count() == 0 {
            return Ok(());
        }
        let asked = Instant::now().into_std();
        // The name of this method in librdkafka is misleading: it also takes these two places.
        let answer =
            self.ask("offsets", move |consumer| consumer.offsets_for_times(list, PATIENCE)).await;
        let found = match answer {
            Ok(found) => found,
            Err(error) => {
                self.learn_leaders().await;
                return Err(error);
            }
        };
        if found.elements().iter().any(|element| element.error().is_err()) {
            self.learn_leaders().await;
        }
        let by_name: HashMap<_, _> =
            topics.iter().map(|topic| (topic.name.as_str(), topic)).collect();
        for element in found.elements() {
            let extent =
                by_name.get(element.topic()).and_then(|topic| topic.partition(element.partition()));
            if let (Some(extent), Offset::Offset(offset), Ok(())) =
                (extent, element.offset(), element.error())
            {
                match which {
                    Offset::Beginning => extent.starts(offset),
                    _ => extent.ends(offset, asked),
                }
            }
        }
        Ok(())
    }
}

/// Whether an error is one of the moments in which partitions get their leaders.
fn passes(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::NotLeaderForPartition
                | RDKafkaErrorCode::LeaderNotAvailable
                | RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::UnknownPartition
                | RDKafkaErrorCode::UnknownTopic
        )
    )
}

fn described(topic: &MetadataTopic) -> Result<Option<Described>, RDKafkaErrorCode> {
    match topic.error() {
        // No topic has a name that no topic can have.
        Some(
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART
            | RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION,
        ) => return Ok(None),
        // A topic is made: its leaders are being chosen.
        None | Some(RDKafkaRespErr::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE) => {}
        Some(error) => return Err(error.into()),
    }
    let partitions = topic.partitions();
    let has_leaders = !partitions.is_empty()
        && partitions
            .iter()
            .all(|partition| partition.error().is_none() && partition.leader() >= 0);
    let partitions = Partition::try_from(partitions.len()).unwrap_or(Partition::MAX);
    Ok(Some(Described { partitions, has_leaders }))
}
