//! One transaction, from its first record to its commit.

use std::collections::BTreeMap;
use std::sync::Arc;

use millrace_core::Offset;
use millrace_core::Partition;
use rdkafka::TopicPartitionList;
use rdkafka::error::KafkaError;

use super::super::wire;
use super::committer::Party;
use super::producer::Failure;
use super::producer::Outgoing;
use super::producer::TransactionalProducer;
use super::request::Offsets;
use super::request::Request;

/// A transaction that was not committed, or may not be.
pub(super) struct Failed {
    pub(super) failure: Failure,
    /// Whose offsets were refused, if any.
    pub(super) stage: Option<String>,
    /// From which record it can be seen whether it was committed.
    pub(super) witness: Option<Witness>,
}

/// A record that is visible when its transaction is committed, and never if it is not.
pub(super) struct Witness {
    pub(super) topic: Arc<str>,
    pub(super) partition: Partition,
    pub(super) offset: Offset,
    /// Offsets of all records of the transaction.
    pub(super) offsets: Vec<Offset>,
}

impl From<Failure> for Failed {
    fn from(failure: Failure) -> Self {
        Self { failure, stage: None, witness: None }
    }
}

/// Commits requests together. Returns the offsets of their records: of each request its outputs,
/// then its changes of state.
pub(super) fn run(
    producer: &mut TransactionalProducer,
    requests: &[Request],
    parties: &BTreeMap<String, Party>,
) -> Result<Vec<Offset>, Failed> {
    let records = requests.iter().map(|request| request.contents.records()).sum();
    producer.begin(records)?;
    send_records(producer, requests)?;
    let offsets = producer.delivered()?;
    for (stage, party) in parties {
        let of_group = requests.iter().filter(|request| request.owner.stage() == stage);
        let (mut all, mut sign) = (Offsets::new(), None);
        for request in of_group {
            let offsets = request.contents.offsets.iter();
            all.extend(offsets.map(|(at, offset)| (at.clone(), offset.clone())));
            // A member's generation is judged only with an offset: where there is none to tell,
            // it is one that says nothing.
            if let (true, Some(changelog)) = (party.is_member(), &request.contents.changelog) {
                let at = (changelog.to_string(), request.owner.partition());
                sign.get_or_insert((at, (0, String::new())));
            }
        }
        if all.is_empty() {
            all.extend(sign);
        }
        if all.is_empty() {
            continue;
        }
        let list = list(&all).map_err(|error| Failure::Abort(error.to_string()))?;
        producer.send_offsets(list, Arc::clone(&party.metadata)).map_err(|failure| {
            let stage = Some(stage.clone());
            Failed { failure, stage, witness: None }
        })?;
    }
    producer.commit().map_err(|failure| {
        let witness = witness(requests, &offsets);
        Failed { failure, stage: None, witness }
    })?;
    Ok(offsets)
}

fn send_records(producer: &TransactionalProducer, requests: &[Request]) -> Result<(), Failure> {
    let mut index = 0;
    for request in requests {
        let contents = &request.contents;
        for (topic, partition, entry) in &contents.outputs {
            let encoded = wire::encode(entry);
            let record = Outgoing {
                topic: &topic.name,
                partition: *partition,
                key: encoded.key,
                value: Some(encoded.value),
                timestamp: encoded.timestamp,
                headers: Some(encoded.headers),
            };
            producer.send(index, record)?;
            index += 1;
        }
        for (key, value) in &contents.changes {
            let record = Outgoing {
                topic: contents.changelog.as_deref().unwrap_or_default(),
                partition: request.owner.partition(),
                key: Some(key),
                value: value.as_deref(),
                timestamp: None,
                headers: None,
            };
            producer.send(index, record)?;
            index += 1;
        }
    }
    Ok(())
}

fn list(offsets: &Offsets) -> Result<TopicPartitionList, KafkaError> {
    let mut list = TopicPartitionList::with_capacity(offsets.len());
    for ((topic, partition), (next, metadata)) in offsets {
        let mut element = list.add_partition(topic, *partition);
        element.set_offset(rdkafka::Offset::Offset(*next))?;
        if !metadata.is_empty() {
            element.set_metadata(metadata);
        }
    }
    Ok(list)
}

/// The transaction's last change of state, which nothing can have superseded; the last output if
/// there is none.
fn witness(requests: &[Request], offsets: &[Offset]) -> Option<Witness> {
    let mut found = None;
    let mut end = 0;
    for request in requests {
        let contents = &request.contents;
        end += contents.outputs.len();
        if let (Some((topic, partition, _)), None) = (contents.outputs.last(), &found) {
            let offset = *offsets.get(end.checked_sub(1)?)?;
            found = Some((Arc::from(topic.name.as_str()), *partition, offset));
        }
        end += contents.changes.len();
        if let (Some(topic), false) = (&contents.changelog, contents.changes.is_empty()) {
            let offset = *offsets.get(end.checked_sub(1)?)?;
            found = Some((Arc::clone(topic), request.owner.partition(), offset));
        }
    }
    let (topic, partition, offset) = found?;
    Some(Witness { topic, partition, offset, offsets: offsets.to_vec() })
}
