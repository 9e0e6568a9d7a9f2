//! Six cars of different paces for twenty laps over the captured lap: what the operators make of
//! it equals the independent computation.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::float_cmp,
    clippy::unwrap_used,
    reason = "plain formulas over small numbers in test code"
)]

mod common;
#[path = "../../../tests/oracle/race.rs"]
mod oracle;

use std::time::Duration;

use common::Task;
use common::captured_lap;
use common::fix;
use common::laps;
use common::motion;
use common::rank;
use millrace_core::Event;
use millrace_plan::model::MotionSettings;
use millrace_plan::model::Operation;
use oracle::Fix;
use oracle::LapTime;
use oracle::Rules;
use serde_json::Value;

const LAP_METRES: f64 = 5_113.273;
const CARS: i64 = 6;
const LAPS: f64 = 20.0;

/// Every car follows the captured rows, faster and slower than real time by a wave of its own.
fn drive() -> Vec<Fix> {
    let lap = captured_lap();
    let rows = lap.len() as f64;
    let mut progress = [0.0_f64; CARS as usize];
    let mut fixes = Vec::new();
    let mut tick = 0;
    while progress.iter().all(|rows_done| *rows_done < LAPS * rows) {
        let time = 1_541_693_114_862 + 200 * tick + [0, 3, 1, 5, 2][(tick % 5) as usize];
        for (car, done) in (0..CARS).zip(&mut progress) {
            let row = done.floor();
            let part = *done - row;
            let (a, b) = (lap[row as usize % lap.len()], lap[(row as usize + 1) % lap.len()]);
            let between = |from: f64, to: f64| from + part * (to - from);
            fixes.push(Fix { time, car, lat: between(a.0, b.0), long: between(a.1, b.1) });
            let wave = (tick as f64 / (300.0 + 70.0 * car as f64) + car as f64).sin();
            *done += 1.0 + 0.002 * car as f64 + 0.08 * wave;
        }
        tick += 1;
    }
    fixes
}

/// Gives the events of each time to `motion` and its outputs to the operators after it.
fn run(fixes: &[Fix], rules: Rules) -> [Task; 3] {
    let fast = MotionSettings { max_speed: Some(400.0), ..motion() };
    let mut motion = Task::new(Operation::Motion(fast));
    let mut order =
        Task::new(Operation::Rank(rank(Duration::from_millis(rules.hold.unsigned_abs()))));
    let least = Duration::from_millis(rules.min_lap_time.unsigned_abs());
    let mut times = Task::new(Operation::Laps(laps(rules.lap_metres, least)));
    for frame in fixes.chunk_by(|a, b| a.time == b.time) {
        let events: Vec<Event> = frame.iter().map(|f| fix(f.time, f.car, f.lat, f.long)).collect();
        let moved = motion.frame(&events);
        order.frame(&moved);
        times.frame(&moved);
    }
    [motion, order, times]
}

fn integer(value: &Value, field: &str) -> i64 {
    value[field].as_i64().unwrap()
}

fn of_kind<'a>(values: &'a [Value], kind: &'a str) -> impl Iterator<Item = &'a Value> {
    values.iter().filter(move |value| value["kind"] == kind)
}

#[test]
fn twenty_laps_equal_the_independent_computation() {
    let fixes = drive();
    let rules = Rules { lap_metres: LAP_METRES, min_lap_time: 30_000, hold: 1000 };
    let expected = oracle::compute(&fixes, rules);
    let [motion, order, times] = run(&fixes, rules);
    assert!(motion.refusals.is_empty() && order.refusals.is_empty() && times.refusals.is_empty());

    let speeds: Vec<_> = motion
        .values()
        .iter()
        .filter_map(|v| {
            Some((integer(v, "timestamp"), integer(v, "carIndex"), v["speed"].as_f64()?))
        })
        .collect();
    assert_eq!(speeds.len(), expected.speeds.len());
    for (actual, expected) in speeds.iter().zip(&expected.speeds) {
        assert_eq!((actual.0, actual.1), (expected.0, expected.1));
        common::close(actual.2, expected.2);
    }

    let values = order.values();
    let positions: Vec<_> = of_kind(&values, "position")
        .map(|v| {
            let place = (integer(v, "position"), v["previous"].as_i64());
            (integer(v, "timestamp"), integer(v, "entity"), place.0, place.1)
        })
        .collect();
    assert_eq!(positions, expected.positions);
    let overtakes: Vec<_> = of_kind(&values, "overtake")
        .map(|v| {
            let pair = (integer(v, "entity"), integer(v, "passed"));
            (integer(v, "timestamp"), pair.0, pair.1, integer(v, "position"))
        })
        .collect();
    assert_eq!(overtakes, expected.overtakes);

    let values = times.values();
    let mut found = Vec::new();
    for value in &values {
        if value["kind"] == "lap" {
            found.push(LapTime {
                crossing: integer(value, "timestamp"),
                car: integer(value, "entity"),
                lap: integer(value, "lap"),
                time: integer(value, "lapTime"),
                average_mph: value["averageSpeed"].as_f64().unwrap(),
                fastest: false,
            });
        } else {
            let lap = found.last_mut().unwrap();
            assert_eq!(
                (lap.car, lap.lap, lap.time),
                (integer(value, "entity"), integer(value, "lap"), integer(value, "lapTime"))
            );
            lap.fastest = true;
        }
    }
    assert_eq!(found, expected.laps);

    // A race in which nothing happens would prove nothing.
    assert!(expected.overtakes.len() > 20, "{} overtakes", expected.overtakes.len());
    assert!(expected.laps.len() > 110, "{} laps", expected.laps.len());
    assert!(expected.laps.iter().filter(|lap| lap.fastest).count() > 1);
}
