//! The same input gives the same outputs: shuffled, repeated, in any batches, over any
//! partitions, and through restarts.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers fail as tests do")]

mod common;

use std::collections::HashMap;
use std::time::Duration;

use common::*;
use millrace_core::Record;
use millrace_core::key::partition_of;
use millrace_plan::Plan;
use rand::Rng;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use tokio_util::sync::CancellationToken;

/// Shuffles records without moving any further, in event time, than the disorder allows.
fn shuffled(records: &[Record], seed: u64) -> Vec<Record> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut records: Vec<_> = records
        .iter()
        .map(|record| (record.event_time + random.random_range(0..=500), record.clone()))
        .collect();
    records.sort_by_key(|(place, _)| *place);
    records.into_iter().map(|(_, record)| record).collect()
}

async fn outputs_of(
    plan: &Plan,
    records: &[Record],
    batch: usize,
) -> HashMap<String, Vec<Content>> {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path(), plan).await;
    append(&log, plan, records).await;
    run_to_end(&log, plan, batch).await.unwrap();
    let outputs = outputs(&log, plan).await;
    log.close().await;
    outputs
}

#[tokio::test]
async fn the_race_has_speeds_positions_and_no_dead_letters() {
    let plan = race_plan(1);
    let outputs = outputs_of(&plan, &race_records(1, 100, ".race"), 1000).await;
    assert_eq!(outputs["motion"].len(), 600);
    assert!(outputs["positions"].len() > 6, "someone is overtaken");
    assert_eq!(outputs["dead-letters"], []);
}

#[tokio::test]
async fn shuffling_within_the_disorder_changes_nothing() {
    let plan = race_plan(1);
    let records = race_records(1, 100, ".race");
    let expected = outputs_of(&plan, &records, 1000).await;
    assert_eq!(outputs_of(&plan, &shuffled(&records, 7), 1000).await, expected);
}

#[tokio::test]
async fn repeating_every_message_changes_nothing_however_late() {
    let plan = race_plan(1);
    let records = race_records(1, 100, ".race");
    let expected = outputs_of(&plan, &records, 1000).await;
    let mut repeated = shuffled(&records, 1);
    repeated.extend(records.iter().rev().cloned());
    assert_eq!(outputs_of(&plan, &repeated, 1000).await, expected);
}

#[tokio::test]
async fn batches_of_one_change_nothing() {
    let plan = race_plan(1);
    let records = race_records(1, 40, ".race");
    let expected = outputs_of(&plan, &records, 1000).await;
    assert_eq!(outputs_of(&plan, &records, 1).await, expected);
}

#[tokio::test]
async fn twelve_races_over_one_and_twelve_partitions_are_the_same_twelve_races() {
    let records = race_records(12, 40, ".race");
    let one = outputs_of(&race_plan(1), &records, 1000).await;
    let twelve = outputs_of(&race_plan(12), &shuffled(&records, 3), 100).await;
    assert_eq!(one["motion"].len(), 12 * 6 * 40);
    assert_eq!(one, twelve);
}

#[tokio::test]
async fn a_change_of_key_between_stages_changes_nothing_over_any_partitions() {
    let expected = outputs_of(&race_plan(1), &race_records(1, 60, ".race"), 1000).await;
    let records = race_records(1, 60, ".car");
    for partitions in [1, 5] {
        let outputs = outputs_of(&two_stage_plan(partitions), &records, 50).await;
        let values = |contents: &[Content]| {
            let mut values: Vec<_> = contents.iter().map(|c| (c.1, c.3.clone())).collect();
            values.sort();
            values
        };
        assert_eq!(values(&outputs["positions"]), values(&expected["positions"]));
    }
}

/// Stops the engine at random moments without a last commit, while input goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ends_without_a_last_commit_change_nothing() {
    for mut plan in [race_plan(2), two_stage_plan(3), timers::timers_plan(3)] {
        let key = if plan.stages.len() == 1 { ".race" } else { ".car" };
        let records = race_records(2, 60, key);
        let expected = outputs_of(&plan, &records, 1000).await;
        // Buffers of derived streams that are far too small change nothing, either.
        for stage in &mut plan.stages[1..] {
            stage.buffer.records = 10;
        }

        let folder = tempfile::tempdir().unwrap();
        let log = open(folder.path(), &plan).await;
        let mut random = StdRng::seed_from_u64(42);
        let mut input = shuffled(&records, 11);
        // What is repeated after each end of the engine.
        let mut repeated = input[..20].to_vec();
        repeated.shuffle(&mut random);
        while !input.is_empty() {
            let engine = start(&log, &plan, &options(7, false), &CancellationToken::new());
            let next = input.split_off(input.len().min(random.random_range(1..80)));
            append(&log, &plan, &input).await;
            append(&log, &plan, &repeated).await;
            repeated = input.split_off(input.len().saturating_sub(5));
            for _ in 0..random.random_range(0..200) {
                tokio::task::yield_now().await;
            }
            // Dropping the engine ends its tasks wherever they are.
            drop(engine);
            input = next;
        }
        run_to_end(&log, &plan, 1000).await.unwrap();
        assert_eq!(outputs(&log, &plan).await, expected);
        log.close().await;
    }
}

#[tokio::test]
async fn nothing_of_a_derived_stream_is_late_however_far_one_of_its_writers_lags() {
    let mut plan = two_stage_plan(3);
    let records = race_records(1, 200, ".car");
    let expected = outputs_of(&plan, &records, 1000).await;
    assert_eq!(expected["dead-letters"], []);
    for stage in &mut plan.stages[1..] {
        stage.buffer.records = 20;
    }
    let (behind, ahead): (Vec<Record>, Vec<Record>) =
        records.into_iter().partition(|record| partition_of(&record.key, 3) == 0);
    assert!(!behind.is_empty() && !ahead.is_empty());
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path(), &plan).await;
    append(&log, &plan, &ahead).await;
    let shutdown = CancellationToken::new();
    let engine = start(&log, &plan, &options(1000, false), &shutdown);
    let of_race = partition_of(b"race0", 3);
    let mut end = log.follow(&name("motion"), of_race).unwrap();
    // The disorder of 500 ms holds the last three ticks back.
    let written = 197 * i64::try_from(ahead.len() / 200).unwrap();
    tokio::time::timeout(Duration::from_secs(30), end.wait_for(|end| *end >= written))
        .await
        .unwrap()
        .unwrap();
    shutdown.cancel();
    engine.join().await.unwrap();
    append(&log, &plan, &behind).await;
    run_to_end(&log, &plan, 1000).await.unwrap();
    assert_eq!(outputs(&log, &plan).await, expected);
}
