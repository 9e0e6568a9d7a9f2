//! Rules for reads, followers, marks, extents and consumer groups.

use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;
use millrace_core::EventId;
use millrace_core::Headers;
use millrace_core::Mark;
use millrace_core::Record;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::LogFactory;
use super::append;
use super::entries;
use super::idle;
use super::name;
use super::read_all;
use super::record;
use super::stream;
use crate::Append;
use crate::Entry;
use crate::PartitionInfo;
use crate::ReadError;
use crate::ReadLimit;
use crate::TaskCommit;
use crate::TaskName;

const NO_LIMIT: ReadLimit = ReadLimit { entries: usize::MAX, bytes: usize::MAX };

/// Reads begin at any offset, return at least one entry and stop at the limits.
pub async fn a_read_begins_anywhere_and_ends_at_its_limits(factory: &dyn LogFactory) {
    let log = factory.open().await;
    log.ensure_streams(&[stream("a", 1)]).await.unwrap();
    let offsets = log.append((0..10).map(|n| append("a", 0, "k", n)).collect()).await.unwrap();
    for (index, from) in offsets.iter().enumerate() {
        let batch = log.read(&name("a"), 0, *from, NO_LIMIT).await.unwrap();
        let numbers: Vec<_> = batch.entries.iter().map(|(offset, _)| *offset).collect();
        assert_eq!(numbers, offsets[index..]);
    }
    let three = ReadLimit { entries: 3, bytes: usize::MAX };
    let batch = log.read(&name("a"), 0, offsets[4], three).await.unwrap();
    assert_eq!(batch.entries.len(), 3);
    assert_eq!(batch.entries[0].1, record("k", 4));
    let rest = log.read(&name("a"), 0, batch.next, NO_LIMIT).await.unwrap();
    assert_eq!(rest.entries[0].1, record("k", 7));

    // A key and a value of one byte each: the second entry reaches three bytes.
    let bytes = ReadLimit { entries: usize::MAX, bytes: 3 };
    assert_eq!(log.read(&name("a"), 0, 0, bytes).await.unwrap().entries.len(), 2);
    let none = ReadLimit { entries: 0, bytes: 0 };
    assert_eq!(log.read(&name("a"), 0, 0, none).await.unwrap().entries.len(), 1);
}

/// At and behind the end there is nothing, and the reader stays where it is.
pub async fn a_read_at_the_end_returns_nothing(factory: &dyn LogFactory) {
    let log = factory.open().await;
    log.ensure_streams(&[stream("a", 1)]).await.unwrap();
    let batch = log.read(&name("a"), 0, 0, NO_LIMIT).await.unwrap();
    assert_eq!((batch.entries.len(), batch.next), (0, 0));
    log.append(vec![append("a", 0, "k", 1)]).await.unwrap();
    let end = log.partition_info(&name("a"), 0).unwrap().end;
    let batch = log.read(&name("a"), 0, end, NO_LIMIT).await.unwrap();
    assert_eq!((batch.entries.len(), batch.next), (0, end));
}

/// A follower has the end at once and sees it move; what it sees can be read.
pub async fn followers_see_the_end_move(factory: &dyn LogFactory) {
    let log = factory.open().await;
    log.ensure_streams(&[stream("a", 2)]).await.unwrap();
    let mut end = log.follow(&name("a"), 0).unwrap();
    let before = *end.borrow_and_update();
    assert_eq!(before, log.partition_info(&name("a"), 0).unwrap().end);
    let appender = log.clone();
    let task = tokio::spawn(async move { appender.append(vec![append("a", 0, "k", 1)]).await });
    end.changed().await.unwrap();
    let after = *end.borrow_and_update();
    assert!(after > before);
    assert_eq!(log.read(&name("a"), 0, before, NO_LIMIT).await.unwrap().entries.len(), 1);
    task.await.unwrap().unwrap();
    log.append(vec![append("a", 1, "k", 1)]).await.unwrap();
    assert!(!end.has_changed().unwrap());
}

/// Several readers of a partition go on each where it stood, whatever the others do.
pub async fn readers_of_a_partition_do_not_disturb_each_other(factory: &dyn LogFactory) {
    const READERS: usize = 4;
    let log = factory.open().await;
    log.ensure_streams(&[stream("a", 1)]).await.unwrap();
    log.append((0..40).map(|n| append("a", 0, "k", n)).collect()).await.unwrap();
    let mut readers = JoinSet::new();
    for reader in 1..=READERS {
        let log = log.clone();
        readers.spawn(async move {
            let limit = ReadLimit { entries: reader, bytes: usize::MAX };
            let mut read = Vec::new();
            let mut next = 0;
            while read.len() < 60 {
                let mut end = log.follow(&name("a"), 0).unwrap();
                let batch = log.read(&name("a"), 0, next, limit).await.unwrap();
                next = batch.next;
                read.extend(batch.entries.into_iter().map(|(_, entry)| entry));
                if read.len() < 60 {
                    end.wait_for(|end| *end > next).await.unwrap();
                }
            }
            read
        });
    }
    for number in 40..60 {
        log.append(vec![append("a", 0, "k", number)]).await.unwrap();
    }
    let expected: Vec<_> = (0..60).map(|number| record("k", number)).collect();
    for read in readers.join_all().await {
        assert_eq!(read, expected);
    }
}

/// Who follows a partition is told of what a task commits, and reads up to the very end: nothing
/// that the log keeps for itself stays before a reader.
pub async fn readers_come_to_the_end_behind_commits(factory: &dyn LogFactory) {
    let log = factory.open().await;
    log.ensure_streams(&[stream("out", 1)]).await.unwrap();
    let task = TaskName { stage: "s".to_owned(), partition: 0 };
    let (claim, _) = log.claim_task(&task).await.unwrap();
    let mut end = log.follow(&name("out"), 0).unwrap();
    let mut next = *end.borrow_and_update();
    for number in 0..3 {
        let outputs = vec![append("out", 0, "k", number)];
        log.commit_task(&claim, TaskCommit { outputs, ..TaskCommit::default() }).await.unwrap();
        let mut read = Vec::new();
        while read.is_empty() {
            end.wait_for(|end| *end > next).await.unwrap();
            let batch = log.read(&name("out"), 0, next, NO_LIMIT).await.unwrap();
            next = batch.next;
            read.extend(batch.entries.into_iter().map(|(_, entry)| entry));
        }
        assert_eq!(read, [record("k", number)]);
    }
    // What the log has put behind it for itself may be told of later.
    let deadline = Instant::now() + Duration::from_secs(5);
    let mut stood_still = 0;
    while stood_still < 20 {
        assert!(Instant::now() < deadline, "the reader is at {next}, the end at {}", *end.borrow());
        let batch = log.read(&name("out"), 0, next, NO_LIMIT).await.unwrap();
        assert_eq!(batch.entries, []);
        let is_at_end = batch.next == *end.borrow_and_update();
        stood_still = if is_at_end { stood_still + 1 } else { 0 };
        next = batch.next;
        let _ = timeout(Duration::from_millis(50), end.changed()).await;
    }
}

/// Marks are read between the records where they were appended.
pub async fn marks_lie_in_their_place(factory: &dyn LogFactory) {
    let log = factory.open().await;
    log.ensure_streams(&[stream("a", 1)]).await.unwrap();
    let task = Entry::Mark(Mark::Task { task: 3, watermark: -7 });
    log.append(vec![
        append("a", 0, "k", 1),
        idle("a", 0, i64::MAX),
        Append { stream: name("a"), partition: 0, entry: task.clone() },
        append("a", 0, "k", 2),
    ])
    .await
    .unwrap();
    let idle = Entry::Mark(Mark::Idle { watermark: i64::MAX });
    let expected = [record("k", 1), idle, task, record("k", 2)];
    assert_eq!(entries(&*log, "a", 0).await, expected);
}

/// The highest times never go back and count records and marks apart.
pub async fn highest_times_are_known_and_survive(factory: &dyn LogFactory) {
    let log = factory.open().await;
    log.ensure_streams(&[stream("a", 1)]).await.unwrap();
    let info = log.partition_info(&name("a"), 0).unwrap();
    assert_eq!((info.highest_event_time, info.highest_mark), (None, None));
    log.append(vec![append("a", 0, "k", 9), append("a", 0, "k", -3)]).await.unwrap();
    log.append(vec![idle("a", 0, 40), idle("a", 0, 7)]).await.unwrap();
    let check = |info: PartitionInfo| {
        assert_eq!((info.highest_event_time, info.highest_mark), (Some(9), Some(40)));
    };
    check(log.partition_info(&name("a"), 0).unwrap());
    log.close().await;
    drop(log);
    let log = factory.open().await;
    check(log.partition_info(&name("a"), 0).unwrap());
}

/// Nothing can be asked of streams and partitions that do not exist.
pub async fn unknown_streams_are_errors(factory: &dyn LogFactory) {
    let log = factory.open().await;
    log.ensure_streams(&[stream("a", 1)]).await.unwrap();
    for (stream, partition) in [("z", 0), ("a", 1), ("a", -1)] {
        let stream = name(stream);
        let unknown = |error| matches!(error, ReadError::UnknownStream { .. });
        assert!(unknown(log.read(&stream, partition, 0, NO_LIMIT).await.unwrap_err()));
        assert!(unknown(log.follow(&stream, partition).unwrap_err()));
        assert!(unknown(log.partition_info(&stream, partition).unwrap_err()));
    }
}

/// Keys, header values and values are bytes, empty ones included.
pub async fn keys_headers_and_values_may_be_any_bytes(factory: &dyn LogFactory) {
    let log = factory.open().await;
    log.ensure_streams(&[stream("a", 1)]).await.unwrap();
    let mut headers = Headers::default();
    headers.push("one", Bytes::from_static(&[0, 255]));
    headers.push("one", Bytes::new());
    headers.push("ä", Bytes::from_static(b"x"));
    let odd = Entry::Record(Record {
        key: Bytes::from_static(&[0, 1, 255]),
        event_time: i64::MIN,
        ingest_time: i64::MAX,
        id: EventId::from([255; 16]),
        headers,
        value: Bytes::from((0..=255).collect::<Vec<u8>>()),
    });
    let empty = Entry::Record(Record {
        key: Bytes::new(),
        event_time: 0,
        ingest_time: 0,
        id: EventId::from([0; 16]),
        headers: Headers::default(),
        value: Bytes::new(),
    });
    let append = |entry: &Entry| Append { stream: name("a"), partition: 0, entry: entry.clone() };
    log.append(vec![append(&odd), append(&empty)]).await.unwrap();
    let read: Vec<_> = read_all(&*log, "a", 0).await.into_iter().map(|(_, e)| e).collect();
    assert_eq!(read, [odd, empty]);
}

/// Each group has its own offset for each partition.
pub async fn group_offsets_are_kept_for_each_group(factory: &dyn LogFactory) {
    let log = factory.open().await;
    log.ensure_streams(&[stream("a", 2)]).await.unwrap();
    let a = name("a");
    assert_eq!(log.group_offset("g", &a, 0).await.unwrap(), None);
    log.commit_group_offset("g", &a, 0, 5).await.unwrap();
    log.commit_group_offset("g", &a, 1, 6).await.unwrap();
    log.commit_group_offset("gg", &a, 0, 7).await.unwrap();
    log.commit_group_offset("g", &a, 0, 4).await.unwrap();
    assert_eq!(log.group_offset("g", &a, 0).await.unwrap(), Some(4));
    assert_eq!(log.group_offset("g", &a, 1).await.unwrap(), Some(6));
    assert_eq!(log.group_offset("gg", &a, 0).await.unwrap(), Some(7));
    assert!(log.commit_group_offset("g", &name("z"), 0, 4).await.is_err());
}
