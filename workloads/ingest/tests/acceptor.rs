//! What messages become: records, dead letters with their bytes and reasons, or nothing.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail by panicking")]

mod support;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use millrace_core::EventId;
use millrace_ingest::Accepted;
use millrace_ingest::Acceptor;
use millrace_ingest::Incoming;
use millrace_ingest::RefusalKind;
use millrace_ingest::Refused;
use millrace_ingest::ReplayError;
use millrace_observe::Observer;
use millrace_plan::model::IngestPlan;
use millrace_plan::model::IngestedStream;
use support::MemoryLog;

/// 2018-11-08T16:05:15Z, one second after the first captured message.
const ARRIVAL: i64 = 1_541_693_115_862;

const MESSAGE: &str = r#"{"timestamp":1541693114862,"carIndex":2,"location":{"lat":51.349937311969725,"long":-0.544958142167281}}"#;

fn acceptor(ingested: IngestedStream, ingest: IngestPlan) -> (Acceptor, Arc<MemoryLog>) {
    let log = support::race_log();
    let plan = support::plan(ingested, 1, vec![ingest]);
    (Acceptor::new(&plan, log.clone(), &Observer::default()), log)
}

fn race() -> (Acceptor, Arc<MemoryLog>) {
    acceptor(support::coordinates(), support::cars())
}

/// The race without a mapping: the key is the car.
fn unmapped() -> (IngestedStream, IngestPlan) {
    let key = vec![".carIndex".parse().unwrap()];
    let ingested = IngestedStream { key, ..support::coordinates() };
    (ingested, IngestPlan { map: None, ..support::cars() })
}

fn incoming(topic: &str, body: impl Into<Bytes>) -> Incoming<'_> {
    let body = body.into();
    Incoming { topic, client_id: Some("c1"), user: None, body, arrival: ARRIVAL }
}

async fn refused(
    acceptor: &Acceptor,
    topic: &str,
    body: impl Into<Bytes>,
) -> (RefusalKind, String) {
    match acceptor.accept(&incoming(topic, body)).await {
        Err(Refused::Invalid { kind, reason, .. }) => (kind, reason),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_mapped_event_is_stored_as_compact_json_with_the_race_of_its_topic() {
    let (acceptor, log) = race();
    let accepted = acceptor.accept(&incoming("carCoordinates/spa", MESSAGE)).await.unwrap();
    let value = r#"{"carIndex":2,"location":{"lat":51.349937311969725,"long":-0.544958142167281},"race":"spa","timestamp":1541693114862}"#;
    let id = EventId::of_content("coordinates", b"spa", value.as_bytes());
    assert_eq!(accepted, Accepted::Stored { id, partition: 0, offset: 0 });
    let [record] = &log.records("coordinates", 0)[..] else { panic!() };
    assert_eq!(record.key, "spa");
    assert_eq!(record.event_time, 1_541_693_114_862);
    assert_eq!(record.ingest_time, ARRIVAL);
    assert_eq!(record.id, id);
    assert_eq!(record.value, value);
}

#[tokio::test]
async fn without_a_mapping_the_original_bytes_are_stored() {
    let (ingested, ingest) = unmapped();
    let (acceptor, log) = acceptor(ingested, ingest);
    let body = format!(" {} \n", MESSAGE.replace(':', " : "));
    acceptor.accept(&incoming("carCoordinates", body.clone())).await.unwrap();
    let [record] = &log.records("coordinates", 0)[..] else { panic!() };
    assert_eq!(record.value, body);
    assert_eq!(record.key, "2");
}

#[tokio::test]
async fn a_topic_without_a_race_is_the_race_named_race() {
    let (acceptor, log) = race();
    acceptor.accept(&incoming("carCoordinates", MESSAGE)).await.unwrap();
    assert_eq!(log.records("coordinates", 0)[0].key, "race");
}

#[tokio::test]
async fn the_same_message_twice_has_one_id() {
    let (acceptor, log) = race();
    for _ in 0..2 {
        acceptor.accept(&incoming("carCoordinates", MESSAGE)).await.unwrap();
    }
    let records = log.records("coordinates", 0);
    assert_eq!(records[0].id, records[1].id);
}

#[tokio::test]
async fn a_declared_id_does_not_depend_on_the_rest_of_the_event() {
    let (mut ingested, ingest) = unmapped();
    ingested.event_id = Some(".timestamp".parse().unwrap());
    let (acceptor, log) = acceptor(ingested, ingest);
    acceptor.accept(&incoming("carCoordinates", MESSAGE)).await.unwrap();
    assert_eq!(
        log.records("coordinates", 0)[0].id,
        EventId::declared("coordinates", b"1541693114862")
    );
    let body = MESSAGE.replace("1541693114862", "null");
    let (kind, _) = refused(&acceptor, "carCoordinates", body).await;
    assert_eq!(kind, RefusalKind::Schema);
}

#[tokio::test]
async fn a_stream_without_event_time_uses_the_arrival() {
    let (mut ingested, ingest) = unmapped();
    ingested.event_time = None;
    let (acceptor, log) = acceptor(ingested, ingest);
    acceptor.accept(&incoming("carCoordinates", MESSAGE)).await.unwrap();
    assert_eq!(log.records("coordinates", 0)[0].event_time, ARRIVAL);
}

#[tokio::test]
async fn the_partition_is_that_of_the_key() {
    let (ingested, ingest) = unmapped();
    let plan = support::plan(ingested, 7, vec![ingest]);
    let log = MemoryLog::new(&[("coordinates", 7), ("dead-letters", 1)]);
    let acceptor = Acceptor::new(&plan, log, &Observer::default());
    // murmur2("21") is -973932308; its positive form modulo 7 is 3.
    let body = MESSAGE.replace("\"carIndex\":2", "\"carIndex\":21");
    let accepted = acceptor.accept(&incoming("carCoordinates", body)).await.unwrap();
    assert!(matches!(accepted, Accepted::Stored { partition: 3, .. }), "{accepted:?}");
}

#[tokio::test]
async fn what_is_not_json_is_a_dead_letter_with_its_bytes() {
    let (acceptor, log) = race();
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(200), "]".repeat(200));
    let bodies: Vec<Bytes> = vec![
        "{".into(),
        "".into(),
        "NaN".into(),
        MESSAGE.replace("51.349937311969725", "NaN").into(),
        MESSAGE.replace("51.349937311969725", "Infinity").into(),
        MESSAGE.replace("51.349937311969725", "1e999").into(),
        format!("{MESSAGE}{MESSAGE}").into(),
        Bytes::from_static(b"{\"a\":\"\xff\xfe\"}"),
        Bytes::from_static(b"\x00\xff"),
        "[1,2]".into(),
        "7".into(),
        deep.into(),
    ];
    for body in &bodies {
        let (kind, reason) = refused(&acceptor, "carCoordinates/spa", body.clone()).await;
        assert_eq!(kind, RefusalKind::NotJson, "{body:?}: {reason}");
    }
    let letters = log.dead_letters();
    let kept: Vec<_> = letters.iter().map(|letter| letter.original.clone()).collect();
    assert_eq!(kept, bodies);
    assert_eq!(letters[0].stage, "ingest/cars");
    assert_eq!(letters[0].context, "carCoordinates/spa");
    assert_eq!(
        letters[0].reason,
        "the message is not JSON: EOF while parsing an object at line 1 column 1"
    );
    assert_eq!(letters[0].event_time, ARRIVAL);
    assert!(log.records("coordinates", 0).is_empty());
}

#[tokio::test]
async fn all_violations_of_the_schema_are_reported_together() {
    let (acceptor, log) = race();
    let body = r#"{"timestamp":1541693114862,"carIndex":"two","location":{"lat":91,"long":-0.5}}"#;
    let (kind, reason) = refused(&acceptor, "carCoordinates", body).await;
    assert_eq!(kind, RefusalKind::Schema);
    assert_eq!(
        reason,
        "the event does not match the schema of stream `coordinates`: \
         /carIndex: \"two\" is not of type \"integer\"; \
         /location/lat: 91 is greater than the maximum of 90"
    );
    assert_eq!(log.dead_letters()[0].original, body);
}

#[tokio::test]
async fn a_body_above_the_limit_is_a_dead_letter_with_all_its_bytes() {
    let (acceptor, log) = race();
    let body = vec![b'x'; 10 << 20];
    let (kind, reason) = refused(&acceptor, "carCoordinates", body.clone()).await;
    assert_eq!(kind, RefusalKind::TooLarge);
    assert_eq!(reason, "the message has 10485760 bytes; at most 1048576 are allowed");
    assert_eq!(log.dead_letters()[0].original, body);
}

#[tokio::test]
async fn a_mapping_that_makes_too_much_is_a_dead_letter_and_not_tried_again() {
    use millrace_plan::program::Place;
    use millrace_plan::program::Program;
    let source = format!("x = \"0123456789\"\n{}.x = x", "x = x + x\n".repeat(21));
    let map = Some(Program::compile(&source, Place::Ingest).unwrap());
    let (ingested, ingest) = unmapped();
    let ingested = IngestedStream { schema: None, ..ingested };
    let (acceptor, log) = acceptor(ingested, IngestPlan { map, ..ingest });
    let (kind, reason) = refused(&acceptor, "carCoordinates", MESSAGE).await;
    assert_eq!(kind, RefusalKind::TooLarge);
    assert!(reason.starts_with("the mapped event has 2097"), "{reason}");
    assert_eq!(log.dead_letters()[0].original, MESSAGE);
}

#[tokio::test]
async fn an_event_time_too_far_from_its_arrival_is_refused() {
    let (ingested, ingest) = unmapped();
    let behind = Some(std::time::Duration::from_mins(1));
    let (acceptor, log) = acceptor(IngestedStream { max_behind: behind, ..ingested }, ingest);
    let at = |time: i64| MESSAGE.replace("1541693114862", &time.to_string());
    for time in [ARRIVAL + 300_000, ARRIVAL - 60_000] {
        acceptor.accept(&incoming("carCoordinates", at(time))).await.unwrap();
    }
    let year_3000 = 32_503_680_000_000;
    let (kind, reason) = refused(&acceptor, "carCoordinates", at(year_3000)).await;
    assert_eq!(kind, RefusalKind::EventTime);
    assert_eq!(
        reason,
        "the event time 3000-01-01T00:00:00Z is more than 300000 ms ahead of its arrival at 2018-11-08T16:05:15.862Z"
    );
    for time in [ARRIVAL + 300_001, ARRIVAL - 60_001, i64::MIN, i64::MAX] {
        let (kind, _) = refused(&acceptor, "carCoordinates", at(time)).await;
        assert_eq!(kind, RefusalKind::EventTime, "{time}");
    }
    assert_eq!(log.records("coordinates", 0).len(), 2);
}

#[tokio::test]
async fn a_key_that_cannot_be_made_is_refused() {
    let (mut ingested, ingest) = unmapped();
    ingested.key = vec![".driver".parse().unwrap()];
    let (acceptor, _) = acceptor(ingested, ingest);
    let (kind, reason) = refused(&acceptor, "carCoordinates", MESSAGE).await;
    assert_eq!(kind, RefusalKind::Key);
    assert_eq!(reason, "the key field `.driver` is missing or null");
}

#[tokio::test]
async fn a_mapping_may_drop_a_message_and_its_failure_is_a_dead_letter() {
    use millrace_plan::program::Place;
    use millrace_plan::program::Program;
    let map = Program::compile(
        r"if .carIndex == 0 { abort }
           .race = %user
           .carIndex = to_int!(.carIndex)",
        Place::Ingest,
    )
    .unwrap();
    let ingest = IngestPlan { map: Some(map), ..support::cars() };
    let (acceptor, log) = acceptor(support::coordinates(), ingest);
    let body =
        |car: &str| Bytes::from(MESSAGE.replace("\"carIndex\":2", &format!("\"carIndex\":{car}")));
    let as_user = |body| Incoming { user: Some("ann"), ..incoming("carCoordinates", body) };
    assert_eq!(acceptor.accept(&as_user(body("0"))).await.unwrap(), Accepted::Dropped);
    acceptor.accept(&as_user(body("\"7\""))).await.unwrap();
    let (kind, reason) = refused(&acceptor, "carCoordinates", body("\"x\"")).await;
    assert_eq!(kind, RefusalKind::Map);
    assert!(reason.ends_with("(in `to_int`)"), "{reason}");
    let [record] = &log.records("coordinates", 0)[..] else { panic!() };
    assert_eq!(record.key, "ann");
    assert_eq!(log.dead_letters()[0].original, body("\"x\""));
}

#[tokio::test]
async fn a_topic_of_no_way_in_is_a_dead_letter() {
    let (acceptor, log) = race();
    let (kind, reason) = refused(&acceptor, "carStatus", MESSAGE).await;
    assert_eq!(kind, RefusalKind::NoRoute);
    assert_eq!(reason, "no way in takes the topic `carStatus`");
    assert_eq!(log.dead_letters()[0].stage, "ingest");
    assert_eq!(log.dead_letters()[0].context, "carStatus");
}

#[tokio::test]
async fn nothing_is_stored_while_the_log_refuses() {
    let (acceptor, log) = race();
    log.refuse(2);
    for body in [MESSAGE, "{"] {
        let result = acceptor.accept(&incoming("carCoordinates", body)).await;
        assert!(matches!(result, Err(Refused::Unavailable(_))), "{result:?}");
    }
    assert!(log.records("coordinates", 0).is_empty());
    assert!(log.dead_letters().is_empty());
    acceptor.accept(&incoming("carCoordinates", MESSAGE)).await.unwrap();
    assert_eq!(log.records("coordinates", 0).len(), 1);
    assert_eq!(log.attempts.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_dead_letter_goes_through_its_way_in_again() {
    let (acceptor, log) = race();
    let early = Incoming { arrival: 0, ..incoming("carCoordinates/spa", MESSAGE) };
    assert!(acceptor.accept(&early).await.is_err());
    let letter = log.dead_letters().remove(0);
    acceptor.replay(&letter, ARRIVAL).await.unwrap();
    let [record] = &log.records("coordinates", 0)[..] else { panic!() };
    assert_eq!(record.key, "spa");
    assert_eq!(record.ingest_time, ARRIVAL);

    let again = acceptor.replay(&letter, 0).await;
    assert!(matches!(again, Err(ReplayError::Refused(Refused::Invalid { .. }))), "{again:?}");
    let mut other = letter.clone();
    other.stage = "processor/motion".into();
    assert_eq!(
        acceptor.replay(&other, ARRIVAL).await.unwrap_err().to_string(),
        "dead letters of `processor/motion` cannot be fed in again: they were no incoming messages"
    );
    other.stage = "ingest/bikes".into();
    assert_eq!(
        acceptor.replay(&other, ARRIVAL).await.unwrap_err().to_string(),
        "the pipeline has no way in `bikes` any more"
    );
}

#[tokio::test]
async fn messages_are_counted_by_way_in_and_result() {
    let log = support::race_log();
    let observer = Observer::default();
    let plan = support::plan(support::coordinates(), 1, vec![support::cars()]);
    let acceptor = Acceptor::new(&plan, log.clone(), &observer);
    acceptor.accept(&incoming("carCoordinates", MESSAGE)).await.unwrap();
    let _ = acceptor.accept(&incoming("carCoordinates", "{")).await;
    log.refuse(1);
    let _ = acceptor.accept(&incoming("carCoordinates", MESSAGE)).await;
    let text = observer.encode().unwrap();
    for line in [
        "millrace_mqtt_messages_received_total{route=\"cars\",result=\"stored\"} 1",
        "millrace_mqtt_messages_received_total{route=\"cars\",result=\"notJson\"} 1",
        "millrace_mqtt_messages_received_total{route=\"cars\",result=\"unavailable\"} 1",
        "millrace_ingest_append_seconds_count 2",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}
