//! The race as outside clients see it: Debian's `mosquitto_pub` and `mosquitto_sub` against the
//! program, with the golden numbers of the contract.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers fail as tests do")]

#[path = "../support/mod.rs"]
mod support;

use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Lines;
use std::path::Path;
use std::process::Child;
use std::process::ChildStdout;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use serde_json::json;
use support::process::Pipeline;
use support::race;

const START: i64 = 1_541_693_114_862;

fn example() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/race.yaml")
}

fn publish(pipeline: &mut Pipeline, topic: &str, payload: &str) {
    let address = pipeline.mqtt();
    let (host, port) = address.split_once(':').unwrap();
    let status = Command::new("mosquitto_pub")
        .args(["-h", host, "-p", port, "-q", "1", "-t", topic, "-m", payload])
        .status()
        .expect("mosquitto_pub is installed (Debian: mosquitto-clients)");
    assert!(status.success());
}

fn coordinates(time: i64, car: i64, lat: &str, long: &str) -> String {
    // Written by hand: all 17 digits go over the wire as they are.
    format!(r#"{{"carIndex":{car},"location":{{"long":{long},"lat":{lat}}},"timestamp":{time}}}"#)
}

/// An outside subscriber, and what it prints.
struct Subscriber {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

/// Starts a subscriber that ends after so many messages; it has subscribed when this returns.
fn subscribe(pipeline: &mut Pipeline, topics: &[&str], count: usize) -> Subscriber {
    let address = pipeline.mqtt();
    let (host, port) = address.split_once(':').unwrap();
    // Line by line, or the subscriber would tell nothing before its end.
    let mut command = Command::new("stdbuf");
    command.args([
        "-oL",
        "mosquitto_sub",
        "-d",
        "-h",
        host,
        "-p",
        port,
        "-q",
        "1",
        "-v",
        "-W",
        "60",
    ]);
    command.args(["-C", &count.to_string()]);
    for topic in topics {
        command.args(["-t", topic]);
    }
    let mut process = command
        .stdout(Stdio::piped())
        .spawn()
        .expect("mosquitto_sub is installed (Debian: mosquitto-clients)");
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    lines.by_ref().map(Result::unwrap).find(|line| line.contains("SUBACK")).unwrap();
    Subscriber { process, lines }
}

/// Topic and message of everything a subscriber got, once it has ended.
fn received(mut subscriber: Subscriber) -> Vec<(String, Value)> {
    let lines: Vec<String> = subscriber.lines.map(Result::unwrap).collect();
    assert!(subscriber.process.wait().unwrap().success(), "not everything came: {lines:#?}");
    lines
        .iter()
        .filter_map(|line| {
            let (topic, message) = line.split_once(' ')?;
            Some((topic.to_owned(), serde_json::from_str(message).ok()?))
        })
        .collect()
}

#[test]
fn the_golden_speeds_come_out_on_car_status() {
    let folder = tempfile::tempdir().unwrap();
    let mut pipeline = Pipeline::start(&example(), folder.path(), &[]);
    // Milliseconds, from, to, miles per hour.
    let golden = [
        (
            205,
            ("52.06885015666453", "-1.0227506693058277"),
            ("52.06899250777391", "-1.022576453662667"),
            216.141_445_834,
        ),
        (
            201,
            ("52.06786406260594", "-1.0239574561135762"),
            ("52.06792886633373", "-1.0238781510887842"),
            100.352_766_081,
        ),
        (
            201,
            ("52.068903120291246", "-1.0226858502212455"),
            ("52.06905479305401", "-1.0225002257078422"),
            234.878_310_675,
        ),
        (
            201,
            ("52.07640151591944", "-1.0184079172947025"),
            ("52.07649426484038", "-1.0185149430328098"),
            140.711_339_147,
        ),
    ];
    // Four positions at first, four speeds, and what changes of the order.
    let subscriber = subscribe(&mut pipeline, &["carStatus"], 8);
    for (car, (_, from, _, _)) in (0..).zip(golden) {
        publish(&mut pipeline, "carCoordinates", &coordinates(START, car, from.0, from.1));
    }
    for (car, (elapsed, _, to, _)) in (0..).zip(golden) {
        publish(&mut pipeline, "carCoordinates", &coordinates(START + elapsed, car, to.0, to.1));
    }
    // A later event of another car lets the others go.
    publish(&mut pipeline, "carCoordinates", &coordinates(START + 2000, 9, "52.0", "-1.0"));
    let messages = received(subscriber);
    assert!(messages.iter().all(|(topic, _)| topic == "carStatus"));
    let of = |kind: &str| -> Vec<Value> {
        messages.iter().map(|(_, m)| m.clone()).filter(|m| m["type"] == kind).collect()
    };
    let positions = of("POSITION");
    assert_eq!(positions.len(), 4);
    for (car, position) in positions.iter().enumerate() {
        assert_eq!(
            *position,
            json!({"timestamp": START, "carIndex": car, "type": "POSITION", "value": car + 1})
        );
    }
    let speeds = of("SPEED");
    assert_eq!(speeds.len(), 4);
    for (car, (elapsed, _, _, mph)) in (0..).zip(golden) {
        let speed = speeds.iter().find(|speed| speed["carIndex"] == car).unwrap();
        assert_eq!(speed["timestamp"], START + elapsed);
        assert_eq!(speed.as_object().unwrap().len(), 4);
        let value = speed["value"].as_f64().unwrap();
        assert!((value / mph - 1.0).abs() < 1e-9, "car {car}: {value} is not {mph}");
    }
}

#[test]
fn an_overtake_is_told_once_it_has_held_on_the_topic_of_its_race() {
    let folder = tempfile::tempdir().unwrap();
    let mut pipeline = Pipeline::start(&example(), folder.path(), &[]);
    let subscriber = subscribe(&mut pipeline, &["events/spa", "carStatus/spa"], 2 + 2 * 12 + 3);
    // Car 1 drives twice as fast as car 0, from the start: it is behind only by its number.
    for tick in 0..=12_i32 {
        let time = START + 200 * i64::from(tick);
        let driven = f64::from(tick);
        for (car, metres) in [(0, 5.0), (1, 10.0)] {
            let lat = format!("{:.9}", 52.0 + metres * driven * 8.993_216e-6);
            publish(&mut pipeline, "carCoordinates/spa", &coordinates(time, car, &lat, "-1.0"));
        }
    }
    publish(&mut pipeline, "carCoordinates/spa", &coordinates(START + 9000, 0, "52.1", "-1.0"));
    let messages = received(subscriber);
    let told: Vec<_> = messages.iter().filter(|(topic, _)| topic == "events/spa").collect();
    // Reversed from the second frame (200 ms) on, it has held for a second at 1,200 ms.
    let text = "Car 1 races ahead of Car 0 in a dramatic overtake.";
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].1, json!({"timestamp": START + 1200, "text": text}));
    let changed: Vec<_> = messages
        .iter()
        .filter(|(_, m)| m["type"] == "POSITION" && m["timestamp"] == START + 1200)
        .map(|(topic, m)| (topic.as_str(), m["carIndex"].clone(), m["value"].clone()))
        .collect();
    assert_eq!(
        changed,
        [("carStatus/spa", json!(1), json!(1)), ("carStatus/spa", json!(0), json!(2))]
    );
}

#[test]
fn the_last_frame_comes_out_when_the_cars_stop() {
    let folder = tempfile::tempdir().unwrap();
    let resource = race::resource(folder.path(), &[]);
    let mut pipeline = Pipeline::start(&resource, folder.path(), &[]);
    let subscriber = subscribe(&mut pipeline, &["carStatus"], 1);
    publish(&mut pipeline, "carCoordinates", &coordinates(START, 3, "52.0", "-1.0"));
    let messages = received(subscriber);
    let expected = json!({"timestamp": START, "carIndex": 3, "type": "POSITION", "value": 1});
    assert_eq!(messages, [("carStatus".to_owned(), expected)]);
    let (status, took) = pipeline.interrupt();
    assert!(status.success());
    assert!(took < Duration::from_secs(5), "{took:?}");
}
