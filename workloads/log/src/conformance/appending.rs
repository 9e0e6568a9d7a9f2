//! Rules for streams, appends and what outlives the log.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use tokio::task::JoinSet;

use super::LogFactory;
use super::append;
use super::entries;
use super::idle;
use super::name;
use super::read_all;
use super::record;
use super::stream;
use crate::AppendError;
use crate::EnsureStreamsError;
use crate::Entry;
use crate::Log;
use crate::ReadLimit;

/// Offsets ascend and entries come back in the order of their appends.
pub async fn offsets_ascend_and_entries_come_back_in_order(factory: &dyn LogFactory) {
    let log = factory.open().await;
    log.ensure_streams(&[stream("a", 2)]).await.unwrap();
    let first = log.append(vec![append("a", 0, "x", 1), append("a", 0, "x", 2)]).await.unwrap();
    let second = log.append(vec![append("a", 0, "x", 3)]).await.unwrap();
    let offsets: Vec<_> = first.into_iter().chain(second).collect();
    assert!(offsets.is_sorted_by(|a, b| a < b), "{offsets:?}");
    let expected: Vec<_> = offsets.into_iter().zip((1..=3).map(|n| record("x", n))).collect();
    assert_eq!(read_all(&*log, "a", 0).await, expected);
    assert_eq!(read_all(&*log, "a", 1).await, []);
}

/// One append to several partitions is visible and durable in all of them.
pub async fn an_append_to_several_partitions_is_made_as_a_whole(factory: &dyn LogFactory) {
    let log = factory.open().await;
    log.ensure_streams(&[stream("a", 2), stream("b", 1)]).await.unwrap();
    let offsets = log
        .append(vec![
            append("a", 1, "x", 1),
            append("b", 0, "y", 2),
            append("a", 0, "x", 3),
            append("a", 1, "x", 4),
        ])
        .await
        .unwrap();
    assert_eq!(offsets.len(), 4);
    assert_eq!(entries(&*log, "a", 0).await, [record("x", 3)]);
    assert_eq!(entries(&*log, "a", 1).await, [record("x", 1), record("x", 4)]);
    assert_eq!(entries(&*log, "b", 0).await, [record("y", 2)]);
}

/// An append that names an unknown stream or partition appends nothing at all.
pub async fn an_append_with_an_unknown_stream_appends_nothing(factory: &dyn LogFactory) {
    let log = factory.open().await;
    log.ensure_streams(&[stream("a", 1)]).await.unwrap();
    for wrong in [append("a", 1, "x", 2), append("z", 0, "x", 2), append("a", -1, "x", 2)] {
        let error = log.append(vec![append("a", 0, "x", 1), wrong]).await.unwrap_err();
        assert!(matches!(error, AppendError::UnknownStream { .. }), "{error}");
    }
    assert_eq!(entries(&*log, "a", 0).await, []);
}

/// Appending nothing succeeds.
pub async fn an_empty_append_is_nothing(factory: &dyn LogFactory) {
    let log = factory.open().await;
    assert_eq!(log.append(Vec::new()).await.unwrap(), Vec::<i64>::new());
}

/// Many producers at once: everything is there once, and each one's in its order.
pub async fn concurrent_producers_lose_nothing_and_keep_their_order(factory: &dyn LogFactory) {
    let log = factory.open().await;
    log.ensure_streams(&[stream("a", 3)]).await.unwrap();
    let mut producers = JoinSet::new();
    for producer in 0..20 {
        let log = log.clone();
        producers.spawn(async move {
            let key = producer.to_string();
            for number in 0..30 {
                log.append(vec![append("a", producer % 3, &key, number)]).await.unwrap();
            }
        });
    }
    producers.join_all().await;
    let mut found: HashMap<Bytes, Vec<i64>> = HashMap::new();
    for partition in 0..3 {
        for entry in entries(&*log, "a", partition).await {
            let Entry::Record(record) = entry else { panic!("there are no marks") };
            found.entry(record.key).or_default().push(record.event_time);
        }
    }
    assert_eq!(found.len(), 20);
    for numbers in found.into_values() {
        assert_eq!(numbers, (0..30).collect::<Vec<_>>());
    }
}

/// Another number of partitions is refused; other streams of the same call are not made.
pub async fn partitions_of_a_stream_cannot_change(factory: &dyn LogFactory) {
    let log = factory.open().await;
    log.ensure_streams(&[stream("a", 2)]).await.unwrap();
    let error = log.ensure_streams(&[stream("b", 1), stream("a", 3)]).await.unwrap_err();
    assert!(
        matches!(&error, EnsureStreamsError::PartitionCount { existing: 2, wanted: 3, .. }),
        "{error}"
    );
    assert!(log.partition_info(&name("b"), 0).is_err());
}

/// Ensuring is repeatable and keeps what there is.
pub async fn streams_exist_after_they_were_ensured_twice(factory: &dyn LogFactory) {
    let log = factory.open().await;
    log.ensure_streams(&[stream("a", 1), stream("b", 1), stream("a", 1)]).await.unwrap();
    log.append(vec![append("a", 0, "x", 1)]).await.unwrap();
    log.ensure_streams(&[stream("a", 1)]).await.unwrap();
    assert_eq!(entries(&*log, "a", 0).await, [record("x", 1)]);
}

/// Streams, entries and offsets outlive the log; appends go on behind them.
pub async fn reopening_keeps_everything(factory: &dyn LogFactory) {
    let log = factory.open().await;
    log.ensure_streams(&[stream("a", 2), stream("b.c", 1)]).await.unwrap();
    log.append(vec![append("a", 1, "x", 1), idle("a", 1, 5)]).await.unwrap();
    log.append(vec![append("b.c", 0, "x", 2)]).await.unwrap();
    log.commit_group_offset("g", &name("a"), 1, 2).await.unwrap();
    let info = log.partition_info(&name("a"), 1).unwrap();
    let all = read_all(&*log, "a", 1).await;
    log.close().await;
    drop(log);

    let log = factory.open().await;
    assert_eq!(log.partition_info(&name("a"), 1).unwrap(), info);
    assert_eq!(read_all(&*log, "a", 1).await, all);
    assert_eq!(entries(&*log, "b.c", 0).await, [record("x", 2)]);
    assert_eq!(log.group_offset("g", &name("a"), 1).await.unwrap(), Some(2));
    let offsets = log.append(vec![append("a", 1, "x", 3)]).await.unwrap();
    assert!(offsets[0] >= info.end);
    assert_eq!(entries(&*log, "a", 1).await.len(), 3);
}

/// After closing, nothing is accepted.
pub async fn a_closed_log_refuses(factory: &dyn LogFactory) {
    let log = factory.open().await;
    log.ensure_streams(&[stream("a", 1)]).await.unwrap();
    log.append(vec![append("a", 0, "x", 1)]).await.unwrap();
    assert!(log.check_writable().await.is_ok());
    log.close().await;
    log.close().await;
    let refused = log.append(vec![append("a", 0, "x", 1)]).await;
    assert!(matches!(refused, Err(AppendError::Closed)), "{refused:?}");
    assert!(matches!(log.check_writable().await, Err(AppendError::Closed)));
    assert!(log.read(&name("a"), 0, 0, ReadLimit::default()).await.is_err());
}

/// An entry beyond the log's limit is refused as such; others go on.
pub async fn an_entry_too_large_is_refused_and_the_log_goes_on(factory: &dyn LogFactory) {
    let log: Arc<dyn Log> = factory.open().await;
    log.ensure_streams(&[stream("a", 1)]).await.unwrap();
    let mut huge = append("a", 0, "x", 1);
    if let Entry::Record(record) = &mut huge.entry {
        record.value = Bytes::from(vec![b'x'; 65 << 20]);
    }
    let refused = log.append(vec![append("a", 0, "x", 1), huge]).await;
    assert!(matches!(refused, Err(AppendError::TooLarge { .. })), "{refused:?}");
    log.append(vec![append("a", 0, "x", 2)]).await.unwrap();
    assert_eq!(entries(&*log, "a", 0).await, [record("x", 2)]);
}
