//! Late events, fencing, changed settings, full buffers and graceful stops.

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::*;
use millrace_core::DeadLetter;
use millrace_core::Mark;
use millrace_core::Record;
use millrace_engine::Engine;
use millrace_engine::RestoreStateError;
use millrace_engine::TaskError;
use millrace_log::Append;
use millrace_log::CommitTaskError;
use millrace_log::Entry;
use millrace_log::Log;
use millrace_log::ReadLimit;
use millrace_log::StreamConfig;
use millrace_log::TaskName;
use millrace_log::embedded::EmbeddedLog;
use millrace_log::embedded::EmbeddedLogOptions;
use millrace_observe::Observer;
use millrace_plan::Plan;
use millrace_plan::model::Operation;
use millrace_plan::model::OperatorInput;
use millrace_plan::program::Place;
use millrace_plan::program::Program;
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn a_late_event_becomes_one_dead_letter_that_says_why() {
    let plan = race_plan(1);
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path(), &plan).await;
    let records = race_records(1, 10, ".race");
    append(&log, &plan, &records[6..]).await;
    append(&log, &plan, &records[..1]).await;
    run_to_end(&log, &plan, 1000).await.unwrap();
    run_to_end(&log, &plan, 1000).await.unwrap();
    let letters =
        log.read(&name("dead-letters"), 0, 0, ReadLimit::default()).await.unwrap().entries;
    let [(_, Entry::Record(letter))] = &letters[..] else { unreachable!("{letters:?}") };
    let letter = DeadLetter::from_record(letter.clone());
    assert_eq!(letter.stage, "stream/coordinates");
    assert_eq!(
        letter.reason,
        "late: the event time 2023-11-14T22:13:20Z is before the watermark \
         2023-11-14T22:13:21.3Z of its partition"
    );
    assert_eq!(letter.original, records[0].value);
    assert_eq!(letter.source.unwrap().offset, 54);
}

#[tokio::test]
async fn a_late_event_of_a_stream_that_two_stages_read_is_one_dead_letter() {
    let mut plan = race_plan(1);
    let mut other = plan.stages[0].clone();
    other.name = "again".to_owned();
    other.operators.truncate(1);
    other.operators[0].name = "again".to_owned();
    other.operators[0].output = Some(name("again"));
    plan.stages.push(other);
    plan.streams.push(derived("again", 1, 1));
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path(), &plan).await;
    let records = race_records(1, 10, ".race");
    append(&log, &plan, &records[6..]).await;
    append(&log, &plan, &records[..1]).await;
    run_to_end(&log, &plan, 1000).await.unwrap();
    assert_eq!(content(&log, &plan, "again").await.len(), 54);
    assert_eq!(content(&log, &plan, "dead-letters").await.len(), 1);
}

#[tokio::test]
async fn an_idle_mark_releases_the_last_frame() {
    let plan = race_plan(1);
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path(), &plan).await;
    let records = race_records(1, 1, ".race");
    append(&log, &plan, &records).await;
    let shutdown = CancellationToken::new();
    let engine = start(&log, &plan, &options(1000, false), &shutdown);
    let watermark = records[0].event_time + 1;
    let entry = Entry::Mark(Mark::Idle { watermark });
    log.append(vec![Append { stream: name("coordinates"), partition: 0, entry }]).await.unwrap();
    let mut end = log.follow(&name("motion"), 0).unwrap();
    end.wait_for(|end| *end == 6).await.unwrap();
    shutdown.cancel();
    engine.join().await.unwrap();
    assert_eq!(content(&log, &plan, "motion").await.len(), 6);
}

#[tokio::test]
async fn a_task_that_was_taken_over_never_commits_again() {
    let plan = race_plan(1);
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path(), &plan).await;
    let engine = start(&log, &plan, &options(1000, false), &CancellationToken::new());
    append(&log, &plan, &race_records(1, 10, ".race")).await;
    let mut end = log.follow(&name("motion"), 0).unwrap();
    end.wait_for(|end| *end > 0).await.unwrap();
    log.claim_task(&TaskName { stage: "motion".to_owned(), partition: 0 }).await.unwrap();
    append(&log, &plan, &race_records(1, 20, ".race")[60..]).await;
    let error = engine.join().await.unwrap_err();
    assert!(
        matches!(error, TaskError::Commit { source: CommitTaskError::Fenced { .. }, .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn state_of_other_settings_is_refused_by_the_processors_name() {
    let mut plan = race_plan(1);
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path(), &plan).await;
    append(&log, &plan, &race_records(1, 5, ".race")).await;
    run_to_end(&log, &plan, 1000).await.unwrap();
    plan.stages[0].operators[1].fingerprint = "2".to_owned();
    let error = run_to_end(&log, &plan, 1000).await.unwrap_err();
    let TaskError::Restore { source: RestoreStateError::ChangedSettings { processor }, .. } = error
    else {
        unreachable!("{error:?}")
    };
    assert_eq!(processor, "positions");
}

#[tokio::test]
async fn a_full_buffer_releases_early_and_what_comes_below_is_late() {
    let mut plan = race_plan(1);
    plan.stages[0].buffer.records = 6;
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path(), &plan).await;
    let records = race_records(1, 3, ".race");
    let with_a_straggler: Vec<Record> = records[1..].iter().chain(&records[..1]).cloned().collect();
    append(&log, &plan, &with_a_straggler).await;
    run_to_end(&log, &plan, 1000).await.unwrap();
    assert_eq!(content(&log, &plan, "motion").await.len(), 17);
    assert_eq!(content(&log, &plan, "dead-letters").await.len(), 1);
}

#[tokio::test]
async fn a_graceful_stop_commits_what_was_processed() {
    let plan = race_plan(1);
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path(), &plan).await;
    append(&log, &plan, &race_records(1, 100, ".race")).await;
    let shutdown = CancellationToken::new();
    let engine = start(&log, &plan, &options(1000, false), &shutdown);
    let mut end = log.follow(&name("motion"), 0).unwrap();
    // The disorder of 500 ms holds the last three ticks back.
    tokio::time::timeout(Duration::from_secs(30), end.wait_for(|end| *end == 97 * 6))
        .await
        .unwrap()
        .unwrap();
    shutdown.cancel();
    engine.join().await.unwrap();
    let task = TaskName { stage: "motion".to_owned(), partition: 0 };
    let (_, snapshot) = log.claim_task(&task).await.unwrap();
    assert_eq!(snapshot.positions[0].next, 600);
}

#[tokio::test]
async fn an_output_that_is_too_large_becomes_a_dead_letter_of_what_it_was_made_of() {
    let doubled = "x = string!(.race)\n".to_owned() + &"x = x + x\n".repeat(23) + ".x = x";
    let program = Program::compile(&doubled, Place::Pipeline).unwrap();
    let mut plan = race_plan(1);
    let stream = OperatorInput::Stream(name("coordinates"));
    plan.stages[0].operators =
        vec![operator("motion", stream, Operation::Map(program), None, Some("motion"))];
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path(), &plan).await;
    let records = race_records(1, 1, ".race");
    append(&log, &plan, &records[..1]).await;
    run_to_end(&log, &plan, 1000).await.unwrap();
    assert_eq!(content(&log, &plan, "motion").await, []);
    let letters =
        log.read(&name("dead-letters"), 0, 0, ReadLimit::default()).await.unwrap().entries;
    let [(_, Entry::Record(letter))] = &letters[..] else { unreachable!("{}", letters.len()) };
    let letter = DeadLetter::from_record(letter.clone());
    assert!(letter.reason.ends_with("at most 16777216 are allowed"), "{}", letter.reason);
    assert_eq!(letter.original, records[0].value);
}

#[tokio::test]
async fn what_retention_removed_before_it_was_processed_is_counted() {
    let mut plan = race_plan(1);
    plan.streams[0].retention.bytes = Some(1);
    let folder = tempfile::tempdir().unwrap();
    let log = EmbeddedLog::open(EmbeddedLogOptions::new(folder.path())).unwrap();
    log.ensure_streams(&[StreamConfig {
        name: name("coordinates"),
        partitions: 1,
        retention: plan.streams[0].retention,
    }])
    .await
    .unwrap();
    let embedded = Arc::clone(&log);
    let log: Arc<dyn Log> = log;
    for stream in &plan.streams[1..] {
        let config = StreamConfig {
            name: stream.name.clone(),
            partitions: stream.partitions,
            retention: stream.retention,
        };
        log.ensure_streams(&[config]).await.unwrap();
    }
    let records = race_records(1, 4, ".race");
    append(&log, &plan, &records[..6]).await;
    run_to_end(&log, &plan, 1000).await.unwrap();
    append(&log, &plan, &records[6..12]).await;
    append(&log, &plan, &records[12..18]).await;
    embedded.enforce_retention(0).await.unwrap();
    let observer = Arc::new(Observer::default());
    let shared: Arc<Plan> = Arc::new(plan.clone());
    let stop = CancellationToken::new();
    Engine::start(&shared, &log, &observer, &options(1000, true), &stop).join().await.unwrap();
    assert_eq!(content(&log, &plan, "motion").await.len(), 12);
    let metrics = observer.encode().unwrap();
    let line = metrics.lines().find(|line| line.contains("entries_removed_total{"));
    assert!(line.is_some_and(|line| line.ends_with(" 6")), "{line:?}");
}
