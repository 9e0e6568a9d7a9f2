//! `rank` from the outside: frames, outputs, refusals.

mod common;

use std::time::Duration;

use common::Task;
use common::event;
use common::keyed;
use common::rank;
use millrace_core::Event;
use millrace_plan::model::Operation;
use serde_json::json;

fn task(hold: u64) -> Task {
    Task::new(Operation::Rank(rank(Duration::from_millis(hold))))
}

fn at(time: i64, car: i64, total: f64) -> Event {
    event(time, &json!({"race": "race", "carIndex": car, "totalDistance": total}))
}

fn position(
    time: i64,
    car: i64,
    position: i64,
    previous: impl Into<serde_json::Value>,
) -> serde_json::Value {
    json!({
        "kind": "position", "timestamp": time, "group": "race", "entity": car,
        "position": position, "previous": previous.into(),
    })
}

fn overtake(time: i64, car: i64, passed: i64, position: i64) -> serde_json::Value {
    json!({
        "kind": "overtake", "timestamp": time, "group": "race", "entity": car,
        "passed": passed, "position": position,
    })
}

#[test]
fn a_first_frame_gives_everyone_a_position_and_no_overtake() {
    let mut task = task(1000);
    task.run(&[at(0, 2, 0.0), at(0, 1, 5.0), at(0, 0, 0.0)]);
    // Cars 0 and 2 are level and were first seen together: the lower number is ahead.
    assert_eq!(
        task.values(),
        [position(0, 1, 1, ()), position(0, 0, 2, ()), position(0, 2, 3, ())]
    );
}

#[test]
fn an_overtake_is_confirmed_after_hold_and_told_after_the_positions() {
    let mut task = task(1000);
    task.run(&[at(0, 0, 5.0), at(0, 1, 4.0), at(0, 2, 3.0)]);
    task.outputs.clear();
    task.run(&[at(200, 2, 9.0), at(1199, 2, 10.0), at(1200, 0, 5.0), at(1200, 1, 4.0)]);
    assert_eq!(
        task.values(),
        [
            position(1200, 2, 1, 3),
            position(1200, 0, 2, 1),
            position(1200, 1, 3, 2),
            overtake(1200, 2, 0, 1),
            overtake(1200, 2, 1, 1),
        ]
    );
}

#[test]
fn an_order_that_flips_back_within_hold_is_never_told() {
    let mut task = task(1000);
    task.run(&[at(0, 0, 2.0), at(0, 1, 1.0)]);
    task.outputs.clear();
    task.run(&[at(100, 1, 3.0), at(1000, 0, 4.0), at(1050, 1, 5.0), at(2000, 0, 6.0)]);
    assert_eq!(task.values(), [] as [serde_json::Value; 0]);
}

#[test]
fn all_events_of_a_time_count_before_the_order_is_judged() {
    let mut task = task(0);
    task.run(&[at(0, 0, 2.0), at(0, 1, 1.0)]);
    task.outputs.clear();
    task.run(&[at(1, 1, 3.0), at(1, 0, 4.0)]);
    assert!(task.outputs.is_empty());
}

#[test]
fn outputs_are_due_to_the_last_event_of_the_frame_and_have_different_ids() {
    let mut task = task(0);
    let mut events = [at(0, 0, 2.0), at(0, 1, 1.0)];
    events[1].ingest_time = 99;
    task.run(&events);
    assert_eq!(task.outputs[0].ingest_time, 99);
    assert_eq!(task.outputs[0].time, 0);
    assert_ne!(task.outputs[0].id, task.outputs[1].id);
}

#[test]
fn groups_and_keys_are_ranked_apart() {
    let mut task = task(0);
    let one = |key: &str, race: &str, car: i64| {
        keyed(key, 0, &json!({"race": race, "carIndex": car, "totalDistance": 0}))
    };
    task.run(&[one("a", "x", 1), one("a", "y", 2), one("b", "x", 3)]);
    let positions: Vec<_> = task.values().iter().map(|value| value["position"].clone()).collect();
    assert_eq!(positions, [json!(1), json!(1), json!(1)]);
}

#[test]
fn an_event_without_number_group_or_entity_is_refused() {
    let mut task = task(0);
    task.run(&[
        event(0, &json!({"race": "race", "carIndex": 1})),
        event(0, &json!({"race": "race", "carIndex": 1, "totalDistance": "far"})),
        event(0, &json!({"carIndex": 1, "totalDistance": 1})),
        event(0, &json!({"race": "race", "totalDistance": 1})),
    ]);
    assert_eq!(
        task.reasons(),
        [
            "the number to rank by `.totalDistance` is missing or null",
            "the number to rank by `.totalDistance` is not a number",
            "the field `.race` is missing or null",
            "the field `.carIndex` is missing or null",
        ]
    );
    assert_eq!((task.outputs.len(), task.state_entries()), (0, 0));
}

#[test]
fn of_ten_thousand_cars_a_thousand_are_ranked_and_the_others_refused() {
    let mut task = task(1000);
    let events: Vec<_> = (0..10_000).map(|car| at(0, car, 0.0)).collect();
    task.run(&events);
    assert_eq!((task.outputs.len(), task.refusals.len()), (1000, 9000));
    assert_eq!(task.state_entries(), 1001);
    assert_eq!(
        task.reasons()[0],
        "there are already 1000 entities, as many as `maxEntities` allows"
    );
}
