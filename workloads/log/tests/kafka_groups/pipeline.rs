//! A pipeline in a Kafka, and what its tasks commit.

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;
use millrace_log::Assignment;
use millrace_log::CommitTaskError;
use millrace_log::GroupMember;
use millrace_log::InputPosition;
use millrace_log::Log;
use millrace_log::StageConfig;
use millrace_log::StateChange;
use millrace_log::StateEntry;
use millrace_log::TaskCommit;
use millrace_log::TaskName;
use millrace_log::kafka::KafkaLog;
use millrace_log::kafka::KafkaSettings;
use rand::Rng;
use tokio::time::timeout;

use crate::PATIENCE;
use crate::common::append;
use crate::common::name;
use crate::common::read_all;
use crate::common::stream;

/// A pipeline of its own in a cluster.
#[derive(Clone)]
pub(crate) struct Pipeline {
    pub(crate) servers: String,
    pub(crate) prefix: String,
}

impl Pipeline {
    pub(crate) fn new() -> Self {
        Self::at(millrace_services::kafka().unwrap())
    }

    pub(crate) fn at(servers: String) -> Self {
        Self { servers, prefix: format!("groups-{:016x}.", rand::rng().random::<u64>()) }
    }

    /// A process of this name.
    pub(crate) async fn process(&self, name: &str) -> Arc<KafkaLog> {
        let Self { servers, prefix } = self;
        let settings = format!("{{\"bootstrapServers\": [{servers:?}], \"prefix\": {prefix:?}}}");
        let settings: KafkaSettings = serde_json::from_str(&settings).unwrap();
        KafkaLog::connect(settings, "test", name).await.unwrap()
    }

    /// A process, with streams `in`, `other` and `out` and tasks of `stage`, as many as partitions.
    pub(crate) async fn first(&self, partitions: i32) -> Arc<KafkaLog> {
        let log = self.process("first").await;
        let streams =
            [stream("in", partitions), stream("other", partitions), stream("out", partitions)];
        log.ensure_streams(&streams).await.unwrap();
        log.ensure_tasks(&[stage("stage", partitions)]).await.unwrap();
        log
    }
}

pub(crate) fn stage(name: &str, partitions: i32) -> StageConfig {
    StageConfig { name: name.to_owned(), partitions }
}

pub(crate) fn task(partition: i32) -> TaskName {
    TaskName { stage: "stage".to_owned(), partition }
}

pub(crate) async fn join(log: &KafkaLog) -> GroupMember {
    log.join_group("stage", &[name("in"), name("other")]).await.unwrap()
}

/// Waits until a member has so many partitions.
pub(crate) async fn has(member: &GroupMember, count: usize) -> Assignment {
    let mut assignment = member.assignment();
    let assigned = assignment.wait_for(|partitions| partitions.len() == count);
    timeout(PATIENCE, assigned).await.unwrap().unwrap().clone()
}

/// A commit of one output with its number in its state and position.
pub(crate) fn commit(partition: i32, number: i64) -> TaskCommit {
    let state = StateChange {
        store: "s".to_owned(),
        key: Bytes::from_static(b"number"),
        value: Some(Bytes::from(number.to_string())),
    };
    let position =
        InputPosition { stream: name("in"), partition, next: number + 1, metadata: Bytes::new() };
    TaskCommit {
        outputs: vec![append("out", partition, "k", number, 0)],
        state: vec![state],
        positions: vec![position],
    }
}

/// The number of the state.
pub(crate) fn number(state: &[StateEntry]) -> i64 {
    let Some(entry) = state.first() else { return -1 };
    std::str::from_utf8(&entry.value).unwrap().parse().unwrap()
}

pub(crate) async fn outputs(log: &KafkaLog, partition: i32) -> Vec<i64> {
    let all = read_all(log, "out", partition).await.unwrap();
    all.into_iter().map(|(_, number)| number).collect()
}

/// Waits until a partition has so many outputs, and returns them.
pub(crate) async fn outputs_when(log: &KafkaLog, partition: i32, count: usize) -> Vec<i64> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = outputs(log, partition).await;
        if found.len() >= count || Instant::now() > deadline {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub(crate) fn is_fenced<T>(result: &Result<T, CommitTaskError>) -> bool {
    matches!(result, Err(CommitTaskError::Fenced { .. }))
}
