//! Ways in from topics that others write: what their records become, and that each becomes it once.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail by panicking")]

mod support;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use millrace_core::EventId;
use millrace_core::Headers;
use millrace_core::Record;
use millrace_core::dead_letter::SourcePosition;
use millrace_ingest::Acceptor;
use millrace_ingest::KafkaIntake;
use millrace_log::Append;
use millrace_log::EmbeddedLog;
use millrace_log::EmbeddedLogOptions;
use millrace_log::Entry;
use millrace_log::InputPosition;
use millrace_log::Log;
use millrace_log::TaskName;
use millrace_observe::Observer;
use millrace_plan::model::IngestPlan;
use millrace_plan::model::IngestSource;
use millrace_plan::model::IngestedStream;
use millrace_plan::model::KafkaIngest;
use millrace_plan::model::KafkaStart;
use millrace_plan::program::Place;
use millrace_plan::program::Program;
use support::MemoryLog;
use support::broker::until;
use tokio_util::sync::CancellationToken;

/// 2018-11-08T16:05:15.862Z: long ago by the clock.
const STAMP: i64 = 1_541_693_115_862;

const SOURCE: &str = "ingest.cars";

fn message(time: i64) -> String {
    format!(r#"{{"timestamp":{time},"carIndex":2,"location":{{"lat":51.5,"long":-0.5}}}}"#)
}

fn cars(from: KafkaStart) -> IngestPlan {
    let map = ".race = %key || %headers.race || \"race\"";
    let topic = "plant.cars.v1".to_owned();
    IngestPlan {
        map: Some(Program::compile(map, Place::Kafka).unwrap()),
        source: IngestSource::Kafka(KafkaIngest { topic, source: SOURCE.parse().unwrap(), from }),
        ..support::cars()
    }
}

fn race_log() -> Arc<MemoryLog> {
    MemoryLog::new(&[("coordinates", 1), ("dead-letters", 1), (SOURCE, 2)])
}

/// A record as the log gives those of a topic.
fn record(key: &str, value: impl Into<Bytes>) -> Record {
    record_at(STAMP, key, value)
}

fn record_at(stamp: i64, key: &str, value: impl Into<Bytes>) -> Record {
    Record {
        key: Bytes::copy_from_slice(key.as_bytes()),
        event_time: stamp,
        ingest_time: stamp,
        id: EventId::of_content("", b"", b""),
        headers: Headers::default(),
        value: value.into(),
    }
}

async fn write(log: &MemoryLog, partition: i32, records: Vec<Record>) {
    let entry = |record| Append {
        stream: SOURCE.parse().unwrap(),
        partition,
        entry: Entry::Record(record),
    };
    log.append(records.into_iter().map(entry).collect()).await.unwrap();
}

struct Intake {
    observer: Arc<Observer>,
    acceptor: Acceptor,
    cancel: CancellationToken,
    running: KafkaIntake,
}

impl Intake {
    async fn start(log: &Arc<MemoryLog>) -> Self {
        Self::start_with(log, cars(KafkaStart::Earliest), support::coordinates()).await
    }

    async fn start_with(
        log: &Arc<MemoryLog>,
        ingest: IngestPlan,
        ingested: IngestedStream,
    ) -> Self {
        let plan = support::plan(ingested, 1, vec![ingest]);
        let observer = Arc::new(Observer::default());
        let acceptor = Acceptor::new(&plan, log.clone(), &observer);
        let cancel = CancellationToken::new();
        let log: Arc<dyn Log> = log.clone();
        let running = KafkaIntake::start(&plan, &acceptor, &log, &observer, &cancel).await.unwrap();
        Self { observer, acceptor, cancel, running }
    }

    async fn ready(&self) {
        until(async || {
            self.observer.components().len() == 1 && self.observer.not_ready().is_empty()
        })
        .await;
    }

    async fn stop(self) {
        self.cancel.cancel();
        self.running.closed().await;
    }
}

fn task() -> TaskName {
    TaskName { stage: SOURCE.to_owned(), partition: 0 }
}

async fn taken(log: &MemoryLog, partition: i32, next: i64) {
    until(async || log.position(&task(), partition) == Some(next)).await;
}

#[tokio::test]
async fn a_record_is_an_event_whose_id_is_its_place_and_whose_arrival_its_timestamp() {
    let log = race_log();
    write(&log, 1, vec![record("", message(1)), record("spa", message(1_541_693_114_862))]).await;
    let intake = Intake::start(&log).await;
    taken(&log, 1, 2).await;
    let records = log.records("coordinates", 0);
    assert_eq!(records.len(), 2);
    assert_eq!(records[0].key, "race");
    assert_eq!(
        records[1],
        Record {
            key: "spa".into(),
            event_time: 1_541_693_114_862,
            ingest_time: STAMP,
            id: EventId::of_external("plant.cars.v1", 1, 1),
            headers: Headers::default(),
            value: r#"{"carIndex":2,"location":{"lat":51.5,"long":-0.5},"race":"spa","timestamp":1541693114862}"#.into(),
        }
    );
    intake.stop().await;
}

#[tokio::test]
async fn a_declared_id_comes_before_the_place() {
    let log = race_log();
    write(&log, 0, vec![record("spa", message(7))]).await;
    let event_id = Some(".timestamp".parse().unwrap());
    let ingested = IngestedStream { event_id, ..support::coordinates() };
    let intake = Intake::start_with(&log, cars(KafkaStart::Earliest), ingested).await;
    taken(&log, 0, 1).await;
    assert_eq!(log.records("coordinates", 0)[0].id, EventId::declared("coordinates", b"7"));
    intake.stop().await;
}

#[tokio::test]
async fn headers_are_seen_and_a_trace_is_carried() {
    let log = race_log();
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let mut traced = record("", message(1));
    traced.headers.push("race", "monza");
    traced.headers.push("traceparent", trace);
    let mut wrong = record("", message(2));
    wrong.headers.push("traceparent", "none");
    write(&log, 0, vec![traced, wrong]).await;
    let intake = Intake::start(&log).await;
    taken(&log, 0, 2).await;
    let records = log.records("coordinates", 0);
    assert_eq!(records[0].key, "monza");
    let carried = vec![("traceparent".to_owned(), Bytes::from(trace))];
    assert_eq!([&records[0].headers.0, &records[1].headers.0], [&carried, &Vec::new()]);
    intake.stop().await;
}

#[tokio::test]
async fn an_invalid_record_is_a_dead_letter_with_its_place_and_key() {
    let log = race_log();
    write(&log, 1, vec![record("spa", message(1)), record("spa", "{")]).await;
    let intake = Intake::start(&log).await;
    taken(&log, 1, 2).await;
    let [letter] = &log.dead_letters()[..] else { panic!() };
    assert_eq!(letter.stage, "ingest/cars");
    assert_eq!(
        letter.reason,
        "the message is not JSON: EOF while parsing an object at line 1 column 1"
    );
    assert_eq!(letter.context, "plant.cars.v1");
    let source = SourcePosition { stream: "plant.cars.v1".into(), partition: 1, offset: 1 };
    assert_eq!(letter.source, Some(source));
    assert_eq!((&letter.key[..], &letter.original[..]), (&b"spa"[..], &b"{"[..]));
    assert_eq!((letter.event_time, letter.ingest_time), (STAMP, STAMP));
    intake.stop().await;
}

#[tokio::test]
async fn the_same_bytes_at_two_places_are_two_dead_letters() {
    let log = race_log();
    write(&log, 0, vec![record("spa", "{"), record("spa", "{")]).await;
    let intake = Intake::start(&log).await;
    taken(&log, 0, 2).await;
    let letters = log.dead_letters();
    assert_ne!(letters[0].id, letters[1].id);
    intake.stop().await;
}

#[tokio::test]
async fn event_times_are_compared_with_the_timestamp_of_the_record_not_with_the_clock() {
    let log = race_log();
    let ahead = [300_000, 300_001].map(|ahead| record("spa", message(STAMP + ahead)));
    write(&log, 0, ahead.to_vec()).await;
    let intake = Intake::start(&log).await;
    taken(&log, 0, 2).await;
    assert_eq!(log.records("coordinates", 0)[0].event_time, STAMP + 300_000);
    assert_eq!(
        log.dead_letters()[0].reason,
        "the event time 2018-11-08T16:10:15.863Z is more than 300000 ms ahead of its arrival at 2018-11-08T16:05:15.862Z"
    );
    intake.stop().await;
}

#[tokio::test]
async fn a_record_without_a_value_is_dropped_and_counted() {
    let log = race_log();
    write(&log, 0, vec![record("spa", ""), record("spa", message(1)), record("spa", "{")]).await;
    let intake = Intake::start(&log).await;
    taken(&log, 0, 3).await;
    until(async || {
        let text = intake.observer.encode().unwrap();
        let lines = [
            "millrace_kafka_records_received_total{route=\"cars\",result=\"empty\"} 1",
            "millrace_kafka_records_received_total{route=\"cars\",result=\"stored\"} 1",
            "millrace_kafka_records_received_total{route=\"cars\",result=\"notJson\"} 1",
            "millrace_kafka_received_bytes_total{route=\"cars\"} 65",
        ];
        lines.iter().all(|line| text.contains(line))
    })
    .await;
    assert_eq!((log.records("coordinates", 0).len(), log.dead_letters().len()), (1, 1));
    intake.stop().await;
}

#[tokio::test]
async fn while_the_log_refuses_it_is_told_and_each_record_is_stored_once_later() {
    let log = race_log();
    log.refused_commits.store(usize::MAX, Ordering::SeqCst);
    write(&log, 1, vec![record("spa", message(1)), record("spa", "{")]).await;
    let intake = Intake::start(&log).await;
    until(async || {
        let not_ready = intake.observer.not_ready();
        not_ready.iter().any(|why| why.ends_with("is waiting: cannot store what was read: cannot commit: the log does not accept at present: the disk is full"))
    })
    .await;
    assert_eq!(log.records("coordinates", 0).len(), 0);
    log.refused_commits.store(0, Ordering::SeqCst);
    taken(&log, 1, 2).await;
    intake.ready().await;
    intake.stop().await;
    assert_eq!((log.records("coordinates", 0).len(), log.dead_letters().len()), (1, 1));
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_not_made_again() {
    let log = race_log();
    log.lost_answers.store(1, Ordering::SeqCst);
    write(&log, 0, vec![record("spa", message(1)), record("spa", "{")]).await;
    let intake = Intake::start(&log).await;
    taken(&log, 0, 2).await;
    write(&log, 0, vec![record("spa", message(2))]).await;
    taken(&log, 0, 3).await;
    intake.stop().await;
    let times = log.records("coordinates", 0).iter().map(|r| r.event_time).collect::<Vec<_>>();
    assert_eq!((times, log.dead_letters().len()), (vec![1, 2], 1));
}

#[tokio::test]
async fn what_comes_while_nobody_reads_is_taken_at_the_next_start() {
    let log = race_log();
    write(&log, 0, vec![record("spa", message(1))]).await;
    let intake = Intake::start(&log).await;
    taken(&log, 0, 1).await;
    intake.stop().await;
    write(&log, 0, vec![record("spa", message(2))]).await;
    let intake = Intake::start(&log).await;
    taken(&log, 0, 2).await;
    intake.stop().await;
    let times = log.records("coordinates", 0).iter().map(|r| r.event_time).collect::<Vec<_>>();
    assert_eq!(times, [1, 2]);
}

#[tokio::test]
async fn from_latest_is_from_the_first_start_on() {
    let log = race_log();
    write(&log, 0, vec![record("spa", message(1))]).await;
    let latest = || Intake::start_with(&log, cars(KafkaStart::Latest), support::coordinates());
    let intake = latest().await;
    taken(&log, 0, 1).await;
    intake.stop().await;
    write(&log, 0, vec![record("spa", message(2))]).await;
    let intake = latest().await;
    taken(&log, 0, 2).await;
    intake.stop().await;
    let times = log.records("coordinates", 0).iter().map(|r| r.event_time).collect::<Vec<_>>();
    assert_eq!(times, [2]);
}

#[tokio::test]
async fn what_cannot_be_stored_at_all_is_a_dead_letter_without_its_bytes_and_holds_up_nothing() {
    let log = race_log();
    log.largest.store(200, Ordering::SeqCst);
    let large = message(2).replacen('{', &format!(r#"{{"note":"{}","#, "x".repeat(200)), 1);
    let records = [message(1), large, message(3)].map(|value| record("spa", value));
    write(&log, 0, records.to_vec()).await;
    let intake = Intake::start(&log).await;
    taken(&log, 0, 3).await;
    let times = log.records("coordinates", 0).iter().map(|r| r.event_time).collect::<Vec<_>>();
    assert_eq!(times, [1, 3]);
    let letter = log.dead_letters().remove(0);
    assert_eq!(
        letter.reason,
        "cannot be stored: an entry has 287 bytes; at most 200 can be stored. Its bytes are only where it came from"
    );
    assert_eq!(letter.original, "");
    assert_eq!(
        intake.acceptor.replay(&letter, STAMP).await.unwrap_err().to_string(),
        "what the dead letter was cannot be made again: its bytes are only in the topic `plant.cars.v1`, partition 0, offset 1"
    );
    intake.stop().await;
}

#[tokio::test]
async fn a_dead_letter_that_is_fed_in_again_has_the_id_of_its_place() {
    let log = race_log();
    write(&log, 0, vec![record("spa", message(STAMP + 300_001))]).await;
    let intake = Intake::start(&log).await;
    taken(&log, 0, 1).await;
    let letter = log.dead_letters().remove(0);
    intake.acceptor.replay(&letter, STAMP + 1).await.unwrap();
    let stored = &log.records("coordinates", 0)[0];
    assert_eq!(
        (stored.id, &stored.key[..]),
        (EventId::of_external("plant.cars.v1", 0, 0), &b"spa"[..])
    );
    intake.stop().await;
}

#[tokio::test]
async fn a_topic_that_was_made_anew_is_not_taken_for_the_old_one() {
    let log = race_log();
    let position = InputPosition {
        stream: SOURCE.parse().unwrap(),
        partition: 0,
        next: 5,
        metadata: Bytes::new(),
    };
    log.set_position(task(), position);
    write(&log, 0, vec![record("spa", message(1))]).await;
    let intake = Intake::start(&log).await;
    until(async || {
        let not_ready = intake.observer.not_ready();
        not_ready.iter().any(|why| why.ends_with("is waiting: partition 0 was read up to 5 and ends at 1: the topic was made anew. Give the way in another name to read it from its start"))
    })
    .await;
    assert_eq!(log.records("coordinates", 0).len(), 0);
    intake.stop().await;
}

#[tokio::test]
async fn a_topic_that_is_not_there_yet_is_waited_for() {
    let log = MemoryLog::new(&[("coordinates", 1), ("dead-letters", 1)]);
    let intake = Intake::start(&log).await;
    until(async || intake.observer.not_ready()[0].contains("is waiting")).await;
    assert!(
        intake.observer.not_ready()[0].ends_with(
            "the cluster has no topic `plant.cars.v1`, or this user may not describe it: whoever writes it has to make it"
        ),
        "{:?}",
        intake.observer.not_ready()
    );
    intake.stop().await;
}

#[tokio::test]
async fn a_log_in_a_folder_refuses_the_start_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let log = EmbeddedLog::open(EmbeddedLogOptions::new(folder.path())).unwrap();
    let log: Arc<dyn Log> = log;
    let plan = support::plan(support::coordinates(), 1, vec![cars(KafkaStart::Earliest)]);
    let observer = Arc::new(Observer::default());
    let acceptor = Acceptor::new(&plan, Arc::clone(&log), &observer);
    let cancel = CancellationToken::new();
    let Err(error) = KafkaIntake::start(&plan, &acceptor, &log, &observer, &cancel).await else {
        panic!("it has started");
    };
    assert_eq!(
        millrace_core::with_causes(&error),
        "the way in `cars` cannot start: the topic `plant.cars.v1` is in a Kafka cluster, and this pipeline has none: say by `--connections` where it is"
    );
    log.close().await;
}

#[tokio::test]
async fn partitions_are_taken_in_the_order_of_their_timestamps_however_much_there_is() {
    let log = race_log();
    // The first partition has more than the second, and ends earlier.
    let at = |time: i64| record_at(time, "spa", message(time));
    write(&log, 0, (0..6000).filter(|time| time % 3 != 0).map(at).collect()).await;
    write(&log, 1, (0..9000).filter(|time| time % 3 == 0).map(at).collect()).await;
    let intake = Intake::start(&log).await;
    taken(&log, 0, 4000).await;
    taken(&log, 1, 3000).await;
    intake.stop().await;
    let times: Vec<_> = log.records("coordinates", 0).iter().map(|r| r.event_time).collect();
    assert_eq!(times.len(), 7000);
    assert!(times.is_sorted());
}

#[tokio::test]
async fn a_partition_that_the_topic_gets_later_is_taken_from_its_start() {
    let log = race_log();
    let latest = Intake::start_with(&log, cars(KafkaStart::Latest), support::coordinates());
    let intake = latest.await;
    taken(&log, 1, 0).await;
    log.add_partition(SOURCE, 2, vec![Entry::Record(record("spa", message(1)))]);
    taken(&log, 2, 1).await;
    intake.stop().await;
    assert_eq!(log.records("coordinates", 0).len(), 1);
}
