//! `alert` from the outside.

#![allow(clippy::unwrap_used, reason = "test code outside of test functions")]

mod common;

use std::time::Duration;

use common::Committed;
use common::Task;
use common::keyed;
use common::path;
use millrace_core::Event;
use millrace_plan::model::AlertSettings;
use millrace_plan::model::Operation;
use millrace_plan::program::Place;
use millrace_plan::program::Program;
use millrace_processors::Counted;
use serde_json::json;

fn alert(hold: u64, until: u64) -> AlertSettings {
    AlertSettings {
        when: Program::compile("if .skip == true { abort }\n.c > 80 ?? .c", Place::Pipeline)
            .unwrap(),
        by: Vec::new(),
        hold: Duration::from_secs(hold),
        until: Duration::from_secs(until),
        max_entities: 2,
    }
}

fn task(hold: u64, until: u64) -> Task {
    Task::new(Operation::Alert(alert(hold, until)))
}

fn cpu(key: &str, seconds: i64, c: i64) -> Event {
    keyed(key, seconds * 1000, &json!({"c": c}))
}

fn told(task: &Task) -> Vec<(String, i64, i64)> {
    let number = |value: &serde_json::Value| value.as_i64().unwrap() / 1000;
    let one = |v: &serde_json::Value| {
        (v["kind"].as_str().unwrap().to_owned(), number(&v["since"]), number(&v["timestamp"]))
    };
    task.values().iter().map(one).collect()
}

#[test]
fn it_is_raised_once_when_the_condition_has_held_and_resolved_once_when_it_has_not() {
    let mut task = task(10, 5);
    let course = [(0, 90), (9, 90), (10, 90), (11, 90), (12, 10), (14, 10), (17, 10), (18, 10)];
    task.run(&course.map(|(seconds, c)| cpu("a", seconds, c)));
    assert_eq!(told(&task), [("raised".to_owned(), 0, 10), ("resolved".to_owned(), 12, 17)]);
    assert_eq!(
        task.values()[0],
        json!({"kind": "raised", "since": 0, "timestamp": 10_000, "event": {"c": 90}})
    );
    assert_eq!(task.state_entries(), 0);
}

#[test]
fn an_interruption_starts_the_time_anew_on_either_side() {
    let mut task = task(10, 5);
    let course = [(0, 90), (5, 10), (6, 90), (15, 90), (16, 90), (17, 10), (20, 90), (21, 10)];
    task.run(&course.map(|(seconds, c)| cpu("a", seconds, c)));
    assert_eq!(told(&task), [("raised".to_owned(), 6, 16)]);
    task.run(&[cpu("a", 26, 10)]);
    assert_eq!(told(&task)[1], ("resolved".to_owned(), 21, 26));
}

#[test]
fn without_times_it_is_told_at_once() {
    let mut task = task(0, 0);
    task.run(&[cpu("a", 0, 90), cpu("a", 1, 91), cpu("a", 2, 10), cpu("a", 3, 10)]);
    assert_eq!(told(&task), [("raised".to_owned(), 0, 0), ("resolved".to_owned(), 2, 2)]);
}

#[test]
fn each_key_or_each_value_of_the_declared_fields_is_on_its_own() {
    let mut by_key = task(0, 0);
    by_key.run(&[cpu("a", 0, 90), cpu("b", 0, 90)]);
    assert_eq!(told(&by_key).len(), 2);
    let by = vec![path(".host.name"), path(".core")];
    let mut by_fields = Task::new(Operation::Alert(AlertSettings { by, ..alert(0, 0) }));
    let one = |core: i64| keyed("a", 0, &json!({"c": 90, "host": {"name": "x"}, "core": core}));
    by_fields.run(&[one(1), one(2), keyed("a", 0, &json!({"c": 90, "core": 1}))]);
    assert_eq!(
        by_fields.values()[1],
        json!({
            "kind": "raised", "since": 0, "timestamp": 0, "name": "x", "core": 2,
            "event": {"c": 90, "host": {"name": "x"}, "core": 2},
        })
    );
    assert_eq!(by_fields.reasons(), ["the key field `.host.name` is missing or null"]);
}

#[test]
fn what_decides_nothing_is_counted_or_refused() {
    let mut task = task(0, 0);
    task.run(&[
        keyed("a", 0, &json!({"c": 90, "skip": true})),
        keyed("a", 0, &json!({"c": "hot"})),
    ]);
    assert_eq!(task.counted, [Counted::Filtered]);
    assert_eq!(task.reasons(), ["the condition gave a value of type string, no boolean"]);
}

#[test]
fn only_those_in_trouble_take_room() {
    let mut task = task(10, 0);
    for key in ["a", "b", "c", "d"] {
        task.run(&[cpu(key, 0, 10)]);
    }
    task.run(&[cpu("a", 1, 90), cpu("b", 1, 90), cpu("c", 1, 90)]);
    assert_eq!(
        task.reasons(),
        ["there are already 2 entities in trouble, as many as `maxEntities` allows"]
    );
    task.run(&[cpu("a", 2, 10), cpu("c", 2, 90)]);
    assert_eq!((task.reasons().len(), task.state_entries()), (1, 2));
    let mut state = Committed::new();
    task.commit(&mut state);
    assert_eq!(state.len(), 2);
}
