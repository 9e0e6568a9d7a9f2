//! What the log does when Kafka fails, or somebody else changes what it has there.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers fail as tests do")]

mod common;

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;
use common::append;
use common::name;
use common::read_all;
use common::stream;
use millrace_core::record::MAX_VALUE_BYTES;
use millrace_log::AppendError;
use millrace_log::EnsureStreamsError;
use millrace_log::Entry;
use millrace_log::Log;
use millrace_log::ReadError;
use millrace_log::ReadLimit;
use millrace_log::StreamConfig;
use millrace_log::kafka::ConnectKafkaError;
use millrace_log::kafka::KafkaLog;
use millrace_log::kafka::KafkaSettings;
use millrace_log::kafka::ReadAhead;
use millrace_plan::model::Retention;
use millrace_services::Kafka;
use rdkafka::ClientConfig;
use rdkafka::Offset;
use rdkafka::TopicPartitionList;
use rdkafka::admin::AdminClient;
use rdkafka::admin::AdminOptions;
use rdkafka::admin::AlterConfig;
use rdkafka::admin::NewTopic;
use rdkafka::admin::ResourceSpecifier;
use rdkafka::admin::TopicReplication;
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::BaseRecord;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::producer::Producer;
use rdkafka::producer::ThreadedProducer;
use tokio::time::sleep;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_mins(1);

fn settings(servers: &str, prefix: &str) -> KafkaSettings {
    KafkaSettings {
        bootstrap_servers: servers.split(',').map(str::to_owned).collect(),
        prefix: Some(prefix.to_owned()),
        replication_factor: 1,
        tls: None,
        sasl: None,
        read_ahead: ReadAhead::default(),
    }
}

/// A prefix of its own in the Kafka that tests share.
fn shared() -> KafkaSettings {
    let prefix = format!("faults-{:016x}.", rand::random::<u64>());
    settings(&millrace_services::kafka().unwrap(), &prefix)
}

async fn connect(settings: &KafkaSettings) -> Arc<KafkaLog> {
    KafkaLog::connect(settings.clone(), "test", "test-0").await.unwrap()
}

fn topic(settings: &KafkaSettings, stream: &str) -> String {
    format!("{}{stream}", settings.prefix.as_deref().unwrap())
}

fn client(settings: &KafkaSettings) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", settings.bootstrap_servers.join(","));
    config
}

fn admin(settings: &KafkaSettings) -> AdminClient<DefaultClientContext> {
    client(settings).create().unwrap()
}

async fn property(settings: &KafkaSettings, topic: &str, property: &str) -> String {
    let resource = ResourceSpecifier::Topic(topic);
    let found = admin(settings).describe_configs([&resource], &AdminOptions::new()).await.unwrap();
    found[0].as_ref().unwrap().get(property).unwrap().value.clone().unwrap()
}

/// Waits until it is so.
async fn until<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let deadline = Instant::now() + PATIENCE;
    while !condition().await {
        assert!(Instant::now() < deadline, "it is not so in time: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn appends_are_refused_in_time_while_the_broker_is_away_and_go_on_by_themselves() {
    let mut kafka = Kafka::start(1).unwrap();
    let settings = settings(&kafka.bootstrap_servers(), "p.");
    let log = connect(&settings).await;
    log.ensure_streams(&[stream("a", 2)]).await.unwrap();
    log.append(vec![append("a", 0, "k", 1, 0)]).await.unwrap();
    assert_eq!(read_all(&*log, "a", 0).await.unwrap().len(), 1);
    let mut end = log.follow(&name("a"), 0).unwrap();
    end.mark_unchanged();

    kafka.kill(0);
    let killed = Instant::now();
    let began = Instant::now();
    let refused = log.append(vec![append("a", 0, "k", 2, 0)]).await;
    assert!(matches!(refused, Err(AppendError::Unavailable(_))), "{refused:?}");
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    // From now on nobody waits: it is known that the broker is away.
    let began = Instant::now();
    for _ in 0..100 {
        assert!(log.append(vec![append("a", 0, "k", 3, 0)]).await.is_err());
    }
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    let Err(AppendError::Unavailable(reason)) = log.check_writable().await else {
        panic!("it is not writable");
    };
    assert!(reason.contains("topic `p.a` is not written") || reason.contains("answer"), "{reason}");
    // A reader at the end is not told that anything is wrong; it reads nothing.
    let batch = log.read(&name("a"), 0, 1, ReadLimit::default()).await.unwrap();
    assert_eq!((batch.entries.len(), batch.next), (0, 1));
    // Where the partition ends was told before.
    let away = killed.elapsed();
    assert!(log.end_age(&name("a"), 0).unwrap() >= away);

    kafka.restart(0).unwrap();
    until("it is writable again", || async { log.check_writable().await.is_ok() }).await;
    until("the end is told", || async { log.end_age(&name("a"), 0).unwrap() < away }).await;
    log.append(vec![append("a", 0, "k", 4, 0)]).await.unwrap();
    end.changed().await.unwrap();
    let read = read_all(&*log, "a", 0).await.unwrap();
    let numbers: Vec<_> = read.iter().map(|(_, number)| *number).collect();
    // What was not confirmed may have been stored nevertheless, as long as it was tried.
    assert!(numbers == [1, 4] || numbers == [1, 2, 4], "{numbers:?}");
    log.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_appended_while_the_broker_starts_again_is_there_once_and_in_order() {
    let mut kafka = Kafka::start(1).unwrap();
    let settings = settings(&kafka.bootstrap_servers(), "p.");
    let log = connect(&settings).await;
    log.ensure_streams(&[stream("a", 1)]).await.unwrap();
    let appender = {
        let log = Arc::clone(&log);
        tokio::spawn(async move {
            let mut confirmed = Vec::new();
            for number in 0..100_000 {
                if log.append(vec![append("a", 0, "k", number, 0)]).await.is_ok() {
                    confirmed.push(number);
                }
                if confirmed.last() > confirmed.get(2000) && confirmed.len() > 6000 {
                    break;
                }
            }
            confirmed
        })
    };
    let mut end = log.follow(&name("a"), 0).unwrap();
    end.wait_for(|end| *end > 1000).await.unwrap();
    kafka.kill(0);
    kafka.restart(0).unwrap();
    let confirmed = appender.await.unwrap();
    let read: Vec<_> =
        read_all(&*log, "a", 0).await.unwrap().into_iter().map(|(_, number)| number).collect();
    assert!(read.is_sorted_by(|one, next| one < next), "order and no repetition");
    let missing: Vec<_> =
        confirmed.iter().filter(|number| read.binary_search(number).is_err()).collect();
    assert!(missing.is_empty(), "{missing:?}");
    log.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_of_the_largest_size_is_stored_and_a_larger_one_refused() {
    let log = connect(&shared()).await;
    log.ensure_streams(&[stream("a", 1)]).await.unwrap();
    let sized = |bytes: usize| {
        let mut append = append("a", 0, "k", 1, 0);
        if let Entry::Record(record) = &mut append.entry {
            // It does not compress.
            let mut state = 1_u64;
            record.value = (0..bytes)
                .map(|_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    state.to_be_bytes()[0]
                })
                .collect::<Vec<u8>>()
                .into();
        }
        append
    };
    let largest = sized(MAX_VALUE_BYTES);
    log.append(vec![largest.clone(), append("a", 0, "k", 2, 0)]).await.unwrap();
    let batch = log.read(&name("a"), 0, 0, ReadLimit::default()).await.unwrap();
    assert!(batch.entries[0].1 == largest.entry);
    let refused = log.append(vec![sized(MAX_VALUE_BYTES + 1)]).await;
    assert!(
        matches!(refused, Err(AppendError::TooLarge { limit: MAX_VALUE_BYTES, .. })),
        "{refused:?}"
    );
    log.remove(&[name("a")], &[]).await.unwrap();
    log.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_somebody_deletes_is_a_stream_that_is_gone() {
    let settings = shared();
    let log = connect(&settings).await;
    log.ensure_streams(&[stream("a", 1), stream("b", 1)]).await.unwrap();
    log.append(vec![append("a", 0, "k", 1, 0)]).await.unwrap();
    assert_eq!(read_all(&*log, "a", 0).await.unwrap().len(), 1);
    let mut end = log.follow(&name("a"), 0).unwrap();
    let deleted = topic(&settings, "a");
    admin(&settings).delete_topics(&[&deleted], &AdminOptions::new()).await.unwrap();
    let told = timeout(PATIENCE, async { while end.changed().await.is_ok() {} }).await;
    assert!(told.is_ok(), "who follows it is told");
    let read = log.read(&name("a"), 0, 1, ReadLimit::default()).await;
    assert!(matches!(read, Err(ReadError::UnknownStream { .. })), "{read:?}");
    let refused = log.append(vec![append("a", 0, "k", 2, 0)]).await;
    assert!(matches!(refused, Err(AppendError::UnknownStream { .. })), "{refused:?}");
    log.append(vec![append("b", 0, "k", 1, 0)]).await.unwrap();
    log.check_writable().await.unwrap();
    log.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_is_removed_and_made_again_begins_anew() {
    let log = connect(&shared()).await;
    for round in 1..=3 {
        log.ensure_streams(&[stream("a", round)]).await.unwrap();
        let partition = round - 1;
        assert_eq!(read_all(&*log, "a", partition).await.unwrap(), []);
        let mut end = log.follow(&name("a"), partition).unwrap();
        let numbers = 0..i64::from(round) * 2;
        for number in numbers.clone() {
            log.append(vec![append("a", partition, "k", number, 0)]).await.unwrap();
        }
        let read = read_all(&*log, "a", partition).await.unwrap();
        assert_eq!(read.len(), numbers.clone().count(), "round {round}");
        assert_eq!(*end.borrow_and_update(), numbers.end);
        log.remove(&[name("a")], &[]).await.unwrap();
        assert!(end.changed().await.is_err(), "who follows it is told");
        let refused = log.append(vec![append("a", partition, "k", 1, 0)]).await;
        assert!(matches!(refused, Err(AppendError::UnknownStream { .. })), "{refused:?}");
    }
    log.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_others_make_and_write_are_seen() {
    let settings = shared();
    let log = connect(&settings).await;
    let other = KafkaLog::connect(settings.clone(), "test", "test-1").await.unwrap();
    other.ensure_streams(&[stream("a", 1)]).await.unwrap();
    until("the stream is known", || async { log.follow(&name("a"), 0).is_ok() }).await;
    let mut end = log.follow(&name("a"), 0).unwrap();
    // Without a reader at the end, it is asked for regularly.
    other.append(vec![append("a", 0, "k", 1, 0)]).await.unwrap();
    end.wait_for(|end| *end == 1).await.unwrap();
    assert_eq!(read_all(&*log, "a", 0).await.unwrap().len(), 1);
    // With one, it is told at once.
    other.append(vec![append("a", 0, "k", 2, 0)]).await.unwrap();
    end.wait_for(|end| *end == 2).await.unwrap();
    let info = log.partition_info(&name("a"), 0).unwrap();
    assert_eq!(info.highest_event_time, Some(2));
    log.close().await;
    other.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_offset_below_the_start_reads_from_the_start() {
    let settings = shared();
    let log = connect(&settings).await;
    log.ensure_streams(&[stream("a", 1)]).await.unwrap();
    for number in 0..10 {
        log.append(vec![append("a", 0, "k", number, 0)]).await.unwrap();
    }
    let mut before = TopicPartitionList::new();
    before.add_partition_offset(&topic(&settings, "a"), 0, Offset::Offset(6)).unwrap();
    admin(&settings).delete_records(&before, &AdminOptions::new()).await.unwrap();
    // The log may not know yet, and once it does.
    assert_eq!(read_all(&*log, "a", 0).await.unwrap()[0].1, 6);
    until("the start is known", || async { log.partition_info(&name("a"), 0).unwrap().start == 6 })
        .await;
    assert_eq!(read_all(&*log, "a", 0).await.unwrap()[0].1, 6);
    log.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_not_ours_is_named_with_its_place() {
    let settings = shared();
    let log = connect(&settings).await;
    log.ensure_streams(&[stream("a", 1)]).await.unwrap();
    log.append(vec![append("a", 0, "k", 1, 0)]).await.unwrap();
    let producer: ThreadedProducer<DefaultProducerContext> = client(&settings).create().unwrap();
    let name_of_topic = topic(&settings, "a");
    let foreign: BaseRecord<'_, str, str> = BaseRecord::to(&name_of_topic).payload("foreign");
    assert!(producer.send(foreign).is_ok());
    producer.flush(PATIENCE).unwrap();
    let mut end = log.follow(&name("a"), 0).unwrap();
    end.wait_for(|end| *end == 2).await.unwrap();
    // What lies before it is read; it stops whoever reads on, every time.
    let batch = log.read(&name("a"), 0, 0, ReadLimit::default()).await.unwrap();
    assert_eq!((batch.entries.len(), batch.next), (1, 1));
    for _ in 0..2 {
        let error = log.read(&name("a"), 0, 1, ReadLimit::default()).await.unwrap_err();
        assert!(matches!(&error, ReadError::Corrupt { offset: 1, .. }), "{error}");
        assert!(error.to_string().contains("was not written by Millrace"), "{error}");
    }
    log.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_are_configured_as_streams_say_and_changes_are_taken_over() {
    let settings = shared();
    let log = connect(&settings).await;
    let with = |retention| StreamConfig { name: name("a"), partitions: 3, retention };
    log.ensure_streams(&[with(Retention::default())]).await.unwrap();
    let topic = topic(&settings, "a");
    assert_eq!(property(&settings, &topic, "retention.ms").await, "-1");
    assert_eq!(property(&settings, &topic, "retention.bytes").await, "-1");
    assert_eq!(property(&settings, &topic, "cleanup.policy").await, "delete");
    assert_eq!(property(&settings, &topic, "min.insync.replicas").await, "1");

    // Somebody sets something of their own; it stays.
    let resource = ResourceSpecifier::Topic(&topic);
    let own = AlterConfig::new(resource)
        .set("segment.ms", "7200000")
        .set("retention.ms", "-1")
        .set("max.message.bytes", "18000000");
    let altered = admin(&settings).alter_configs([&own], &AdminOptions::new()).await.unwrap();
    assert!(altered[0].is_ok());
    let day = Retention { time: Some(Duration::from_hours(24)), bytes: Some(1 << 30) };
    log.ensure_streams(&[with(day)]).await.unwrap();
    assert_eq!(property(&settings, &topic, "retention.ms").await, "86400000");
    assert_eq!(property(&settings, &topic, "retention.bytes").await, "1073741824");
    assert_eq!(property(&settings, &topic, "segment.ms").await, "7200000");
    assert_eq!(property(&settings, &topic, "max.message.bytes").await, "18000000");
    log.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_copies_than_brokers_are_refused_with_what_to_do() {
    let settings = KafkaSettings { replication_factor: 3, ..shared() };
    let log = connect(&settings).await;
    let error = log.ensure_streams(&[stream("a", 1)]).await.unwrap_err();
    let EnsureStreamsError::Create { source, .. } = error else { panic!("{error}") };
    assert!(source.to_string().contains("lower `replicationFactor`"), "{source}");
    log.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_of_others_are_no_streams_of_ours() {
    let settings = shared();
    let foreign = topic(&settings, "under_score");
    let changelog = topic(&settings, "stage.changelog");
    for name in [&foreign, &changelog] {
        let topic = NewTopic::new(name, 1, TopicReplication::Fixed(1));
        admin(&settings).create_topics([&topic], &AdminOptions::new()).await.unwrap();
    }
    let log = connect(&settings).await;
    log.ensure_streams(&[stream("a", 1)]).await.unwrap();
    assert!(log.partition_info(&name("stage.changelog"), 0).is_err());
    log.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_does_not_answer_is_told_in_time() {
    let began = Instant::now();
    let settings = settings("127.0.0.1:1", "p.");
    let connected = KafkaLog::connect(settings, "test", "test-0").await;
    let Err(error @ ConnectKafkaError::Unreachable { .. }) = connected else {
        panic!("nobody is there")
    };
    assert!(error.to_string().starts_with("cannot connect to Kafka at 127.0.0.1:1:"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(25));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_that_is_dropped_does_not_disturb_others() {
    let log = connect(&shared()).await;
    log.ensure_streams(&[stream("a", 1)]).await.unwrap();
    for number in 0..50 {
        let dropped = log.append(vec![append("a", 0, "dropped", number, 0)]);
        drop(timeout(Duration::from_micros(100), dropped).await);
        log.append(vec![append("a", 0, "kept", number, 0)]).await.unwrap();
        // A read that is dropped leaves its place to the next one.
        let end = log.partition_info(&name("a"), 0).unwrap().end;
        let stream = name("a");
        let read = log.read(&stream, 0, end, ReadLimit::default());
        drop(timeout(Duration::from_micros(100), read).await);
    }
    let read = read_all(&*log, "a", 0).await.unwrap();
    let kept: Vec<_> = read.iter().filter(|(key, _)| key == &Bytes::from_static(b"kept")).collect();
    assert_eq!(kept.len(), 50);
    log.close().await;
}
