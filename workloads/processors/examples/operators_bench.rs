//! Measures `motion`, `rank` and VRL programs on one thread and prints a line of JSON for each.
//!
//! `cargo run --release -p millrace-processors --example operators_bench`

#![allow(clippy::print_stdout, reason = "printing is what this program is for")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use millrace_core::Event;
use millrace_core::EventId;
use millrace_core::FieldPath;
use millrace_core::Headers;
use millrace_core::Value;
use millrace_plan::model::DistanceModel;
use millrace_plan::model::MotionSettings;
use millrace_plan::model::Operation;
use millrace_plan::model::OperatorPlan;
use millrace_plan::model::RankSettings;
use millrace_plan::model::SpeedUnit;
use millrace_plan::program::Place;
use millrace_plan::program::Program;
use millrace_plan::program::context_of_message;
use millrace_processors::Emitter;
use millrace_processors::Operator;
use millrace_processors::build;
use serde_json::json;

const FRAMES: i64 = 20_000;
const PROGRAM_RUNS: i64 = 500_000;

/// What maps an incoming message of the race.
const AT_INGEST: &str = r#".race = split(%topic, "/")[1] || "race""#;

/// What makes a message of an event with its motion.
const STATUS: &str = r#"
. = if %stream == "motion" && .speed != null {
  {"timestamp": .timestamp, "carIndex": .carIndex, "type": "SPEED", "value": .speed}
} else {
  abort
}
"#;

fn main() {
    for cars in [6, 100, 1000] {
        let frames = (FRAMES * 6 / cars).max(10);
        for (ranked, name) in [(false, "motion"), (true, "motion and rank")] {
            print(
                &format!("{name}, {cars} entities"),
                cars * frames,
                measure(cars, frames, ranked),
            );
        }
    }
    print("VRL at ingest: one field added", PROGRAM_RUNS, at_ingest());
    print("VRL in a map: another event made", PROGRAM_RUNS, in_a_map());
}

fn print(what: &str, events: i64, spent: Duration) {
    let seconds = spent.as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let rate = events as f64 / seconds;
    println!(
        "{}",
        json!({
            "what": format!("{what}, one thread"),
            "perSecond": rate.round(),
            "cpuSeconds": seconds,
            "events": events,
        })
    );
}

/// Time that the ingest's program takes for so many messages, its context included.
fn at_ingest() -> Duration {
    let program = Program::compile(AT_INGEST, Place::Ingest).expect("the program above compiles");
    let body = event(0, 1).value;
    let started = Instant::now();
    for arrival in 0..PROGRAM_RUNS {
        let context = context_of_message("carCoordinates/1", Some("car"), None, arrival);
        black_box(program.evaluate(body.clone(), context));
    }
    started.elapsed()
}

/// Time that a `map` takes for so many events.
fn in_a_map() -> Duration {
    let program = Program::compile(STATUS, Place::Pipeline).expect("the program above compiles");
    let mut moved = event(0, 1);
    moved.stream = "motion".into();
    if let Value::Object(fields) = &mut moved.value {
        fields.insert("speed".into(), Value::from_f64_or_zero(123.5));
    }
    let started = Instant::now();
    for _ in 0..PROGRAM_RUNS {
        black_box(program.transform(&moved));
    }
    started.elapsed()
}

/// Time in `motion`, and in `rank` behind it if asked.
fn measure(cars: i64, frames: i64, ranked: bool) -> Duration {
    let mut motion = operator(Operation::Motion(MotionSettings {
        entity: path(".carIndex"),
        latitude: path(".location.lat"),
        longitude: path(".location.long"),
        speed_unit: SpeedUnit::MilesPerHour,
        max_speed: None,
        distance: DistanceModel::Haversine,
        max_entities: 1000,
    }));
    let mut rank = operator(Operation::Rank(RankSettings {
        group: path(".race"),
        entity: path(".carIndex"),
        by: path(".totalDistance"),
        hold: Duration::from_secs(1),
        max_entities: 1000,
    }));
    let name: Arc<str> = "bench".into();
    let mut moved = Vec::new();
    let mut told = Vec::new();
    let mut spent = Duration::ZERO;
    for frame in 0..frames {
        let events: Vec<Event> = (0..cars).map(|car| event(frame * 200, car)).collect();
        let started = Instant::now();
        moved.clear();
        told.clear();
        pass(&mut *motion, &name, &events, frame * 200, &mut moved);
        if ranked {
            pass(&mut *rank, &name, &moved, frame * 200, &mut told);
        }
        spent += started.elapsed();
        black_box((&moved, &told));
    }
    spent
}

fn pass(
    operator: &mut dyn Operator,
    name: &Arc<str>,
    events: &[Event],
    time: i64,
    outputs: &mut Vec<Event>,
) {
    let mut refusals = Vec::new();
    let mut count = |_, _| {};
    let mut out = Emitter::new(name, 0, &[], outputs, &mut refusals, &mut count);
    for event in events {
        operator.process(event, &mut out);
    }
    operator.end_of_time(time, &mut out);
}

/// Cars go north side by side, each with a slow wave of its own, so that they pass each other.
fn event(time: i64, car: i64) -> Event {
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let (seconds, number) = (time as f64 / 1000.0, car as f64);
    let lat = seconds * 1e-5 + 1e-4 * (seconds / 60.0 + number).sin();
    let value = json!({
        "timestamp": time, "race": "race", "carIndex": car,
        "location": {"lat": lat, "long": number * 1e-5},
    });
    let id = EventId::of_content("bench", &car.to_be_bytes(), &time.to_be_bytes());
    Event {
        stream: "coordinates".into(),
        key: "race".into(),
        time,
        ingest_time: time,
        id,
        headers: Arc::new(Headers::default()),
        value: value.into(),
    }
}

fn operator(operation: Operation) -> Box<dyn Operator> {
    build(&OperatorPlan {
        name: "bench".into(),
        generation: 0,
        inputs: Vec::new(),
        operation,
        key: Vec::new(),
        output: None,
        output_partitions: 1,
        fingerprint: String::new(),
    })
}

fn path(text: &str) -> FieldPath {
    text.parse().expect("the paths above are valid")
}
