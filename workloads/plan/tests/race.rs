//! `examples/race.yaml`: it loads, its plan is the golden one, and each of its programs gives what
//! the contract says, literally.

// Helpers of tests may fail as tests do.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::Arc;

use millrace_core::Event;
use millrace_core::EventId;
use millrace_core::Value;
use millrace_plan::Plan;
use millrace_plan::model::MqttTopic;
use millrace_plan::model::Operation;
use millrace_plan::model::SinkTarget;
use millrace_plan::program::Evaluation;
use millrace_plan::program::Program;
use millrace_plan::program::context_of_message;

const RACE: &str = include_str!("../../../examples/race.yaml");

fn race() -> Plan {
    let pipelines = millrace_api::load(RACE, "race.yaml").unwrap();
    millrace_plan::plan(&pipelines[0]).unwrap()
}

fn map(plan: &Plan, name: &str) -> Program {
    let mut operators = plan.stages.iter().flat_map(|stage| &stage.operators);
    match &operators.find(|operator| operator.name == name).unwrap().operation {
        Operation::Map(program) => program.clone(),
        other => panic!("{name} is no map: {other:?}"),
    }
}

fn event(stream: &str, key: &str, json: &str) -> Event {
    Event {
        stream: Arc::from(stream),
        key: key.to_owned().into(),
        time: 1_541_693_114_862,
        ingest_time: 0,
        id: EventId::from([0; 16]),
        headers: Arc::default(),
        value: serde_json::from_str(json).unwrap(),
    }
}

/// What a `map` makes of an event, as JSON; `aborted` if it drops it.
fn mapped(name: &str, stream: &str, json: &str) -> String {
    match map(&race(), name).transform(&event(stream, "spa", json)) {
        Evaluation::Done { event, .. } => serde_json::to_string(&event).unwrap(),
        Evaluation::Aborted => "aborted".to_owned(),
        Evaluation::Failed(message) => format!("failed: {message}"),
    }
}

fn topic(sink: &str, key: &str) -> Value {
    let plan = race();
    let sink = plan.sinks.iter().find(|other| other.name == sink).unwrap();
    let SinkTarget::Mqtt(mqtt) = &sink.target else { panic!("{sink:?}") };
    let MqttTopic::Program(program) = &mqtt.topic else { panic!("{mqtt:?}") };
    program.value_of(&event("status", key, "{}")).unwrap()
}

#[test]
fn the_race_is_the_last_level_of_the_topic_or_race() {
    let program = race().ingest[0].map.clone().unwrap();
    let mapped = |topic: &str| {
        let body = r#"{"timestamp":1541693114862,"carIndex":2,"location":{"lat":51.349937311969725,"long":-0.544958142167281}}"#;
        let context = context_of_message(topic, None, None, 0);
        match program.evaluate(serde_json::from_str(body).unwrap(), context) {
            Evaluation::Done { event, .. } => serde_json::to_string(&event).unwrap(),
            other => format!("{other:?}"),
        }
    };
    assert_eq!(
        mapped("carCoordinates"),
        r#"{"carIndex":2,"location":{"lat":51.349937311969725,"long":-0.544958142167281},"race":"race","timestamp":1541693114862}"#
    );
    assert_eq!(
        mapped("carCoordinates/spa"),
        r#"{"carIndex":2,"location":{"lat":51.349937311969725,"long":-0.544958142167281},"race":"spa","timestamp":1541693114862}"#
    );
}

#[test]
fn the_schema_refuses_what_is_no_position_and_says_why() {
    let plan = race();
    let millrace_plan::model::StreamOrigin::Ingested(stream) = &plan.streams[0].origin else {
        panic!("the first stream is the ingested one");
    };
    let schema = stream.schema.as_ref().unwrap();
    let violations = |json: &str| match schema.validate(&serde_json::from_str(json).unwrap()) {
        Ok(()) => Vec::new(),
        Err(violations) => violations.iter().map(ToString::to_string).collect(),
    };
    assert_eq!(
        violations(
            r#"{"race":"race","timestamp":1,"carIndex":0,"location":{"lat":91,"long":-180}}"#
        ),
        ["/location/lat: 91 is greater than the maximum of 90"]
    );
    assert_eq!(
        violations(
            r#"{"race":"race","timestamp":1,"carIndex":0,"location":{"lat":-90,"long":180}}"#
        ),
        Vec::<String>::new()
    );
}

#[test]
fn a_speed_is_told_as_it_is_and_only_where_there_is_one() {
    let moved = |speed: &str| {
        let json = format!(
            r#"{{"timestamp":1541693114862,"carIndex":2,"race":"spa","location":{{"lat":1.0,"long":2.0}},"speed":{speed},"totalDistance":9.0}}"#
        );
        mapped("status", "motion", &json)
    };
    assert_eq!(
        moved("100.35276608123456"),
        r#"{"carIndex":2,"timestamp":1541693114862,"type":"SPEED","value":100.35276608123456}"#
    );
    assert_eq!(moved("null"), "aborted");
    assert_eq!(
        moved("0.0"),
        r#"{"carIndex":2,"timestamp":1541693114862,"type":"SPEED","value":0.0}"#
    );
}

#[test]
fn a_position_is_told_as_an_integer_and_overtakes_are_not_positions() {
    assert_eq!(
        mapped(
            "status",
            "order",
            r#"{"kind":"position","timestamp":1541693114862,"group":"spa","entity":2,"position":1,"previous":2}"#
        ),
        r#"{"carIndex":2,"timestamp":1541693114862,"type":"POSITION","value":1}"#
    );
    assert_eq!(mapped("status", "order", OVERTAKE), "aborted");
}

const OVERTAKE: &str = r#"{"kind":"overtake","timestamp":1541693114862,"group":"spa","entity":2,"passed":4,"position":1}"#;

fn lap(kind: &str, number: i64, time: i64, speed: f64) -> String {
    format!(
        r#"{{"kind":"{kind}","timestamp":1541693114862,"entity":1,"lap":{number},"lapTime":{time},"averageSpeed":{speed:?}}}"#
    )
}

#[test]
fn commentary_has_the_words_of_the_contract() {
    let text = |stream: &str, json: &str| mapped("commentary", stream, json);
    assert_eq!(
        text("order", OVERTAKE),
        r#"{"text":"Car 2 races ahead of Car 4 in a dramatic overtake.","timestamp":1541693114862}"#
    );
    assert_eq!(
        text("laps", &lap("lap", 2, 94_120, 121.9)),
        r#"{"text":"Car 1 completed lap 02 in 1:34.120 with an average speed of 121.90 MPH","timestamp":1541693114862}"#
    );
    assert_eq!(
        text("laps", &lap("fastestLap", 2, 94_120, 121.9)),
        r#"{"text":"Car 1 has set the new fastest lap time at 1:34.120 with an average speed of 121.90 MPH","timestamp":1541693114862}"#
    );
    assert_eq!(
        text(
            "order",
            r#"{"kind":"position","timestamp":1,"group":"spa","entity":2,"position":1,"previous":null}"#
        ),
        "aborted"
    );
}

#[test]
fn times_and_numbers_have_their_zeros() {
    let program = map(&race(), "commentary");
    let text = |number, time, speed| {
        let event = event("laps", "spa", &lap("lap", number, time, speed));
        match program.transform(&event) {
            Evaluation::Done { event, .. } => {
                let event = serde_json::to_value(&event).unwrap();
                event["text"].as_str().unwrap().to_owned()
            }
            other => panic!("{other:?}"),
        }
    };
    for (number, time, speed, expected) in [
        (1, 60_000, 100.0, "lap 01 in 1:00.000 with an average speed of 100.00 MPH"),
        (9, 59_999, 99.99, "lap 09 in 0:59.999 with an average speed of 99.99 MPH"),
        (10, 61_001, 1234.5, "lap 10 in 1:01.001 with an average speed of 1234.50 MPH"),
        (100, 609_050, 5.01, "lap 100 in 10:09.050 with an average speed of 5.01 MPH"),
        (20, 94_100, 121.07, "lap 20 in 1:34.100 with an average speed of 121.07 MPH"),
    ] {
        assert_eq!(text(number, time, speed), format!("Car 1 completed {expected}"));
    }
    // Every millisecond of a minute is written back exactly.
    for time in (90_000..90_000 + 60_000).step_by(7) {
        let (minutes, rest) = (time / 60_000, time % 60_000);
        let clock = format!(" in {minutes}:{:02}.{:03} with", rest / 1000, rest % 1000);
        assert!(text(1, time, 1.0).contains(&clock), "{time}");
    }
}

#[test]
fn each_race_has_its_topics() {
    assert_eq!(topic("carStatus", "race"), Value::from("carStatus"));
    assert_eq!(topic("carStatus", "spa"), Value::from("carStatus/spa"));
    assert_eq!(topic("events", "race"), Value::from("events"));
    assert_eq!(topic("events", "spa"), Value::from("events/spa"));
}

#[test]
fn rows_name_their_race() {
    assert_eq!(
        mapped(
            "standings",
            "order",
            r#"{"kind":"position","timestamp":7,"group":"spa","entity":2,"position":1,"previous":2}"#
        ),
        r#"{"car":2,"position":1,"race":"spa","since":7}"#
    );
    assert_eq!(mapped("standings", "order", OVERTAKE), "aborted");
    assert_eq!(
        mapped("overtakes", "order", OVERTAKE),
        r#"{"at":1541693114862,"car":2,"passed":4,"position":1,"race":"spa"}"#
    );
    assert_eq!(
        mapped("lapTimes", "laps", &lap("lap", 2, 94_120, 121.9)),
        r#"{"at":1541693114862,"car":1,"lap":2,"milliseconds":94120,"mph":121.9,"race":"spa"}"#
    );
    assert_eq!(mapped("lapTimes", "laps", &lap("fastestLap", 2, 94_120, 121.9)), "aborted");
}

#[test]
fn the_plan_is_the_golden_one() {
    let golden = include_str!("race.plan.txt");
    assert_eq!(race().to_string(), golden);
}
