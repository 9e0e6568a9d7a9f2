//! Copies of a log that is being written, put back into another folder.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

use std::sync::Arc;

use bytes::Bytes;
use millrace_core::EventId;
use millrace_core::Headers;
use millrace_core::Record;
use millrace_log::Append;
use millrace_log::EmbeddedLog;
use millrace_log::EmbeddedLogOptions;
use millrace_log::Entry;
use millrace_log::InputPosition;
use millrace_log::Log;
use millrace_log::ReadLimit;
use millrace_log::StateChange;
use millrace_log::StreamConfig;
use millrace_log::TaskCommit;
use millrace_log::TaskName;
use millrace_log::embedded::CopyLogError;
use millrace_log::embedded::RestoreLogError;
use millrace_log::embedded::restore;
use millrace_plan::model::Retention;
use tempfile::TempDir;

fn open(folder: &TempDir, name: &str) -> Arc<EmbeddedLog> {
    EmbeddedLog::open(EmbeddedLogOptions::new(folder.path().join(name))).unwrap()
}

fn record(number: i64) -> Entry {
    Entry::Record(Record {
        key: Bytes::from_static(b"k"),
        event_time: number,
        ingest_time: number,
        id: EventId::from([1; 16]),
        headers: Headers::default(),
        value: Bytes::from(vec![b'x'; 3000]),
    })
}

fn appends(numbers: std::ops::Range<i64>) -> Vec<Append> {
    numbers
        .map(|number| Append {
            stream: "a".parse().unwrap(),
            partition: i32::try_from(number % 2).unwrap(),
            entry: record(number),
        })
        .collect()
}

async fn times(log: &EmbeddedLog, partition: i32) -> Vec<i64> {
    let limit = ReadLimit { entries: 100_000, bytes: 1 << 30 };
    let batch = log.read(&"a".parse().unwrap(), partition, 0, limit).await.unwrap();
    batch
        .entries
        .into_iter()
        .filter_map(|(_, entry)| match entry {
            Entry::Record(record) => Some(record.event_time),
            Entry::Mark(_) => None,
        })
        .collect()
}

/// A log with 4000 records of 3 kB and a task, in more than one part.
async fn filled(folder: &TempDir) -> Arc<EmbeddedLog> {
    let log = open(folder, "log");
    let stream =
        StreamConfig { name: "a".parse().unwrap(), partitions: 2, retention: Retention::default() };
    log.ensure_streams(&[stream]).await.unwrap();
    for batch in 0..40 {
        log.append(appends(batch * 100..(batch + 1) * 100)).await.unwrap();
    }
    let task = TaskName { stage: "t".into(), partition: 0 };
    let (claim, _) = log.claim_task(&task).await.unwrap();
    let state = StateChange {
        store: "s".into(),
        key: Bytes::from_static(b"k"),
        value: Some(Bytes::from_static(b"v")),
    };
    let position = InputPosition {
        stream: "a".parse().unwrap(),
        partition: 0,
        next: 7,
        metadata: Bytes::new(),
    };
    let commit = TaskCommit { outputs: Vec::new(), state: vec![state], positions: vec![position] };
    log.commit_task(&claim, commit).await.unwrap();
    log
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_is_of_one_moment_and_the_restored_log_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let log = filled(&folder).await;
    let copy = log.copy().await.unwrap();
    log.append(appends(4000..4100)).await.unwrap();
    let mut parts = Vec::new();
    copy.write(|part| {
        parts.push(part.to_vec());
        Ok(())
    })
    .unwrap();
    drop(copy);
    assert!(parts.len() > 3, "{} parts", parts.len());
    log.close().await;

    restore(&folder.path().join("restored"), parts.into_iter().map(Ok)).unwrap();
    for round in 0..2 {
        let log = open(&folder, "restored");
        let even: Vec<i64> = (0..4000).step_by(2).collect();
        let found = times(&log, 0).await;
        assert_eq!(found[..2000], even);
        assert_eq!(found.len(), 2000 + 50 * round);
        let task = TaskName { stage: "t".into(), partition: 0 };
        let (claim, snapshot) = log.claim_task(&task).await.unwrap();
        assert_eq!(claim.epoch, 2 + i64::try_from(round).unwrap());
        assert_eq!((snapshot.state.len(), snapshot.positions[0].next), (1, 7));
        log.append(appends(4000..4100)).await.unwrap();
        log.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_part_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let parts = [b"something".to_vec()];
    let refused = restore(&folder.path().join("x"), parts.into_iter().map(Ok));
    assert!(matches!(refused, Err(RestoreLogError::Damaged)), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_gives_way_to_a_log_that_needs_its_database() {
    let folder = tempfile::tempdir().unwrap();
    let log = filled(&folder).await;
    let copy = log.copy().await.unwrap();
    let ends = copy.interruption();
    assert!(!ends());
    let closing = tokio::spawn(async move { log.close().await });
    while !ends() {
        tokio::task::yield_now().await;
    }
    let mut parts = 0;
    let written = copy.write(|_| {
        parts += 1;
        Ok(())
    });
    assert!(matches!(written, Err(CopyLogError::Interrupted)), "{written:?}");
    assert_eq!(parts, 0);
    drop(copy);
    closing.await.unwrap();
}
