//! What is in the logs alone decides what comes out: through ends without a last commit, commits
//! that fail, and commits whose answer is lost, with inputs of different pace.

#![allow(clippy::unwrap_used, reason = "helpers fail as tests do")]

mod common;
#[path = "common/faulty.rs"]
mod faulty;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use common::*;
use faulty::FaultyLog;
use millrace_core::EventId;
use millrace_core::Record;
use millrace_core::key::partition_of;
use millrace_log::Append;
use millrace_log::Entry;
use millrace_log::Log;
use millrace_plan::Plan;
use millrace_plan::model::*;
use millrace_plan::program::Place;
use millrace_plan::program::Program;
use rand::Rng;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio_util::sync::CancellationToken;

/// What each ingested stream's log holds, in order.
type Inputs = Vec<(&'static str, Vec<Record>)>;

fn ingested(stream: &str, partitions: i32, disorder: Duration, max_ids: usize) -> StreamPlan {
    let mut plan = coordinates(".race", partitions);
    plan.name = name(stream);
    if let StreamOrigin::Ingested(ingested) = &mut plan.origin {
        ingested.disorder = disorder;
        ingested.deduplicate = Some(Deduplication { within: Duration::from_mins(2), max_ids });
    }
    plan
}

/// Motion of the cars of two streams at once, after a filter and a map that refuses some events.
fn two_inputs_plan(partitions: i32, max_ids: usize) -> Plan {
    let program = |source| Program::compile(source, Place::Pipeline).unwrap();
    let from = |stream| OperatorInput::Stream(name(stream));
    let mut checked = operator(
        "checked",
        from("fast"),
        Operation::Map(program("if .car == 5 { .n = to_int!(.bad) }\nif .car == 4 { abort }\n")),
        None,
        Some("checked"),
    );
    checked.inputs.push(from("slow"));
    let mut plan = race_plan(partitions);
    plan.streams = vec![
        ingested("fast", partitions, Duration::from_millis(500), max_ids),
        ingested("slow", partitions, Duration::from_millis(900), max_ids),
        derived("checked", 0, partitions),
        derived("motion", 0, partitions),
        derived("positions", 0, partitions),
        dead_letters(),
    ];
    let stage = &mut plan.stages[0];
    stage.inputs = vec![name("fast"), name("slow")];
    stage.operators = vec![
        checked,
        operator("motion", OperatorInput::Operator(0), motion(), None, Some("motion")),
        operator("positions", OperatorInput::Operator(1), rank(), None, Some("positions")),
    ];
    plan
}

/// Records out of order beyond the disorder, repeated near and far, and once with another time.
fn disturbed(records: &[Record], random: &mut StdRng) -> Vec<Record> {
    let mut all: Vec<(i64, Record)> = Vec::new();
    for record in records {
        all.push((record.event_time + random.random_range(0..=500), record.clone()));
        match random.random_range(0..20) {
            0 => all.push((record.event_time + 5_000, record.clone())),
            1..4 => all.push((record.event_time + 300, record.clone())),
            // Comes too late.
            4 => {
                let id = EventId::from(random.random::<[u8; 16]>());
                all.push((record.event_time + 2_500, Record { id, ..record.clone() }));
            }
            // The same id with a later time.
            5 => {
                let event_time = record.event_time + 150;
                all.push((record.event_time + 600, Record { event_time, ..record.clone() }));
            }
            // No JSON.
            6 => {
                let id = EventId::from(random.random::<[u8; 16]>());
                let value = Bytes::from_static(b"{");
                all.push((record.event_time, Record { id, value, ..record.clone() }));
            }
            _ => {}
        }
    }
    all.sort_by_key(|(place, _)| *place);
    all.into_iter().map(|(_, record)| record).collect()
}

fn two_inputs(seed: u64) -> Inputs {
    let mut random = StdRng::seed_from_u64(seed);
    let records = race_records(2, 60, ".race");
    let (fast, slow): (Vec<_>, Vec<_>) =
        records.into_iter().partition(|record| record.event_time / 200 % 2 == 0);
    vec![("fast", disturbed(&fast, &mut random)), ("slow", disturbed(&slow, &mut random))]
}

async fn append_to(log: &Arc<dyn Log>, plan: &Plan, stream: &str, records: &[Record]) {
    let partitions = plan.stream(&name(stream)).unwrap().partitions;
    let entries = records.iter().map(|record| Append {
        stream: name(stream),
        partition: partition_of(&record.key, partitions),
        entry: Entry::Record(record.clone()),
    });
    log.append(entries.collect()).await.unwrap();
}

async fn derived_outputs(log: &Arc<dyn Log>, plan: &Plan) -> HashMap<String, Vec<Content>> {
    let mut outputs = HashMap::new();
    for stream in &plan.streams {
        if !matches!(stream.origin, StreamOrigin::Ingested(_)) {
            let stream = stream.name.to_string();
            outputs.insert(stream.clone(), content(log, plan, &stream).await);
        }
    }
    outputs
}

async fn at_once(plan: &Plan, inputs: &Inputs) -> HashMap<String, Vec<Content>> {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path(), plan).await;
    for (stream, records) in inputs {
        append_to(&log, plan, stream, records).await;
    }
    run_to_end(&log, plan, 1000).await.unwrap();
    let outputs = derived_outputs(&log, plan).await;
    log.close().await;
    outputs
}

/// Runs with input in pieces, one stream ahead of the other, through ends and faults.
async fn in_pieces(plan: &Plan, inputs: &Inputs, seed: u64) -> HashMap<String, Vec<Content>> {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path(), plan).await;
    let mut random = StdRng::seed_from_u64(seed);
    let mut rest: Vec<(&str, &[Record])> = inputs.iter().map(|(s, r)| (*s, &r[..])).collect();
    while rest.iter().any(|(_, records)| !records.is_empty()) {
        let faulty = FaultyLog::over(Arc::clone(&log), random.random());
        let batch = random.random_range(1..20);
        let engine = start(&faulty, plan, &options(batch, false), &CancellationToken::new());
        for _ in 0..random.random_range(1..4) {
            let index = random.random_range(0..rest.len());
            let (stream, records) = &mut rest[index];
            let (piece, after) = records.split_at(records.len().min(random.random_range(1..90)));
            append_to(&log, plan, stream, piece).await;
            *records = after;
            // Now and then long enough for a task to be started again after a fault.
            let pause = if random.random_range(0..4) == 0 { 60_000 } else { 3_000 };
            tokio::time::sleep(Duration::from_micros(random.random_range(0..pause))).await;
        }
        drop(engine);
    }
    run_to_end(&log, plan, 1000).await.unwrap();
    let outputs = derived_outputs(&log, plan).await;
    log.close().await;
    outputs
}

fn assert_same(actual: &HashMap<String, Vec<Content>>, expected: &HashMap<String, Vec<Content>>) {
    for (stream, expected) in expected {
        let actual = &actual[stream];
        let missing = expected.iter().filter(|one| !actual.contains(one)).count();
        let more = actual.iter().filter(|one| !expected.contains(one)).count();
        assert!(
            actual == expected,
            "{stream}: {} instead of {}, {missing} missing, {more} others",
            actual.len(),
            expected.len()
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_and_ends_change_nothing_with_two_inputs_of_different_pace() {
    for seed in 0..6 {
        let plan = two_inputs_plan(2, 1_000_000);
        let inputs = two_inputs(seed);
        let expected = at_once(&plan, &inputs).await;
        assert!(expected["dead-letters"].len() > 20, "there are late and refused events");
        assert_same(&in_pieces(&plan, &inputs, seed).await, &expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_and_ends_change_nothing_where_fewer_ids_are_remembered_than_come() {
    for seed in 0..6 {
        for max_ids in [3, 30] {
            let plan = two_inputs_plan(2, max_ids);
            let inputs = two_inputs(100 + seed);
            let expected = at_once(&plan, &inputs).await;
            assert_same(&in_pieces(&plan, &inputs, seed).await, &expected);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_and_ends_change_nothing_where_the_buffer_overflows() {
    for seed in 0..6 {
        let mut plan = race_plan(2);
        plan.stages[0].buffer.records = 15;
        let mut random = StdRng::seed_from_u64(seed);
        let records = disturbed(&race_records(2, 60, ".race"), &mut random);
        let inputs = vec![("coordinates", records)];
        let expected = at_once(&plan, &inputs).await;
        assert_same(&in_pieces(&plan, &inputs, seed).await, &expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_and_ends_change_nothing_over_two_stages() {
    for seed in 0..3 {
        let plan = two_stage_plan(3);
        let mut random = StdRng::seed_from_u64(seed);
        let records = disturbed(&race_records(1, 60, ".car"), &mut random);
        let inputs = vec![("coordinates", records)];
        let expected = at_once(&plan, &inputs).await;
        assert_same(&in_pieces(&plan, &inputs, seed).await, &expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_and_ends_fire_no_timer_twice_and_none_too_few() {
    for seed in 0..4 {
        let plan = timers::timers_plan(3);
        let mut random = StdRng::seed_from_u64(seed);
        let records = disturbed(&race_records(2, 40, ".car"), &mut random);
        let inputs = vec![("coordinates", records)];
        let expected = at_once(&plan, &inputs).await;
        assert_same(&in_pieces(&plan, &inputs, seed).await, &expected);
    }
}
