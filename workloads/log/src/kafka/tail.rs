//! The last entries of partitions, from which their highest times are known at first.

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use millrace_core::Offset;
use millrace_core::Partition;
use rdkafka::Offset as KafkaOffset;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::BaseConsumer;
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::message::Message;

use super::client;
use super::client::Connection;
use super::client::Role;
use super::extent::Times;
use super::extent::Topic;
use super::external;
use super::names::Names;
use super::settings::KafkaSettings;
use super::wire::Arena;

/// So many offsets of each partition are read; marks of transactions count.
const LENGTH: Offset = 200;

/// Times that are not known yet are better than waiting longer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Reads the tails of partitions and takes their times over. It waits, so it wants a thread for
/// that. What cannot be read in time is left out: times then come by what is read and appended.
pub(super) fn read(settings: &KafkaSettings, names: &Names, topics: &[Arc<Topic>]) {
    let mut tails = Vec::new();
    for topic in topics {
        for partition in 0..topic.partitions() {
            if let Some(tail) = Tail::of(topic, partition) {
                tails.push(tail);
            }
        }
    }
    if tails.is_empty() {
        return;
    }
    if let Err(error) = read_all(settings, names, &mut tails) {
        tracing::warn!(message = "The highest times of partitions are not known yet.", %error);
    }
}

struct Tail<'a> {
    topic: &'a Topic,
    partition: Partition,
    begin: Offset,
    end: Offset,
}

impl<'a> Tail<'a> {
    fn of(topic: &'a Topic, partition: Partition) -> Option<Self> {
        let extent = topic.partition(partition)?;
        let end = extent.end();
        let begin = extent.start().max(end - LENGTH);
        (begin < end).then_some(Self { topic, partition, begin, end })
    }

    fn is(&self, topic: &str, partition: Partition) -> bool {
        self.partition == partition && self.topic.name == topic
    }
}

fn read_all(
    settings: &KafkaSettings,
    names: &Names,
    tails: &mut Vec<Tail<'_>>,
) -> Result<(), KafkaError> {
    let config = client::config(settings, Role::Reader { group: &names.reader() })
        .map_err(|error| KafkaError::ClientCreation(error.to_string()))?;
    let consumer: BaseConsumer<Connection> =
        config.create_with_context(Connection::new(settings))?;
    let mut list = TopicPartitionList::new();
    for tail in tails.iter() {
        let begin = KafkaOffset::Offset(tail.begin);
        list.add_partition_offset(&tail.topic.name, tail.partition, begin)?;
    }
    consumer.assign(&list)?;
    let deadline = Instant::now() + PATIENCE;
    let mut arena = Arena::default();
    while !tails.is_empty() && Instant::now() < deadline {
        match consumer.poll(Duration::from_millis(20)) {
            Some(Ok(message)) => {
                let (topic, partition) = (message.topic(), message.partition());
                let Some(index) = tails.iter().position(|tail| tail.is(topic, partition)) else {
                    continue;
                };
                see(&tails[index], &message, &mut arena);
                if message.offset() + 1 >= tails[index].end {
                    tails.swap_remove(index);
                }
            }
            Some(Err(error)) => {
                tracing::info!(message = "A fetch failed.", %error);
            }
            // Nothing but marks of transactions may be left.
            None => pass(&consumer.position()?, tails),
        }
    }
    if tails.is_empty() { Ok(()) } else { Err(KafkaError::Canceled) }
}

fn see(tail: &Tail<'_>, message: &impl Message, arena: &mut Arena) {
    let entry = external::decode(tail.topic, message, arena);
    if let (Ok(entry), Some(extent)) = (entry, tail.topic.partition(tail.partition)) {
        let mut times = Times::default();
        times.see(&entry);
        extent.saw(times);
    }
}

fn pass(positions: &TopicPartitionList, tails: &mut Vec<Tail<'_>>) {
    for element in positions.elements() {
        if let KafkaOffset::Offset(position) = element.offset() {
            tails.retain(|tail| {
                !tail.is(element.topic(), element.partition()) || position < tail.end
            });
        }
    }
}
