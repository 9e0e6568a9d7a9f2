//! Rules for tasks: claims, commits, state and positions.

use std::sync::Arc;

use bytes::Bytes;
use millrace_core::Partition;

use super::LogFactory;
use super::append;
use super::entries;
use super::idle;
use super::name;
use super::record;
use super::stream;
use crate::AppendError;
use crate::CommitTaskError;
use crate::InputPosition;
use crate::Log;
use crate::StageConfig;
use crate::StateChange;
use crate::StateEntry;
use crate::TaskCommit;
use crate::TaskName;

fn task(stage: &str) -> TaskName {
    TaskName { stage: stage.to_owned(), partition: 0 }
}

fn put(store: &str, key: &str, value: &str) -> StateChange {
    StateChange {
        store: store.to_owned(),
        key: Bytes::copy_from_slice(key.as_bytes()),
        value: Some(Bytes::copy_from_slice(value.as_bytes())),
    }
}

fn remove(store: &str, key: &str) -> StateChange {
    StateChange { value: None, ..put(store, key, "") }
}

fn entry(store: &str, key: &str, value: &str) -> StateEntry {
    StateEntry {
        store: store.to_owned(),
        key: Bytes::copy_from_slice(key.as_bytes()),
        value: Bytes::copy_from_slice(value.as_bytes()),
    }
}

fn position(stream: &str, next: i64, metadata: &'static str) -> InputPosition {
    InputPosition {
        stream: name(stream),
        partition: 0,
        next,
        metadata: Bytes::from_static(metadata.as_bytes()),
    }
}

fn state(changes: Vec<StateChange>) -> TaskCommit {
    TaskCommit { state: changes, ..TaskCommit::default() }
}

/// A log with what tasks of these stages keep their state in.
async fn open(factory: &dyn LogFactory, stages: &[(&str, Partition)]) -> Arc<dyn Log> {
    let log = factory.open().await;
    let stages: Vec<_> = stages
        .iter()
        .map(|(name, partitions)| StageConfig { name: (*name).to_owned(), partitions: *partitions })
        .collect();
    log.ensure_tasks(&stages).await.unwrap();
    log
}

/// Outputs, state and positions of a commit are all there, also after reopening.
pub async fn a_commit_is_made_as_a_whole_and_restored(factory: &dyn LogFactory) {
    let log = open(factory, &[("s", 1)]).await;
    log.ensure_streams(&[stream("in", 1), stream("out", 2)]).await.unwrap();
    let (claim, snapshot) = log.claim_task(&task("s")).await.unwrap();
    assert_eq!((snapshot.state.len(), snapshot.positions.len()), (0, 0));
    let commit = TaskCommit {
        outputs: vec![append("out", 1, "x", 1), idle("out", 1, 3), append("out", 0, "y", 2)],
        state: vec![put("store", "b", "2"), put("store", "a", "1")],
        positions: vec![position("in", 17, "m")],
    };
    assert_eq!(log.commit_task(&claim, commit).await.unwrap().len(), 3);
    log.close().await;
    drop(log);

    let log = factory.open().await;
    assert_eq!(entries(&*log, "out", 1).await.len(), 2);
    assert_eq!(entries(&*log, "out", 0).await, [record("y", 2)]);
    let (_, snapshot) = log.claim_task(&task("s")).await.unwrap();
    assert_eq!(snapshot.state, [entry("store", "a", "1"), entry("store", "b", "2")]);
    assert_eq!(snapshot.positions, [position("in", 17, "m")]);
}

/// Of several changes of a key the last counts, within a commit and between them.
pub async fn the_last_value_of_a_state_wins_and_none_removes_it(factory: &dyn LogFactory) {
    let log = open(factory, &[("s", 1)]).await;
    let (claim, _) = log.claim_task(&task("s")).await.unwrap();
    let changes =
        vec![put("t", "a", "1"), put("t", "a", "2"), put("t", "b", "1"), remove("t", "b")];
    log.commit_task(&claim, state(changes)).await.unwrap();
    let changes = vec![put("t", "c", "1"), remove("t", "d"), put("t", "d", ""), put("t", "e", "5")];
    log.commit_task(&claim, state(changes)).await.unwrap();
    log.commit_task(&claim, state(vec![remove("t", "c"), put("t", "e", "6")])).await.unwrap();
    let (_, snapshot) = log.claim_task(&task("s")).await.unwrap();
    assert_eq!(snapshot.state, [entry("t", "a", "2"), entry("t", "d", ""), entry("t", "e", "6")]);
}

/// Whoever claimed last may commit; whoever claimed before is told that it may not.
pub async fn a_later_claim_fences_the_earlier_one(factory: &dyn LogFactory) {
    let log = open(factory, &[("s", 1), ("other", 1)]).await;
    let (first, _) = log.claim_task(&task("s")).await.unwrap();
    let (second, _) = log.claim_task(&task("s")).await.unwrap();
    let (other, _) = log.claim_task(&task("other")).await.unwrap();
    assert!(second.epoch > first.epoch);
    let refused = log.commit_task(&first, TaskCommit::default()).await;
    assert!(matches!(refused, Err(CommitTaskError::Fenced { .. })), "{refused:?}");
    log.commit_task(&second, TaskCommit::default()).await.unwrap();
    log.commit_task(&other, TaskCommit::default()).await.unwrap();
}

/// Nothing of a fenced commit is kept.
pub async fn a_fenced_commit_leaves_no_trace(factory: &dyn LogFactory) {
    let log = open(factory, &[("s", 1)]).await;
    log.ensure_streams(&[stream("out", 1)]).await.unwrap();
    let (old, _) = log.claim_task(&task("s")).await.unwrap();
    log.claim_task(&task("s")).await.unwrap();
    let commit = TaskCommit {
        outputs: vec![append("out", 0, "x", 1)],
        state: vec![put("t", "a", "1")],
        positions: vec![position("out", 1, "")],
    };
    assert!(log.commit_task(&old, commit).await.is_err());
    assert_eq!(entries(&*log, "out", 0).await, []);
    let (_, snapshot) = log.claim_task(&task("s")).await.unwrap();
    assert_eq!((snapshot.state.len(), snapshot.positions.len()), (0, 0));
}

/// Nothing of a commit with an unknown output stream is kept.
pub async fn a_refused_commit_leaves_no_trace(factory: &dyn LogFactory) {
    let log = open(factory, &[("s", 1)]).await;
    log.ensure_streams(&[stream("out", 1)]).await.unwrap();
    let (claim, _) = log.claim_task(&task("s")).await.unwrap();
    let commit = TaskCommit {
        outputs: vec![append("out", 0, "x", 1), append("nowhere", 0, "x", 1)],
        state: vec![put("t", "a", "1")],
        positions: Vec::new(),
    };
    let refused = log.commit_task(&claim, commit).await;
    assert!(
        matches!(refused, Err(CommitTaskError::Append(AppendError::UnknownStream { .. }))),
        "{refused:?}"
    );
    assert_eq!(entries(&*log, "out", 0).await, []);
    let (_, snapshot) = log.claim_task(&task("s")).await.unwrap();
    assert_eq!(snapshot.state.len(), 0);
}

/// A commit changes the positions that it names.
pub async fn positions_that_are_not_named_stay(factory: &dyn LogFactory) {
    let log = open(factory, &[("s", 1)]).await;
    let (claim, _) = log.claim_task(&task("s")).await.unwrap();
    let commit = |positions| TaskCommit { positions, ..TaskCommit::default() };
    let both = vec![position("a", 1, "x"), position("b", 2, "y")];
    log.commit_task(&claim, commit(both)).await.unwrap();
    log.commit_task(&claim, commit(vec![position("b", 3, "z")])).await.unwrap();
    let (_, snapshot) = log.claim_task(&task("s")).await.unwrap();
    assert_eq!(snapshot.positions, [position("a", 1, "x"), position("b", 3, "z")]);
}

/// Tasks whose names begin alike, their partitions and their stores do not mix.
pub async fn tasks_and_stores_are_apart(factory: &dyn LogFactory) {
    let log = open(factory, &[("s", 257), ("ss", 1)]).await;
    let names = [
        task("s"),
        task("ss"),
        TaskName { stage: "s".to_owned(), partition: 1 },
        TaskName { stage: "s".to_owned(), partition: 256 },
    ];
    for (number, task) in names.iter().enumerate() {
        let (claim, _) = log.claim_task(task).await.unwrap();
        let number = number.to_string();
        let changes = vec![put("ab", "c", &number), put("a", "bc", &number)];
        log.commit_task(&claim, state(changes)).await.unwrap();
    }
    for (number, task) in names.iter().enumerate() {
        let number = number.to_string();
        let (_, snapshot) = log.claim_task(task).await.unwrap();
        assert_eq!(snapshot.state, [entry("a", "bc", &number), entry("ab", "c", &number)]);
    }
}

/// A claim from before the log was reopened is fenced by one from after.
pub async fn epochs_survive(factory: &dyn LogFactory) {
    let log = open(factory, &[("s", 1)]).await;
    let (old, _) = log.claim_task(&task("s")).await.unwrap();
    log.close().await;
    drop(log);
    let log = factory.open().await;
    log.commit_task(&old, TaskCommit::default()).await.unwrap();
    let (new, _) = log.claim_task(&task("s")).await.unwrap();
    assert!(new.epoch > old.epoch);
    assert!(log.commit_task(&old, TaskCommit::default()).await.is_err());
}

/// Asking for positions does not fence.
pub async fn positions_are_told_without_a_claim(factory: &dyn LogFactory) {
    let log = open(factory, &[("a", 1)]).await;
    log.ensure_streams(&[stream("in", 1)]).await.unwrap();
    assert_eq!(log.task_positions(&task("a")).await.unwrap(), []);
    let (claim, _) = log.claim_task(&task("a")).await.unwrap();
    let positions = vec![position("in", 7, "x")];
    let commit = TaskCommit { positions: positions.clone(), ..TaskCommit::default() };
    log.commit_task(&claim, commit).await.unwrap();
    assert_eq!(log.task_positions(&task("a")).await.unwrap(), positions);
    log.commit_task(&claim, TaskCommit::default()).await.unwrap();
    log.close().await;
    assert_eq!(factory.open().await.task_positions(&task("a")).await.unwrap(), positions);
}

/// A task whose stage was never named keeps its positions, and is refused state.
pub async fn a_task_of_a_stage_without_state_has_positions(factory: &dyn LogFactory) {
    let log = factory.open().await;
    log.ensure_streams(&[stream("in", 2), stream("out", 1)]).await.unwrap();
    let second = TaskName { stage: "sink/s".to_owned(), partition: 1 };
    let (claim, snapshot) = log.claim_task(&second).await.unwrap();
    assert_eq!(snapshot.positions, []);
    let at =
        |partition, next, metadata| InputPosition { partition, ..position("in", next, metadata) };
    let commit = |position| TaskCommit {
        outputs: vec![append("out", 0, "x", 1)],
        state: Vec::new(),
        positions: vec![position],
    };
    log.commit_task(&claim, commit(at(1, 3, "a"))).await.unwrap();
    log.commit_task(&claim, commit(at(1, 7, "b\0"))).await.unwrap();
    let first = TaskName { partition: 0, ..second.clone() };
    let (other, snapshot) = log.claim_task(&first).await.unwrap();
    assert_eq!(snapshot.positions, [], "those of another task");
    log.commit_task(&other, commit(at(0, 2, ""))).await.unwrap();
    assert_eq!(log.task_state(&second).await.unwrap(), []);
    log.close().await;
    drop(log);

    let log = factory.open().await;
    assert_eq!(log.task_positions(&first).await.unwrap(), [at(0, 2, "")]);
    let (_, snapshot) = log.claim_task(&second).await.unwrap();
    assert_eq!(snapshot.positions, [at(1, 7, "b\0")]);
    assert_eq!(entries(&*log, "out", 0).await.len(), 3);
}

/// What a task has is told without a claim, and again after it has changed.
pub async fn state_is_told_without_a_claim(factory: &dyn LogFactory) {
    let log = open(factory, &[("s", 1)]).await;
    assert_eq!(log.task_state(&task("s")).await.unwrap(), []);
    assert_eq!(log.task_state(&task("nobody")).await.unwrap(), []);
    let (claim, _) = log.claim_task(&task("s")).await.unwrap();
    for value in ["1", "2"] {
        let changes = vec![put("t", "b", value), put("t", "a", value), put("t", value, "")];
        log.commit_task(&claim, state(changes)).await.unwrap();
        let found = log.task_state(&task("s")).await.unwrap();
        assert_eq!(found.len(), if value == "1" { 3 } else { 4 });
        assert_eq!(found[found.len() - 2..], [entry("t", "a", value), entry("t", "b", value)]);
    }
    log.commit_task(&claim, state(vec![remove("t", "1"), remove("t", "a")])).await.unwrap();
    let expected = [entry("t", "2", ""), entry("t", "b", "2")];
    assert_eq!(log.task_state(&task("s")).await.unwrap(), expected);
    assert_eq!(log.task_state(&task("s")).await.unwrap(), expected);
}
