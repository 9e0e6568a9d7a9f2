//! `laps` from the outside: by length, by gate, fastest laps.

mod common;

use std::time::Duration;

use common::Task;
use common::event;
use common::keyed;
use common::laps;
use common::path;
use millrace_core::Event;
use millrace_plan::model::LapRule;
use millrace_plan::model::LapsSettings;
use millrace_plan::model::Operation;
use millrace_plan::model::SpeedUnit;
use millrace_processors::Counted;
use proptest::prelude::*;
use serde_json::json;

fn settings(metres: f64, min_lap_time: u64) -> LapsSettings {
    LapsSettings {
        speed_unit: SpeedUnit::MetresPerSecond,
        ..laps(metres, Duration::from_millis(min_lap_time))
    }
}

fn task(metres: f64, min_lap_time: u64) -> Task {
    Task::new(Operation::Laps(settings(metres, min_lap_time)))
}

fn at(time: i64, car: i64, total: f64) -> Event {
    event(time, &json!({"carIndex": car, "totalDistance": total}))
}

fn lap(kind: &str, crossing: i64, car: i64, lap: i64, time: i64, speed: f64) -> serde_json::Value {
    json!({
        "kind": kind, "timestamp": crossing, "entity": car, "lap": lap, "lapTime": time,
        "averageSpeed": speed,
    })
}

#[test]
fn a_lap_ends_where_the_step_crossed_the_line_and_the_next_begins_there() {
    let mut task = task(1000.0, 0);
    task.run(&[at(0, 1, 0.0), at(30_000, 1, 900.0), at(34_000, 1, 1300.0), at(60_000, 1, 2000.0)]);
    assert_eq!(
        task.values(),
        [
            lap("lap", 31_000, 1, 1, 31_000, 32.26),
            lap("fastestLap", 31_000, 1, 1, 31_000, 32.26),
            lap("lap", 60_000, 1, 2, 29_000, 34.48),
            lap("fastestLap", 60_000, 1, 2, 29_000, 34.48),
        ]
    );
    assert_eq!(task.outputs[0].time, 34_000);
}

#[test]
fn several_laps_in_one_step_are_several_events_with_different_ids() {
    let mut task = task(100.0, 0);
    task.run(&[at(0, 1, 0.0), at(1000, 1, 250.0)]);
    assert_eq!(
        task.values(),
        [
            lap("lap", 400, 1, 1, 400, 250.0),
            lap("fastestLap", 400, 1, 1, 400, 250.0),
            lap("lap", 800, 1, 2, 400, 250.0),
        ]
    );
    let mut ids: Vec<_> = task.outputs.iter().map(|output| output.id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 3);
}

#[test]
fn laps_of_one_frame_are_judged_by_crossing_time_whoever_came_first() {
    let mut task = task(100.0, 0);
    task.run(&[at(0, 1, 0.0), at(0, 2, 0.0), at(1000, 2, 110.0), at(1000, 1, 120.0)]);
    let told: Vec<_> =
        task.values().iter().map(|v| (v["kind"].clone(), v["entity"].clone())).collect();
    assert_eq!(
        told,
        [("lap".into(), json!(1)), ("fastestLap".into(), json!(1)), ("lap".into(), json!(2))]
    );
}

#[test]
fn only_a_strictly_faster_lap_is_a_fastest_lap_and_each_race_has_its_own() {
    let mut task = task(100.0, 0);
    let other =
        |time, total: f64| keyed("other", time, &json!({"carIndex": 9, "totalDistance": total}));
    task.run(&[
        at(0, 1, 0.0),
        other(0, 0.0),
        at(1000, 1, 100.0),
        at(2000, 1, 200.0),
        other(2000, 100.0),
        at(2999, 1, 300.0),
    ]);
    let fastest: Vec<_> = task
        .values()
        .iter()
        .filter(|value| value["kind"] == "fastestLap")
        .map(|value| (value["entity"].clone(), value["lapTime"].clone()))
        .collect();
    assert_eq!(fastest, [(json!(1), json!(1000)), (json!(9), json!(2000)), (json!(1), json!(999))]);
}

#[test]
fn a_lap_within_the_least_time_adds_its_length_to_the_next() {
    let mut task = task(100.0, 1000);
    task.run(&[at(0, 1, 0.0), at(500, 1, 100.0), at(2000, 1, 200.0)]);
    assert_eq!(task.values()[0], lap("lap", 2000, 1, 1, 2000, 100.0));
}

#[test]
fn what_cannot_be_a_step_is_refused_or_counted() {
    let mut task = task(100.0, 0);
    task.run(&[at(0, 1, 50.0), at(0, 1, 60.0), at(1000, 1, 10.0), event(2000, &json!({}))]);
    task.run(&[event(3000, &json!({"carIndex": 1})), at(4000, 1, 1e9), at(5000, 1, 1e9 + 100.0)]);
    assert_eq!(task.counted, [Counted::Duplicate]);
    assert_eq!(
        task.reasons(),
        [
            "the total distance went back from 50 to 10",
            "the field `.carIndex` is missing or null",
            "the total distance `.totalDistance` is missing or null",
            "the step crosses the line 10000000 times; timing starts anew from here",
        ]
    );
    assert_eq!(task.values()[0], lap("lap", 5000, 1, 1, 1000, 100.0));
}

#[test]
fn of_ten_thousand_cars_a_thousand_are_timed_and_the_others_refused() {
    let mut task = task(100.0, 0);
    let events: Vec<_> = (0..10_000).map(|car| at(0, car, 0.0)).collect();
    task.run(&events);
    assert_eq!((task.refusals.len(), task.state_entries()), (9000, 1000));
}

#[test]
fn laps_of_several_cars_that_mix_in_one_frame_have_different_ids() {
    let mut task = task(100.0, 0);
    task.run(&[at(0, 1, 0.0), at(0, 2, 0.0), at(1000, 1, 400.0), at(1000, 2, 390.0)]);
    let cars: Vec<_> = task
        .values()
        .iter()
        .filter(|value| value["kind"] == "lap")
        .map(|value| value["entity"].as_i64().unwrap())
        .collect();
    assert_eq!(cars, [1, 2, 1, 2, 1, 2, 1]);
    let mut ids: Vec<_> = task.outputs.iter().map(|output| output.id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), task.outputs.len());
}

/// A gate on the meridian 1, pointing north: its left is the west.
fn gate(min_lap_time: u64) -> Task {
    Task::new(Operation::Laps(LapsSettings {
        by: LapRule::Gate {
            points: [(52.0, 1.0), (52.001, 1.0)],
            latitude: path(".lat"),
            longitude: path(".long"),
            total_distance: path(".totalDistance"),
        },
        ..settings(1.0, min_lap_time)
    }))
}

fn place(time: i64, long: f64, total: f64) -> Event {
    event(time, &json!({"carIndex": 1, "lat": 52.0005, "long": long, "totalDistance": total}))
}

#[test]
fn by_gate_the_clock_starts_at_the_first_crossing_and_speed_is_of_the_way_between() {
    let mut task = gate(0);
    task.run(&[
        place(0, 1.001, 0.0),
        place(1000, 0.999, 100.0),
        // Backwards through the gate: no crossing.
        place(5000, 1.001, 700.0),
        place(9000, 0.999, 1300.0),
    ]);
    let values = task.values();
    assert_eq!(values.len(), 2);
    // From 500 ms and 50 m to 7000 ms and 1000 m.
    assert_eq!(values[0], lap("lap", 7000, 1, 1, 6500, 146.15));
}

#[test]
fn by_gate_a_crossing_within_the_least_time_is_not_counted_again() {
    let mut task = gate(10_000);
    task.run(&[
        place(0, 1.001, 0.0),
        place(1000, 0.999, 100.0),
        place(2000, 1.001, 200.0),
        place(3000, 0.999, 300.0),
        place(19_000, 1.001, 900.0),
        place(21_000, 0.999, 1100.0),
    ]);
    assert_eq!(task.values()[0], lap("lap", 20_000, 1, 1, 19_500, 48.72));
}

proptest! {
    #[test]
    fn lap_times_add_up_to_the_time_from_the_start_to_the_last_line(
        steps in prop::collection::vec((1_i64..5000, 0.0..400.0_f64), 1..60),
        min_lap_time in 0_u64..3000,
    ) {
        let mut task = task(137.0, min_lap_time);
        let (mut time, mut total) = (1_000_000, 0.0);
        let mut events = vec![at(time, 1, total)];
        for (elapsed, metres) in steps {
            time += elapsed;
            total += metres;
            events.push(at(time, 1, total));
        }
        task.run(&events);
        let laps: Vec<_> =
            task.values().into_iter().filter(|value| value["kind"] == "lap").collect();
        let sum: i64 = laps.iter().map(|lap| lap["lapTime"].as_i64().unwrap()).sum();
        let last = laps.last().map_or(1_000_000, |lap| lap["timestamp"].as_i64().unwrap());
        prop_assert_eq!(sum, last - 1_000_000);
        let numbers: Vec<_> = laps.iter().map(|lap| lap["lap"].as_i64().unwrap()).collect();
        prop_assert_eq!(numbers, (1..=i64::try_from(laps.len()).unwrap()).collect::<Vec<_>>());
    }
}
