//! Several processes share a log: tasks run where their partitions are, and what comes out is as
//! if one process had made it.

#![allow(clippy::unwrap_used, reason = "helpers fail as tests do")]

#[path = "common/assigned.rs"]
mod assigned;
mod common;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use assigned::AssignedLog;
use common::*;
use millrace_core::Record;
use millrace_engine::Engine;
use millrace_engine::TaskError;
use millrace_log::Log;
use millrace_log::TaskName;
use millrace_observe::Observer;
use millrace_plan::Plan;
use rand::Rng;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A process with the engine.
struct Process {
    log: Arc<AssignedLog>,
    observer: Arc<Observer>,
    shutdown: CancellationToken,
    running: JoinHandle<Result<(), TaskError>>,
}

impl Process {
    fn start(log: &Arc<AssignedLog>, plan: &Plan, batch: usize) -> Self {
        let (observer, shutdown) = (Arc::new(Observer::default()), CancellationToken::new());
        let seen: Arc<dyn Log> = log.clone();
        let (plan, options) = (Arc::new(plan.clone()), options(batch, false));
        let engine = Engine::start(&plan, &seen, &observer, &options, &shutdown);
        let running = tokio::spawn(engine.join());
        Self { log: Arc::clone(log), observer, shutdown, running }
    }

    fn over(log: &Arc<dyn Log>, plan: &Plan, batch: usize) -> Self {
        Self::start(&AssignedLog::over(log), plan, batch)
    }

    fn parts(&self) -> Vec<String> {
        self.observer.components().iter().map(|part| part.id.to_string()).collect()
    }

    async fn stop(self) {
        self.shutdown.cancel();
        self.running.await.unwrap().unwrap();
    }
}

async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    let reached = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let reached = tokio::time::timeout(Duration::from_mins(1), reached).await;
    assert!(reached.is_ok(), "in vain: {what}");
}

async fn until_content(log: &Arc<dyn Log>, plan: &Plan, stream: &str, count: usize) {
    until(stream, async || content(log, plan, stream).await.len() == count).await;
}

async fn at_once(plan: &Plan, records: &[Record]) -> HashMap<String, Vec<Content>> {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path(), plan).await;
    append(&log, plan, records).await;
    run_to_end(&log, plan, 1000).await.unwrap();
    let outputs = outputs(&log, plan).await;
    log.close().await;
    outputs
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_that_go_from_one_process_to_another_lose_and_repeat_nothing() {
    for seed in 0..4 {
        let plan = two_stage_plan(3);
        let records = race_records(2, 60, ".car");
        let expected = at_once(&plan, &records).await;
        let folder = tempfile::tempdir().unwrap();
        let log = open(folder.path(), &plan).await;
        let mut random = StdRng::seed_from_u64(seed);
        let processes: Vec<_> = (0..3).map(|_| Process::over(&log, &plan, 20)).collect();
        let mut epoch = 0;
        // Where each partition is; the last one is nowhere.
        let mut owners = [(3, 0); 3];
        for piece in records.chunks(12) {
            append(&log, &plan, piece).await;
            for owner in &mut owners {
                if random.random_range(0..4) == 0 {
                    epoch += 1;
                    *owner = (random.random_range(0..=3), epoch);
                }
            }
            // In any order: for a moment two may have a partition, or none.
            let first = random.random_range(0..3);
            for index in (0..3).map(|index| (first + index) % 3) {
                let here = (0..).zip(&owners).filter(|(_, (owner, _))| *owner == index);
                let here: Vec<_> =
                    here.map(|(partition, (_, epoch))| (partition, *epoch)).collect();
                processes[index].log.assign(&here);
                tokio::time::sleep(Duration::from_micros(random.random_range(0..4_000))).await;
            }
        }
        for process in processes {
            process.stop().await;
        }
        run_to_end(&log, &plan, 1000).await.unwrap();
        let outputs = outputs(&log, &plan).await;
        for (stream, expected) in &expected {
            assert!(outputs[stream] == *expected, "{stream} differs, seed {seed}");
        }
        log.close().await;
    }
}

#[tokio::test]
async fn a_new_epoch_begins_anew_from_the_last_commit() {
    let plan = race_plan(1);
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path(), &plan).await;
    let process = Process::over(&log, &plan, 1000);
    process.log.assign(&[(0, 1)]);
    append(&log, &plan, &race_records(1, 10, ".race")).await;
    // The disorder of 500 ms holds the last three ticks back.
    until_content(&log, &plan, "motion", 7 * 6).await;
    assert_eq!(process.log.claims(), 1);
    process.log.assign(&[(0, 2)]);
    until("it is claimed again", async || process.log.claims() == 2).await;
    append(&log, &plan, &race_records(1, 20, ".race")[60..]).await;
    until_content(&log, &plan, "motion", 17 * 6).await;
    process.stop().await;
    run_to_end(&log, &plan, 1000).await.unwrap();
    let expected = at_once(&plan, &race_records(1, 20, ".race")).await;
    assert!(outputs(&log, &plan).await == expected);
}

#[tokio::test]
async fn a_task_that_was_taken_over_and_is_still_ours_goes_on() {
    let plan = race_plan(1);
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path(), &plan).await;
    let process = Process::over(&log, &plan, 1000);
    process.log.assign(&[(0, 1)]);
    append(&log, &plan, &race_records(1, 10, ".race")).await;
    until_content(&log, &plan, "motion", 7 * 6).await;
    log.claim_task(&TaskName { stage: "motion".to_owned(), partition: 0 }).await.unwrap();
    append(&log, &plan, &race_records(1, 20, ".race")[60..]).await;
    let waits = "task motion partition 0 is waiting: task motion/0 cannot commit: \
                 task motion/0 was taken over by someone else";
    until(waits, async || process.observer.not_ready() == [waits]).await;
    until_content(&log, &plan, "motion", 17 * 6).await;
    process.stop().await;
}

#[tokio::test]
async fn a_process_shows_the_tasks_that_it_has_and_is_ready_without_any() {
    let plan = race_plan(2);
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path(), &plan).await;
    let process = Process::over(&log, &plan, 1000);
    until("nothing is here", async || process.parts().is_empty()).await;
    process.log.assign(&[(0, 1), (1, 1)]);
    let both = ["task motion partition 0", "task motion partition 1"];
    until("both are here", async || process.parts() == both).await;
    until("both run", async || process.observer.not_ready().is_empty()).await;
    let figure = "millrace_task_buffered_records{stage=\"motion\",partition=\"0\"}";
    append(&log, &plan, &race_records(4, 1, ".race")).await;
    until(figure, async || process.observer.encode().unwrap().contains(figure)).await;
    process.log.assign(&[(1, 1)]);
    until("one is here", async || process.parts() == both[1..]).await;
    assert!(!process.observer.encode().unwrap().contains(figure));
    process.log.assign(&[]);
    until("none is here", async || process.parts().is_empty()).await;
    assert!(process.observer.not_ready().is_empty());
    process.stop().await;
}

#[tokio::test]
async fn a_stage_waits_until_its_group_can_be_joined_and_leaves_it_after_the_last_commit() {
    let plan = race_plan(1);
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path(), &plan).await;
    let assigned = AssignedLog::over(&log);
    assigned.be_unreachable(3);
    assigned.assign(&[(0, 1)]);
    let process = Process::start(&assigned, &plan, 1000);
    let waits = "task motion is waiting: cannot join group `motion`: no broker answers";
    until(waits, async || process.observer.not_ready() == [waits]).await;
    append(&log, &plan, &race_records(1, 10, ".race")).await;
    until_content(&log, &plan, "motion", 7 * 6).await;
    assert!(process.observer.not_ready().is_empty());
    assigned.hold_commits(true);
    append(&log, &plan, &race_records(1, 20, ".race")[60..]).await;
    until("a commit is under way", async || assigned.commits().0 == 1).await;
    process.shutdown.cancel();
    assert!(assigned.left().is_empty());
    assigned.hold_commits(false);
    process.stop().await;
    assert_eq!(assigned.left(), ["motion"]);
    assert_eq!(content(&log, &plan, "motion").await.len(), 17 * 6);
}

#[tokio::test]
async fn one_commit_is_under_way_while_the_next_batches_are_read_and_all_are_made_before_the_end() {
    let plan = race_plan(1);
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path(), &plan).await;
    let assigned = AssignedLog::over(&log);
    assigned.assign(&[(0, 1)]);
    assigned.hold_commits(true);
    let process = Process::start(&assigned, &plan, 10);
    let records = race_records(1, 40, ".race");
    for (index, piece) in records.chunks(60).enumerate() {
        append(&log, &plan, piece).await;
        let end = 60 * (i64::try_from(index).unwrap() + 1);
        let stream = name("coordinates");
        until("it is read", async || assigned.read_to(&stream, 0) == end).await;
    }
    assert_eq!(assigned.commits(), (1, 1));
    assert_eq!(content(&log, &plan, "motion").await, []);
    process.shutdown.cancel();
    tokio::task::yield_now().await;
    assert!(!process.running.is_finished());
    assigned.hold_commits(false);
    process.stop().await;
    assert_eq!(assigned.commits(), (0, 1));
    let task = TaskName { stage: "motion".to_owned(), partition: 0 };
    assert_eq!(log.task_positions(&task).await.unwrap()[0].next, 240);
    run_to_end(&log, &plan, 1000).await.unwrap();
    assert!(outputs(&log, &plan).await == at_once(&plan, &records).await);
}
