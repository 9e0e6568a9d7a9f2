//! Which marks the silence of ingested streams leaves in the log, on tokio's paused clock.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail by panicking")]

mod support;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use millrace_core::EventId;
use millrace_core::Headers;
use millrace_core::Partition;
use millrace_core::Record;
use millrace_ingest::Acceptor;
use millrace_ingest::IdleWatcher;
use millrace_ingest::Incoming;
use millrace_log::Append;
use millrace_log::Entry;
use millrace_log::Log;
use millrace_observe::Observer;
use millrace_plan::Plan;
use millrace_plan::model::IngestedStream;
use support::MemoryLog;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

async fn event(log: &MemoryLog, partition: Partition, event_time: i64) {
    let record = Record {
        key: "k".into(),
        event_time,
        ingest_time: 0,
        id: EventId::of_content("coordinates", b"k", &event_time.to_be_bytes()),
        headers: Headers::default(),
        value: "{}".into(),
    };
    let append =
        Append { stream: "coordinates".parse().unwrap(), partition, entry: Entry::Record(record) };
    log.append(vec![append]).await.unwrap();
}

fn watch(partitions: Partition, heartbeat: bool) -> Arc<MemoryLog> {
    let log = MemoryLog::new(&[("coordinates", partitions), ("dead-letters", 1)]);
    watch_log(&log, partitions, heartbeat);
    log
}

/// Starts a watcher of a log; it ends with the token.
fn watch_log(log: &Arc<MemoryLog>, partitions: Partition, heartbeat: bool) -> CancellationToken {
    let ingested = IngestedStream { heartbeat, ..support::coordinates() };
    let plan = support::plan(ingested, partitions, Vec::new());
    watch_input(log, &plan).1
}

/// Starts a watcher of a log, and what takes in the messages of a plan.
fn watch_input(log: &Arc<MemoryLog>, plan: &Plan) -> (Acceptor, CancellationToken) {
    let (shared, cancel): (Arc<dyn Log>, _) = (log.clone(), CancellationToken::new());
    let acceptor = Acceptor::new(plan, log.clone(), &Observer::default());
    tokio::spawn(IdleWatcher::new(plan, &shared, &acceptor).run(cancel.clone()));
    (acceptor, cancel)
}

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[tokio::test(start_paused = true)]
async fn total_silence_with_a_heartbeat_releases_the_last_frame_once() {
    let log = watch(1, true);
    sleep(millis(20_000)).await;
    event(&log, 0, 1000).await;
    sleep(millis(499)).await;
    assert!(log.marks("coordinates", 0).is_empty());
    sleep(millis(60)).await;
    assert_eq!(log.marks("coordinates", 0), [1001]);
    sleep(millis(60_000)).await;
    assert_eq!(log.marks("coordinates", 0), [1001]);
    event(&log, 0, 2000).await;
    sleep(millis(600)).await;
    assert_eq!(log.marks("coordinates", 0), [1001, 2001]);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_cannot_take_input_is_not_silent_and_what_was_held_comes_first() {
    let log = watch(1, true);
    sleep(millis(20_000)).await;
    event(&log, 0, 1000).await;
    log.refuse(usize::MAX);
    sleep(millis(10_000)).await;
    log.refuse(0);
    sleep(millis(1000)).await;
    assert!(log.marks("coordinates", 0).is_empty());
    event(&log, 0, 990).await;
    sleep(millis(1000)).await;
    assert_eq!(log.marks("coordinates", 0), [1001]);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_log_that_has_stalled_is_not_silent() {
    const MESSAGE: &str =
        r#"{"timestamp": 1010, "carIndex": 2, "location": {"lat": 51.35, "long": -0.54}}"#;
    let log = support::race_log();
    let ingested = IngestedStream { heartbeat: true, ..support::coordinates() };
    let plan = support::plan(ingested, 1, vec![support::cars()]);
    let (acceptor, _) = watch_input(&log, &plan);
    sleep(millis(20_000)).await;
    event(&log, 0, 1000).await;
    let stall = log.stall().await;
    let message = Incoming {
        topic: "carCoordinates",
        client_id: None,
        user: None,
        body: MESSAGE.into(),
        arrival: 1010,
    };
    let stored = async {
        acceptor.accept(&message).await.unwrap();
        assert!(log.marks("coordinates", 0).is_empty());
        sleep(millis(450)).await;
        assert!(log.marks("coordinates", 0).is_empty());
        sleep(millis(110)).await;
        assert_eq!(log.marks("coordinates", 0), [1011]);
    };
    let end_of_stall = async {
        sleep(millis(5000)).await;
        drop(stall);
    };
    tokio::join!(stored, end_of_stall);
}

#[tokio::test(start_paused = true)]
async fn time_in_which_the_process_did_not_run_is_no_silence() {
    let log = watch(1, true);
    sleep(millis(20_000)).await;
    event(&log, 0, 1000).await;
    sleep(millis(300)).await;
    tokio::time::advance(millis(10_000)).await;
    sleep(millis(100)).await;
    assert!(log.marks("coordinates", 0).is_empty());
    sleep(millis(200)).await;
    assert_eq!(log.marks("coordinates", 0), [1001]);
}

#[tokio::test(start_paused = true)]
async fn time_of_which_the_log_does_not_know_what_others_appended_is_no_silence() {
    let log = watch(1, true);
    sleep(millis(20_000)).await;
    event(&log, 0, 1000).await;
    log.end_age.store(1000, Ordering::SeqCst);
    sleep(millis(1450)).await;
    assert!(log.marks("coordinates", 0).is_empty());
    sleep(millis(110)).await;
    assert_eq!(log.marks("coordinates", 0), [1001]);
}

#[tokio::test(start_paused = true)]
async fn silence_counts_only_from_the_end_of_the_reconnect_grace() {
    let log = watch(1, true);
    event(&log, 0, 1000).await;
    sleep(millis(10_499)).await;
    assert!(log.marks("coordinates", 0).is_empty());
    sleep(millis(60)).await;
    assert_eq!(log.marks("coordinates", 0), [1001]);
}

#[tokio::test(start_paused = true)]
async fn total_silence_without_a_heartbeat_gives_the_highest_time_of_the_others_less_disorder() {
    let log = watch(2, false);
    event(&log, 0, 1000).await;
    event(&log, 1, 3000).await;
    sleep(millis(60_000)).await;
    assert_eq!(log.marks("coordinates", 0), [2950]);
    assert!(log.marks("coordinates", 1).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_single_partition_without_a_heartbeat_gets_no_mark() {
    let log = watch(1, false);
    event(&log, 0, 1000).await;
    sleep(millis(60_000)).await;
    assert!(log.marks("coordinates", 0).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_silent_partition_follows_the_others_and_an_active_one_gets_no_mark() {
    let log = watch(2, true);
    sleep(millis(10_000)).await;
    event(&log, 1, 5000).await;
    for step in 0..20 {
        event(&log, 0, 10_000 + 100 * step).await;
        sleep(millis(100)).await;
    }
    let marks = log.marks("coordinates", 1);
    assert!(marks.is_sorted_by(|a, b| a < b), "{marks:?}");
    assert!(marks.first() >= Some(&10_350), "{marks:?}");
    assert!(marks.last() <= Some(&11_850), "{marks:?}");
    assert!(marks.last() >= Some(&11_650), "{marks:?}");
    assert!(log.marks("coordinates", 0).is_empty());
}

#[tokio::test(start_paused = true)]
async fn total_silence_with_a_heartbeat_marks_empty_partitions_too() {
    let log = watch(3, true);
    event(&log, 1, 1000).await;
    sleep(millis(60_000)).await;
    for partition in 0..3 {
        assert_eq!(log.marks("coordinates", partition), [1001], "{partition}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_empty_stream_gets_no_mark() {
    let log = watch(2, true);
    sleep(millis(60_000)).await;
    assert!(log.marks("coordinates", 0).is_empty());
    assert!(log.marks("coordinates", 1).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_mark_that_the_log_refuses_is_written_later() {
    let log = watch(1, true);
    event(&log, 0, 1000).await;
    log.refuse(3);
    sleep(millis(60_000)).await;
    assert_eq!(log.marks("coordinates", 0), [1001]);
}

#[tokio::test(start_paused = true)]
async fn marks_of_another_watcher_are_no_input_and_wake_nobody() {
    let log = watch(2, true);
    sleep(millis(33)).await;
    watch_log(&log, 2, true);
    sleep(millis(20_000)).await;
    event(&log, 0, 1000).await;
    sleep(millis(60_000)).await;
    assert_eq!(log.marks("coordinates", 0), [1001]);
    let written = log.marks("coordinates", 1);
    assert_eq!((written.last(), written.is_sorted_by(|a, b| a < b)), (Some(&1001), true));
}

#[tokio::test(start_paused = true)]
async fn a_watcher_goes_on_at_once_where_another_one_has_ended() {
    let log = MemoryLog::new(&[("coordinates", 2), ("dead-letters", 1)]);
    let first = watch_log(&log, 2, false);
    sleep(millis(33)).await;
    watch_log(&log, 2, false);
    sleep(millis(20_000)).await;
    for step in 0..20 {
        if step == 10 {
            first.cancel();
        }
        event(&log, 0, 10_000 + 100 * step).await;
        sleep(millis(100)).await;
        if step > 6 {
            // Nobody has waited for another silence of 500 ms.
            let last = log.marks("coordinates", 1).last().copied();
            assert!(last >= Some(10_000 + 100 * step - 150), "{step}: {last:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn two_watchers_that_start_at_once_both_follow_a_silent_partition() {
    let log = watch(2, false);
    watch_log(&log, 2, false);
    sleep(millis(20_000)).await;
    for step in 0..20 {
        event(&log, 0, 10_000 + 100 * step).await;
        sleep(millis(100)).await;
        let last = log.marks("coordinates", 1).last().copied();
        assert!(step < 7 || last >= Some(10_000 + 100 * step - 150), "{step}: {last:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn cancelling_ends_the_watcher() {
    let plan = support::plan(support::coordinates(), 2, Vec::new());
    let log: Arc<dyn Log> = MemoryLog::new(&[("coordinates", 2), ("dead-letters", 1)]);
    let acceptor = Acceptor::new(&plan, Arc::clone(&log), &Observer::default());
    let cancel = CancellationToken::new();
    let running = tokio::spawn(IdleWatcher::new(&plan, &log, &acceptor).run(cancel.clone()));
    sleep(millis(20_000)).await;
    cancel.cancel();
    running.await.unwrap();
}
