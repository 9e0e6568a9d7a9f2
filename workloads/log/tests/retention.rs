//! Retention by arrival time and by size.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers fail as tests do")]

mod common;

use std::path::Path;
use std::time::Duration;

use common::append;
use common::files;
use common::name;
use common::read_all;
use common::stream;
use millrace_log::EmbeddedLog;
use millrace_log::EmbeddedLogOptions;
use millrace_log::Log;
use millrace_log::ReadLimit;
use millrace_log::StreamConfig;
use millrace_plan::model::Retention;

fn open(folder: &Path) -> std::sync::Arc<EmbeddedLog> {
    let options =
        EmbeddedLogOptions { write_buffer_bytes: 1 << 20, ..EmbeddedLogOptions::new(folder) };
    EmbeddedLog::open(options).unwrap()
}

fn limited(time: Option<Duration>, bytes: Option<u64>) -> StreamConfig {
    StreamConfig { retention: Retention { time, bytes }, ..stream("a", 1) }
}

async fn numbers(log: &EmbeddedLog, stream: &str) -> Vec<i64> {
    let found = read_all(log, stream, 0).await.unwrap();
    found.into_iter().map(|(_, number)| number).collect()
}

#[tokio::test]
async fn records_older_than_the_time_go_and_readers_go_on_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    let minute = limited(Some(Duration::from_mins(1)), None);
    log.ensure_streams(&[minute, stream("b", 1)]).await.unwrap();
    for number in 0..100 {
        let appends =
            vec![append("a", 0, "k", number * 1000, 10), append("b", 0, "k", number * 1000, 10)];
        log.append(appends).await.unwrap();
    }
    // Records of the 41st second and later are at most a minute old in the 101st.
    log.enforce_retention(101_000).await.unwrap();
    let kept: Vec<_> = (41..100).map(|number| number * 1000).collect();
    assert_eq!(numbers(&log, "a").await, kept);
    assert_eq!(numbers(&log, "b").await.len(), 100);
    let info = log.partition_info(&name("a"), 0).unwrap();
    assert_eq!((info.start, info.end, info.highest_event_time), (41, 100, Some(99_000)));
    let batch = log.read(&name("a"), 0, 3, ReadLimit { entries: 1, bytes: 1 }).await.unwrap();
    assert_eq!((batch.entries[0].0, batch.next), (41, 42));
    log.close().await;
    drop(log);

    let log = open(folder.path());
    assert_eq!(log.partition_info(&name("a"), 0).unwrap(), info);
    assert_eq!(numbers(&log, "a").await, kept);
    log.enforce_retention(i64::MAX).await.unwrap();
    assert_eq!(numbers(&log, "a").await, Vec::<i64>::new());
    assert_eq!(log.append(vec![append("a", 0, "k", 5, 1)]).await.unwrap(), [100]);
    assert_eq!(numbers(&log, "a").await, [5]);
    log.close().await;
}

#[tokio::test]
async fn a_younger_record_behind_which_older_ones_lie_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    log.ensure_streams(&[limited(Some(Duration::from_secs(1)), None)]).await.unwrap();
    for number in [1000, 9000, 2000, 3000] {
        log.append(vec![append("a", 0, "k", number, 10)]).await.unwrap();
    }
    log.enforce_retention(9500).await.unwrap();
    assert_eq!(numbers(&log, "a").await, [9000, 2000, 3000]);
    log.close().await;
}

#[tokio::test]
async fn beyond_the_size_the_oldest_go_and_their_files_with_them() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    log.ensure_streams(&[limited(None, Some(1 << 20)), stream("b", 1)]).await.unwrap();
    for number in 0..3000 {
        log.append(vec![append("a", 0, "k", number, 10_000)]).await.unwrap();
    }
    let tables = || {
        let all = files(folder.path());
        let tables = all.iter().filter(|path| path.parent().unwrap().ends_with("tables"));
        tables.map(|path| std::fs::metadata(path).map_or(0, |file| file.len())).sum::<u64>()
    };
    let before = tables();
    log.enforce_retention(0).await.unwrap();
    let kept = numbers(&log, "a").await;
    assert_eq!(kept.last(), Some(&2999));
    // Each takes 10,044 bytes.
    assert!((105..=112).contains(&kept.len()), "{}", kept.len());
    log.append(vec![append("b", 0, "k", 0, 10)]).await.unwrap();
    log.enforce_retention(0).await.unwrap();
    assert!(before > 20 << 20 && tables() < 6 << 20, "{before} {}", tables());
    log.close().await;
    drop(log);

    let log = open(folder.path());
    assert_eq!(numbers(&log, "a").await, kept);
    log.append(vec![append("a", 0, "k", 3000, 10)]).await.unwrap();
    log.close().await;
}

#[tokio::test]
async fn a_changed_retention_is_taken_over_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    log.ensure_streams(&[limited(None, None)]).await.unwrap();
    log.append(vec![append("a", 0, "k", 1, 10)]).await.unwrap();
    log.enforce_retention(i64::MAX).await.unwrap();
    assert_eq!(numbers(&log, "a").await, [1]);
    log.ensure_streams(&[limited(Some(Duration::from_secs(1)), None)]).await.unwrap();
    log.close().await;
    drop(log);
    let log = open(folder.path());
    log.enforce_retention(i64::MAX).await.unwrap();
    assert_eq!(numbers(&log, "a").await, Vec::<i64>::new());
    log.close().await;
}

/// A reader asks for entries that go while it asks: it goes on at the new start.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_never_finds_a_hole_where_retention_has_just_been() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    log.ensure_streams(&[limited(None, Some(1 << 18))]).await.unwrap();
    let done = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (reader, ended) = (log.clone(), done.clone());
    let reading = tokio::spawn(async move {
        let limit = ReadLimit { entries: 1, bytes: 1 };
        while !ended.load(std::sync::atomic::Ordering::Relaxed) {
            let batch = reader.read(&name("a"), 0, 0, limit).await.unwrap();
            assert!(batch.entries.first().is_none_or(|(offset, _)| offset + 1 == batch.next));
            tokio::task::yield_now().await;
        }
    });
    for number in 0..400 {
        log.append(vec![append("a", 0, "k", number, 100_000)]).await.unwrap();
        if number % 5 == 0 {
            log.enforce_retention(0).await.unwrap();
        }
    }
    done.store(true, std::sync::atomic::Ordering::Relaxed);
    reading.await.unwrap();
    log.close().await;
}
