//! Timers: event times of a task like those of its events, in order, each once, and told to the
//! stages that follow.

#![allow(clippy::unwrap_used, reason = "helpers fail as tests do")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use common::timers::Call;
use common::timers::build_noting;
use common::timers::timers_plan;
use common::*;
use millrace_core::EventId;
use millrace_core::Headers;
use millrace_core::Mark;
use millrace_core::Record;
use millrace_core::key::partition_of;
use millrace_engine::TaskError;
use millrace_log::Append;
use millrace_log::Entry;
use millrace_log::Log;
use millrace_plan::Plan;
use millrace_plan::model::*;
use parking_lot::Mutex;
use proptest::prelude::*;
use tokio_util::sync::CancellationToken;

/// An event of a race's car at a time.
fn record(race: i64, time: i64) -> Record {
    let key = Bytes::from(race.to_string());
    let value = Bytes::from(format!(r#"{{"n":{time},"race":{race}}}"#));
    Record {
        id: EventId::of_content("coordinates", &key, &value),
        key,
        event_time: time,
        ingest_time: 0,
        headers: Headers::default(),
        value,
    }
}

/// Time and value of each record of a stream, sorted.
async fn outputs_of(log: &Arc<dyn Log>, plan: &Plan, stream: &str) -> Vec<(i64, Bytes)> {
    let content = content(log, plan, stream).await;
    let mut values: Vec<_> = content.into_iter().map(|(_, time, _, value)| (time, value)).collect();
    values.sort();
    values
}

fn delayed<'a>(records: impl IntoIterator<Item = &'a Record>, by: &[i64]) -> Vec<(i64, Bytes)> {
    let one = |record: &Record| {
        let (time, value) = (record.event_time, record.value.clone());
        by.iter().map(move |by| (time + by, value.clone())).collect::<Vec<_>>()
    };
    let mut all: Vec<_> = records.into_iter().flat_map(one).collect();
    all.sort();
    all
}

/// A plan of one operator, or of one operator behind another one.
fn plan_of(names: &[&str]) -> Plan {
    let mut plan = race_plan(1);
    plan.stages[0].operators = Vec::new();
    plan.streams.retain(|stream| !matches!(stream.origin, StreamOrigin::Derived { .. }));
    for (index, name_) in names.iter().enumerate() {
        let input = match index {
            0 => OperatorInput::Stream(name("coordinates")),
            _ => OperatorInput::Operator(index - 1),
        };
        plan.stages[0].operators.push(operator(name_, input, Operation::Rekey, None, Some(name_)));
        plan.streams.push(derived(name_, 0, 1));
    }
    plan
}

async fn calls_of(
    plan: &Plan,
    timers: &[(i64, i64)],
    event_times: &[i64],
    batch: usize,
) -> Vec<Call> {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path(), plan).await;
    let records: Vec<_> = event_times.iter().map(|time| record(1, *time)).collect();
    append(&log, plan, &records).await;
    let calls = Arc::new(Mutex::new(Vec::new()));
    let build = build_noting(timers, &calls);
    start_with(&build, &log, plan, &options(batch, true), &CancellationToken::new())
        .join()
        .await
        .unwrap();
    log.close().await;
    let calls = calls.lock();
    calls.clone()
}

fn from_stream(time: i64) -> Call {
    Call::Event(time, "coordinates".to_owned())
}

#[tokio::test]
async fn timers_come_in_order_with_the_event_times_and_before_the_events_of_their_time() {
    let timers = [(1000, 1500), (1000, 2000), (1000, 9000)];
    for batch in [1, 1000] {
        assert_eq!(
            calls_of(&plan_of(&["noting"]), &timers, &[1000, 2000, 3000], batch).await,
            [
                from_stream(1000),
                Call::End(1000),
                Call::Timer(1500),
                Call::End(1500),
                Call::Timer(2000),
                from_stream(2000),
                Call::End(2000),
                from_stream(3000),
                Call::End(3000),
                Call::Timer(9000),
                Call::End(9000),
            ]
        );
    }
}

#[tokio::test]
async fn a_timer_whose_time_is_over_comes_at_the_next_millisecond() {
    for batch in [1, 1000] {
        assert_eq!(
            calls_of(&plan_of(&["noting"]), &[(2000, 700)], &[1000, 2000, 3000], batch).await,
            [
                from_stream(1000),
                Call::End(1000),
                from_stream(2000),
                Call::End(2000),
                Call::Timer(2001),
                Call::End(2001),
                from_stream(3000),
                Call::End(3000),
            ]
        );
    }
}

#[tokio::test]
async fn at_its_timer_an_operator_has_seen_nothing_that_another_made_at_the_same_time() {
    // The event at 1000 comes to the second operator at 1300, which asks for 2300; then that at
    // 2000 comes at 2300.
    let plan = plan_of(&["delayed-300", "noting"]);
    let delayed = |time| Call::Event(time, "delayed-300".to_owned());
    assert_eq!(
        calls_of(&plan, &[(1300, 2300)], &[1000, 2000], 1000).await,
        [
            Call::End(1000),
            delayed(1300),
            Call::End(1300),
            Call::End(2000),
            Call::Timer(2300),
            delayed(2300),
            Call::End(2300),
        ]
    );
}

#[tokio::test]
async fn an_operator_that_asks_for_the_same_time_again_ends_the_task() {
    let plan = plan_of(&["ticking-0"]);
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path(), &plan).await;
    append(&log, &plan, &[record(1, 1000)]).await;
    let error = run_to_end(&log, &plan, 10).await.unwrap_err();
    let TaskError::Timer { source, .. } = error else { unreachable!("{error:?}") };
    assert_eq!(
        source.to_string(),
        "processor `ticking-0` asks for its timer at 1970-01-01T00:00:01.001Z again and again"
    );
}

#[tokio::test]
async fn timers_that_never_end_are_an_error_at_the_end_of_input() {
    let plan = plan_of(&["ticking-10"]);
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path(), &plan).await;
    append(&log, &plan, &[record(1, 1000)]).await;
    let error = run_to_end(&log, &plan, 10).await.unwrap_err();
    assert!(matches!(error, TaskError::EndlessTimers { .. }), "{error:?}");
}

#[tokio::test]
async fn live_and_to_the_end_the_same_timers_fire() {
    let plan = timers_plan(2);
    let records = race_records(2, 20, ".car");
    let last = records.last().unwrap().event_time;
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path(), &plan).await;
    append(&log, &plan, &records).await;
    let shutdown = CancellationToken::new();
    let engine = start(&log, &plan, &options(7, false), &shutdown);
    let mark = |partition| Append {
        stream: name("coordinates"),
        partition,
        entry: Entry::Mark(Mark::Idle { watermark: last + 1000 }),
    };
    log.append(vec![mark(0), mark(1)]).await.unwrap();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while content(&log, &plan, "delayed-100").await.len() < 2 * records.len() {
        assert!(tokio::time::Instant::now() < deadline, "the timers fire");
        tokio::task::yield_now().await;
    }
    shutdown.cancel();
    engine.join().await.unwrap();
    assert_eq!(outputs_of(&log, &plan, "delayed-300").await, normal(&records, &[300]));
    assert_eq!(outputs_of(&log, &plan, "delayed-100").await, normal(&records, &[400, 470]));
}

/// What delays make of records, whose values are written with sorted fields.
fn normal(records: &[Record], by: &[i64]) -> Vec<(i64, Bytes)> {
    let sorted = |value: &Bytes| {
        let value: serde_json::Value = serde_json::from_slice(value).unwrap();
        Bytes::from(value.to_string())
    };
    let mut all = delayed(records, by);
    for (_, value) in &mut all {
        *value = sorted(value);
    }
    all.sort();
    all
}

#[tokio::test]
async fn a_stream_of_one_partition_waits_for_the_slowest_of_all_tasks_that_write_it() {
    let mut plan = timers_plan(16);
    plan.streams.retain(|stream| stream.name != name("delayed-70"));
    for stream in &mut plan.streams[1..] {
        stream.partitions = 1;
    }
    plan.stages[0].operators.truncate(1);
    plan.stages[1].partitions = 1;
    plan.stages[1].inputs.truncate(1);
    plan.stages[1].operators[0].inputs.truncate(1);
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path(), &plan).await;
    let shutdown = CancellationToken::new();
    let engine = start(&log, &plan, &options(7, false), &shutdown);

    // Three of sixteen partitions have events; the others were never fed.
    let records: Vec<_> = (0..30).map(|n| record(n % 4, 1000 + 100 * n)).collect();
    append(&log, &plan, &records).await;
    let fed: Vec<_> =
        (0..4_i64).map(|race| partition_of(race.to_string().as_bytes(), 16)).collect();
    let idle = |partition, watermark| Append {
        stream: name("coordinates"),
        partition,
        entry: Entry::Mark(Mark::Idle { watermark }),
    };
    let unfed: Vec<_> = (0..16).filter(|partition| !fed.contains(partition)).collect();
    assert!(unfed.len() >= 12);
    let slowest = unfed[0];
    let marks = (0..16).filter(|partition| *partition != slowest).map(|p| idle(p, 10_000));
    log.append(marks.collect()).await.unwrap();
    log.append(vec![idle(slowest, 2_000)]).await.unwrap();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    // Delays of 300 and of 100 ms: below the slowest task's 2,000 are 1,000 to 1,500.
    while content(&log, &plan, "delayed-100").await.len() < 6 {
        assert!(tokio::time::Instant::now() < deadline, "the slowest task's mark arrives");
        tokio::task::yield_now().await;
    }
    assert_eq!(
        outputs_of(&log, &plan, "delayed-100").await,
        delayed(&records[..6], &[400]),
        "nothing comes before the slowest task has come so far"
    );
    log.append(vec![idle(slowest, 10_000)]).await.unwrap();
    while content(&log, &plan, "delayed-100").await.len() < 30 {
        assert!(tokio::time::Instant::now() < deadline, "everything is released");
        tokio::task::yield_now().await;
    }
    shutdown.cancel();
    engine.join().await.unwrap();
    assert_eq!(outputs_of(&log, &plan, "delayed-100").await, delayed(&records, &[400]));
    assert_eq!(content(&log, &plan, "dead-letters").await, []);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn every_event_comes_out_later_once_whatever_the_batches_partitions_and_ends(
        steps in prop::collection::vec((0..3_i64, 0..400_i64), 1..80),
        cuts in prop::collection::vec((1..30_usize, 0..60_usize, 1..20_usize), 0..6),
        partitions in 1..4_i32,
    ) {
        let mut time = 1_000_000;
        let mut records: Vec<Record> = Vec::new();
        for (race, step) in steps {
            time += step;
            records.push(record(race, time));
        }
        records.dedup();
        let plan = timers_plan(partitions);
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let (first, both) = runtime.block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let log = open(folder.path(), &plan).await;
            let mut rest = &records[..];
            for (piece, yields, batch) in cuts {
                let engine = start(&log, &plan, &options(batch, false), &CancellationToken::new());
                let (now, after) = rest.split_at(rest.len().min(piece));
                append(&log, &plan, now).await;
                rest = after;
                for _ in 0..yields {
                    tokio::task::yield_now().await;
                }
                // Dropping the engine ends its tasks wherever they are.
                drop(engine);
            }
            append(&log, &plan, rest).await;
            run_to_end(&log, &plan, 9).await.unwrap();
            let first = outputs_of(&log, &plan, "delayed-300").await;
            (first, outputs_of(&log, &plan, "delayed-100").await)
        });
        prop_assert_eq!(first, delayed(&records, &[300]));
        prop_assert_eq!(both, delayed(&records, &[400, 470]));
    }
}
