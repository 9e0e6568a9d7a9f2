//! The groups that this process has joined.
//!
//! Each has a consumer that subscribes and never fetches: it says that it reads nothing, and
//! publishes which partitions it was given. It has a thread of its own, which does nothing else
//! than take part in the group, so that the brokers never think it gone while the process lives.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Weak;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use millrace_core::Partition;
use millrace_core::with_causes;
use parking_lot::Mutex;
use rdkafka::ClientConfig;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::BaseConsumer;
use rdkafka::consumer::Consumer;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::KafkaError;
use rdkafka::error::KafkaResult;
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::types::RDKafkaRespErr;
use tokio::time::timeout;

use super::super::client::Connection;
use super::super::client::delegate_client;
use super::super::quiet;
use super::committer::Waker;
use super::epochs::Epochs;
use super::member::Member;
use crate::GroupMember;
use crate::JoinGroupError;

/// How long a rebalance waits for a transaction that is under way; longer than one can last that
/// is not given up.
const PATIENCE: Duration = Duration::from_secs(12);
/// How long a member that has gone may take to leave until its group can be joined again.
const LEAVE_PATIENCE: Duration = Duration::from_secs(15);
/// How long whoever joins waits for its first partitions.
const SHARE_PATIENCE: Duration = Duration::from_secs(10);
/// How often a member looks whether it should leave.
const POLL: Duration = Duration::from_millis(100);
/// How long a consumer that the brokers refuse for good waits for its successor.
const PAUSE: Duration = Duration::from_secs(1);

/// The groups that this process has joined.
pub(super) struct Groups {
    connection: Connection,
    epochs: Arc<Epochs>,
    joined: Mutex<HashMap<String, Joined>>,
}

struct Joined {
    member: Arc<Member>,
    leave: Weak<Leave>,
    stop: Arc<AtomicBool>,
}

/// Lets a member leave when it goes.
struct Leave(Arc<AtomicBool>);

impl Drop for Leave {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

impl Groups {
    pub(super) fn new(connection: Connection, epochs: Arc<Epochs>) -> Self {
        Self { connection, epochs, joined: Mutex::default() }
    }

    /// This process's member of a stage's group.
    pub(super) fn member(&self, stage: &str) -> Option<Arc<Member>> {
        let joined = self.joined.lock();
        let found = joined.get(stage)?;
        (!found.member.has_left()).then(|| Arc::clone(&found.member))
    }

    /// Joins a group over topics of equally many partitions.
    pub(super) async fn join(
        &self,
        stage: &str,
        config: ClientConfig,
        topics: Vec<String>,
        waker: Waker,
    ) -> Result<GroupMember, JoinGroupError> {
        let unavailable =
            |reason: String| JoinGroupError::Unavailable { group: stage.to_owned(), reason };
        self.wait_until_left(stage).await.map_err(unavailable)?;
        let member = Arc::new(Member::new());
        let stop = Arc::new(AtomicBool::new(false));
        let context = Context {
            connection: self.connection.clone(),
            group: stage.to_owned(),
            topics,
            member: Arc::clone(&member),
            epochs: Arc::clone(&self.epochs),
            waker,
        };
        let consumer =
            context.subscribe(&config).map_err(|error| unavailable(with_causes(&error)))?;
        let stopped = Arc::clone(&stop);
        thread::Builder::new()
            .name(format!("group {stage}"))
            .spawn(move || take_part(consumer, &config, &context, &stopped))
            .map_err(|error| unavailable(error.to_string()))?;
        let leave = Arc::new(Leave(Arc::clone(&stop)));
        let joined = Joined { member: Arc::clone(&member), leave: Arc::downgrade(&leave), stop };
        self.joined.lock().insert(stage.to_owned(), joined);
        // Where that takes longer, the assignment tells it later.
        let _ = timeout(SHARE_PATIENCE, member.wait_until_shared_out()).await;
        Ok(GroupMember::new(member.assignment(), leave))
    }

    /// Waits until an earlier member of the group has left.
    async fn wait_until_left(&self, stage: &str) -> Result<(), String> {
        let Some((member, is_leaving)) = self
            .joined
            .lock()
            .get(stage)
            .map(|joined| (Arc::clone(&joined.member), joined.leave.strong_count() == 0))
        else {
            return Ok(());
        };
        if !is_leaving && !member.has_left() {
            return Err("this process is a member already".to_owned());
        }
        timeout(LEAVE_PATIENCE, member.wait_until_left())
            .await
            .map_err(|_| "this process has not left it yet".to_owned())
    }

    /// Waits until a member that has gone has left, if there is one.
    pub(super) async fn settle(&self, stage: &str) {
        // One that is a member still is told by the brokers.
        let _ = self.wait_until_left(stage).await;
    }

    /// Leaves all groups.
    pub(super) async fn close(&self) {
        let members: Vec<_> = {
            let joined = self.joined.lock();
            joined
                .values()
                .map(|joined| {
                    joined.stop.store(true, Ordering::Release);
                    Arc::clone(&joined.member)
                })
                .collect()
        };
        let all = async {
            for member in members {
                member.wait_until_left().await;
            }
        };
        if timeout(LEAVE_PATIENCE, all).await.is_err() {
            tracing::warn!(
                message = "The groups could not be left in time: others get the partitions when the session expires."
            );
        }
    }
}

/// Takes part in the group until told to leave.
fn take_part(
    mut consumer: BaseConsumer<Context>,
    config: &ClientConfig,
    context: &Context,
    stop: &AtomicBool,
) {
    while !stop.load(Ordering::Acquire) {
        match consumer.poll(POLL) {
            None | Some(Ok(_)) => {}
            Some(Err(KafkaError::MessageConsumptionFatal(code))) => {
                tracing::warn!(
                    message = "The member of the group was shut out, and joins anew.",
                    group = context.group,
                    reason = %code
                );
                context.member.lost();
                context.waker.wake();
                thread::sleep(PAUSE);
                match context.subscribe(config) {
                    Ok(successor) => consumer = successor,
                    Err(error) => {
                        tracing::error!(message = "The group cannot be joined.", group = context.group, %error);
                    }
                }
            }
            Some(Err(error)) => {
                if let Some(left_out) = quiet::left_out(&context.group, &error.to_string()) {
                    tracing::info!(message = "The member of a group has an error.", group = context.group, %error, left_out);
                }
            }
        }
    }
    // Closing it leaves the group, so that the others need not wait for the session's end.
    drop(consumer);
    context.member.left();
    context.waker.wake();
}

/// What a member's consumer tells.
#[derive(Clone)]
struct Context {
    connection: Connection,
    group: String,
    topics: Vec<String>,
    member: Arc<Member>,
    epochs: Arc<Epochs>,
    waker: Waker,
}

delegate_client!(Context, connection);

impl Context {
    fn subscribe(&self, config: &ClientConfig) -> KafkaResult<BaseConsumer<Self>> {
        let consumer: BaseConsumer<Self> = config.create_with_context(self.clone())?;
        let topics: Vec<&str> = self.topics.iter().map(String::as_str).collect();
        consumer.subscribe(&topics)?;
        Ok(consumer)
    }

    fn assigned(&self, consumer: &BaseConsumer<Self>, given: &TopicPartitionList) {
        let partitions = joint_partitions(&self.topics, given);
        // In this order: where the member was shut out meanwhile, the metadata says nothing of it.
        let metadata = consumer.group_metadata();
        let is_lost = consumer.assignment_lost();
        // It has to say that it took the partitions over. It reads none.
        if let Err(error) = consumer.assign(&TopicPartitionList::new()) {
            tracing::warn!(message = "An assignment was not taken.", group = self.group, %error);
        }
        match (partitions, metadata) {
            (Ok(partitions), Some(metadata)) if !is_lost => {
                tracing::info!(
                    message = "The group is shared out.",
                    group = self.group,
                    ?partitions
                );
                self.member.assigned(&partitions, metadata, self.epochs.next());
            }
            (Err(differing), _) => {
                tracing::error!(
                    message = "The group got different partitions of its streams, and works on none: each one needs its counterparts. Are there members that read other streams?",
                    group = self.group,
                    given = differing
                );
                self.member.lost();
            }
            _ => self.member.lost(),
        }
        self.waker.wake();
    }

    fn revoked(&self, consumer: &BaseConsumer<Self>) {
        if consumer.assignment_lost() {
            tracing::warn!(
                message = "The member was shut out of its group; others have its partitions.",
                group = self.group
            );
            self.member.lost();
            self.waker.wake();
        } else {
            self.member.revoked(PATIENCE);
        }
        if let Err(error) = consumer.unassign() {
            tracing::warn!(message = "A revocation was not taken.", group = self.group, %error);
        }
    }
}

impl ConsumerContext for Context {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        event: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        match event {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => {
                self.assigned(consumer, partitions);
            }
            _ => self.revoked(consumer),
        }
    }
}

/// The partitions that were given of every topic; what was given of each where they differ.
fn joint_partitions(
    topics: &[String],
    given: &TopicPartitionList,
) -> Result<BTreeSet<Partition>, String> {
    let given = given.elements();
    let of_topic = |topic: &String| -> BTreeSet<Partition> {
        let of_it = given.iter().filter(|one| one.topic() == topic);
        of_it.map(TopicPartitionListElem::partition).collect()
    };
    let each: BTreeMap<&String, _> = topics.iter().map(|topic| (topic, of_topic(topic))).collect();
    let first = each.values().next().cloned().unwrap_or_default();
    if each.values().all(|partitions| *partitions == first) {
        return Ok(first);
    }
    Err(format!("{each:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(list: &[(&str, i32)]) -> TopicPartitionList {
        let mut given = TopicPartitionList::new();
        for (topic, partition) in list {
            given.add_partition(topic, *partition);
        }
        given
    }

    #[test]
    fn partitions_are_those_that_every_topic_gives() {
        let topics = ["a".to_owned(), "b".to_owned()];
        let same = given(&[("a", 0), ("b", 0), ("b", 2), ("a", 2)]);
        assert_eq!(joint_partitions(&topics, &same), Ok(BTreeSet::from([0, 2])));
        assert_eq!(joint_partitions(&topics, &given(&[])), Ok(BTreeSet::new()));
    }

    #[test]
    fn a_partition_without_its_counterpart_is_refused() {
        let topics = ["a".to_owned(), "b".to_owned()];
        let differing = given(&[("a", 0), ("b", 0), ("a", 1)]);
        assert_eq!(
            joint_partitions(&topics, &differing),
            Err("{\"a\": {0, 1}, \"b\": {0}}".to_owned())
        );
        assert!(joint_partitions(&topics, &given(&[("a", 0)])).is_err());
    }
}
