//! Where partitions end, for readers that see what is committed and for those that see all.

use std::thread;
use std::time::Duration;
use std::time::Instant;

use millrace_core::Offset;
use millrace_core::Partition;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::error::RDKafkaErrorCode;

use super::readers::OPEN;
use super::readers::PATIENCE;
use super::readers::ReadChangelogError;
use super::readers::Reader;

/// How often an open transaction is looked at.
const PAUSE: Duration = Duration::from_millis(20);

/// Where partitions end, in the eyes of this reader. While their leaders change it asks again.
pub(super) fn ends(
    reader: &Reader,
    partitions: &[(&str, Partition)],
) -> Result<Vec<Offset>, ReadChangelogError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (topic, partition, source) = match ask_ends(reader, partitions) {
            Ok(ends) => return Ok(ends),
            Err(failed) => failed,
        };
        let passes = source.rdkafka_error_code().is_some_and(passes);
        if !passes || Instant::now() > deadline {
            return Err(unreachable(topic, partition, source));
        }
        thread::sleep(PAUSE);
        // It is told who leads now; if not, the next question fails.
        drop(reader.fetch_metadata(Some(topic), PATIENCE));
    }
}

/// Whether an error passes by itself, as partitions get new leaders.
const fn passes(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::NotLeaderForPartition
            | RDKafkaErrorCode::LeaderNotAvailable
            | RDKafkaErrorCode::FencedLeaderEpoch
            | RDKafkaErrorCode::UnknownLeaderEpoch
            | RDKafkaErrorCode::OffsetNotAvailable
            | RDKafkaErrorCode::ReplicaNotAvailable
            | RDKafkaErrorCode::KafkaStorageError
            | RDKafkaErrorCode::BrokerTransportFailure
            | RDKafkaErrorCode::NetworkException
            // A leader that has left the cluster: librdkafka knows no other one, and does not ask
            // for it by itself.
            | RDKafkaErrorCode::UnknownPartition
            | RDKafkaErrorCode::DestroyBroker
    )
}

fn ask_ends<'a>(
    reader: &Reader,
    partitions: &[(&'a str, Partition)],
) -> Result<Vec<Offset>, (&'a str, Partition, KafkaError)> {
    let Some((topic, partition)) = partitions.first() else { return Ok(Vec::new()) };
    let failed = |error| (*topic, *partition, error);
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for (topic, partition) in partitions {
        list.add_partition_offset(topic, *partition, rdkafka::Offset::End).map_err(failed)?;
    }
    // It is also how librdkafka tells ends, of all partitions at once.
    let found = reader.offsets_for_times(list, PATIENCE).map_err(failed)?;
    partitions
        .iter()
        .map(|(topic, partition)| {
            let failed = |error| (*topic, *partition, error);
            let element = found.find_partition(topic, *partition);
            let element = element.ok_or_else(|| failed(KafkaError::Canceled))?;
            element.error().map_err(failed)?;
            match element.offset() {
                rdkafka::Offset::Offset(offset) => Ok(offset),
                _ => Err(failed(KafkaError::NoMessageReceived)),
            }
        })
        .collect()
}

/// Waits until all transactions below an offset have ended.
pub(super) fn wait_until_decided(
    reader: &Reader,
    topic: &str,
    partition: Partition,
    end: Offset,
) -> Result<(), ReadChangelogError> {
    let deadline = Instant::now() + OPEN;
    while first(ends(reader, &[(topic, partition)])?) < end {
        if Instant::now() > deadline {
            return Err(ReadChangelogError::Open { topic: topic.to_owned(), partition });
        }
        thread::sleep(PAUSE);
    }
    Ok(())
}

/// The first of some offsets.
pub(super) fn first(offsets: Vec<Offset>) -> Offset {
    offsets.into_iter().next().unwrap_or_default()
}

pub(super) fn unreachable(
    topic: &str,
    partition: Partition,
    source: KafkaError,
) -> ReadChangelogError {
    ReadChangelogError::Unreachable { topic: topic.to_owned(), partition, source }
}
