//! Rules for the removal of streams and tasks.

use bytes::Bytes;

use super::LogFactory;
use super::append;
use super::entries;
use super::name;
use super::record;
use super::stream;
use crate::CommitTaskError;
use crate::InputPosition;
use crate::ReadError;
use crate::ReadLimit;
use crate::StageConfig;
use crate::StateChange;
use crate::TaskCommit;
use crate::TaskName;
use crate::TaskSnapshot;

fn task(stage: &str) -> TaskName {
    TaskName { stage: stage.to_owned(), partition: 2 }
}

fn stage(name: &str) -> StageConfig {
    StageConfig { name: name.to_owned(), partitions: 3 }
}

fn commit(value: &'static str) -> TaskCommit {
    let state = StateChange {
        store: "s".to_owned(),
        key: Bytes::from_static(b"k"),
        value: Some(Bytes::from_static(value.as_bytes())),
    };
    let position =
        InputPosition { stream: name("in"), partition: 2, next: 5, metadata: Bytes::new() };
    TaskCommit { outputs: Vec::new(), state: vec![state], positions: vec![position] }
}

/// Entries and offsets of groups go; the name may be used again, also with other partitions.
pub async fn a_removed_stream_is_gone_with_its_offsets_and_can_be_made_anew(
    factory: &dyn LogFactory,
) {
    let log = factory.open().await;
    log.ensure_streams(&[stream("a", 2)]).await.unwrap();
    log.append(vec![append("a", 0, "k", 1), append("a", 1, "k", 2)]).await.unwrap();
    log.commit_group_offset("g", &name("a"), 1, 1).await.unwrap();
    let mut end = log.follow(&name("a"), 0).unwrap();
    log.remove(&[name("a")], &[]).await.unwrap();
    assert!(end.changed().await.is_err(), "who follows a removed stream is told");
    let read = log.read(&name("a"), 0, 0, ReadLimit::default()).await;
    assert!(matches!(read, Err(ReadError::UnknownStream { .. })), "{read:?}");
    log.close().await;

    let log = factory.open().await;
    assert!(log.partition_info(&name("a"), 0).is_err());
    log.ensure_streams(&[stream("a", 3)]).await.unwrap();
    assert_eq!(log.group_offset("g", &name("a"), 1).await.unwrap(), None);
    assert_eq!(log.append(vec![append("a", 1, "k", 3)]).await.unwrap(), [0]);
    log.close().await;
    let log = factory.open().await;
    assert_eq!(entries(&*log, "a", 0).await, []);
    assert_eq!(entries(&*log, "a", 1).await, [record("k", 3)]);
}

/// Whoever held the task cannot commit any more, and the next claim finds nothing.
pub async fn a_removed_task_is_fenced_and_begins_anew(factory: &dyn LogFactory) {
    let log = factory.open().await;
    log.ensure_streams(&[stream("in", 3)]).await.unwrap();
    log.ensure_tasks(&[stage("a")]).await.unwrap();
    let (claim, _) = log.claim_task(&task("a")).await.unwrap();
    log.commit_task(&claim, commit("v")).await.unwrap();
    log.remove(&[], &[task("a")]).await.unwrap();
    let late = log.commit_task(&claim, commit("late")).await;
    assert!(matches!(late, Err(CommitTaskError::Fenced { .. })), "{late:?}");
    assert_eq!(log.task_positions(&task("a")).await.unwrap(), []);
    log.close().await;
    let (_, snapshot) = factory.open().await.claim_task(&task("a")).await.unwrap();
    assert_eq!(snapshot, TaskSnapshot::default());
}

/// A removal can be made again.
pub async fn what_is_not_there_is_removed_already(factory: &dyn LogFactory) {
    let log = factory.open().await;
    log.remove(&[name("a")], &[task("a")]).await.unwrap();
    log.ensure_streams(&[stream("a", 1)]).await.unwrap();
    log.remove(&[name("a")], &[task("a")]).await.unwrap();
    log.remove(&[name("a")], &[task("a")]).await.unwrap();
    assert!(log.partition_info(&name("a"), 0).is_err());
}

/// Names that begin with a removed one stay, and so do streams made before and after.
pub async fn a_removal_leaves_other_streams_and_tasks_alone(factory: &dyn LogFactory) {
    let log = factory.open().await;
    log.ensure_streams(&[stream("before", 1), stream("a", 2), stream("a.b", 1)]).await.unwrap();
    for other in ["before", "a.b"] {
        log.append(vec![append(other, 0, "k", 1)]).await.unwrap();
        log.commit_group_offset("a", &name(other), 0, 1).await.unwrap();
    }
    log.ensure_tasks(&[stage("ab"), stage("a")]).await.unwrap();
    let (claim, _) = log.claim_task(&task("ab")).await.unwrap();
    log.commit_task(&claim, commit("v")).await.unwrap();
    log.remove(&[name("a")], &[task("a")]).await.unwrap();
    log.ensure_streams(&[stream("after", 2)]).await.unwrap();
    log.append(vec![append("after", 1, "k", 2), append("a.b", 0, "k", 3)]).await.unwrap();
    log.commit_task(&claim, TaskCommit::default()).await.unwrap();
    log.close().await;

    let log = factory.open().await;
    assert_eq!(entries(&*log, "before", 0).await, [record("k", 1)]);
    assert_eq!(entries(&*log, "a.b", 0).await, [record("k", 1), record("k", 3)]);
    assert_eq!(entries(&*log, "after", 1).await, [record("k", 2)]);
    assert_eq!(log.group_offset("a", &name("a.b"), 0).await.unwrap(), Some(1));
    let (_, snapshot) = log.claim_task(&task("ab")).await.unwrap();
    assert_eq!((snapshot.positions.len(), snapshot.state.len()), (1, 1));
}
