//! Measures `motion` and `rank` on one thread and prints the result as JSON.
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
use millrace_plan::model::DistanceModel;
use millrace_plan::model::MotionSettings;
use millrace_plan::model::Operation;
use millrace_plan::model::OperatorPlan;
use millrace_plan::model::RankSettings;
use millrace_plan::model::SpeedUnit;
use millrace_processors::Emitter;
use millrace_processors::Operator;
use millrace_processors::build;
use serde_json::json;

const FRAMES: i64 = 20_000;

fn main() {
    let cases = [6, 100, 1000].map(|cars| {
        let frames = (FRAMES * 6 / cars).max(10);
        json!({
            "cars": cars,
            "motionEventsPerSecond": measure(cars, frames, false),
            "motionAndRankEventsPerSecond": measure(cars, frames, true),
        })
    });
    println!("{}", json!({"threads": 1, "cases": cases}));
}

/// Events per second through `motion`, and through `rank` behind it if asked.
fn measure(cars: i64, frames: i64, ranked: bool) -> u64 {
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
    let events = u128::from((cars * frames).unsigned_abs());
    u64::try_from(events * 1_000_000_000 / spent.as_nanos().max(1)).unwrap_or(u64::MAX)
}

fn pass(
    operator: &mut dyn Operator,
    name: &Arc<str>,
    events: &[Event],
    time: i64,
    outputs: &mut Vec<Event>,
) {
    let mut refusals = Vec::new();
    let mut count = |_| {};
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
        fingerprint: String::new(),
    })
}

fn path(text: &str) -> FieldPath {
    text.parse().expect("the paths above are valid")
}
