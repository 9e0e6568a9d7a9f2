//! `dedupe` from the outside.

mod common;

use std::time::Duration;

use common::Committed;
use common::Task;
use common::event;
use common::path;
use millrace_core::Event;
use millrace_plan::model::DedupeSettings;
use millrace_plan::model::Operation;
use millrace_processors::Counted;
use serde_json::json;

fn dedupe(by: Option<&str>, max_keys: usize) -> Task {
    Task::new(Operation::Dedupe(DedupeSettings {
        by: by.map(path),
        within: Duration::from_secs(10),
        max_keys,
    }))
}

fn named(time: i64, name: &str, n: i64) -> Event {
    event(time, &json!({"name": name, "n": n}))
}

fn passed(task: &Task) -> Vec<i64> {
    task.values().iter().map(|value| value["n"].as_i64().unwrap_or_default()).collect()
}

#[test]
fn the_first_of_a_value_passes_and_others_are_counted_for_as_long_as_it_is_remembered() {
    let mut task = dedupe(Some(".name"), 100);
    task.run(&[
        named(0, "a", 1),
        named(1, "b", 2),
        named(9_000, "a", 3),
        named(10_000, "a", 4),
        named(10_001, "a", 5),
        named(20_001, "a", 6),
    ]);
    assert_eq!(passed(&task), [1, 2, 5]);
    assert_eq!(task.counted, [Counted::Duplicate; 3]);
    assert_eq!(task.state_entries(), 1);
}

#[test]
fn without_a_field_the_id_makes_events_the_same() {
    let mut task = dedupe(None, 100);
    let one = named(0, "a", 1);
    task.run(&[one.clone(), named(0, "a", 2), Event { time: 5, ..one }]);
    assert_eq!(passed(&task), [1, 2]);
}

#[test]
fn integers_and_texts_are_different_values_and_others_are_refused() {
    let mut task = dedupe(Some(".v"), 100);
    task.run(&[
        event(0, &json!({"v": 1})),
        event(0, &json!({"v": "1"})),
        event(0, &json!({"v": 1.5})),
        event(0, &json!({})),
    ]);
    assert_eq!(task.outputs.len(), 2);
    assert_eq!(
        task.reasons(),
        ["the field `.v` is neither a string nor an integer", "the field `.v` is missing or null"]
    );
}

#[test]
fn the_oldest_are_forgotten_first_and_counted() {
    let mut task = dedupe(Some(".name"), 2);
    task.run(&[named(1, "a", 1), named(2, "b", 2), named(3, "c", 3), named(4, "b", 4)]);
    task.run(&[named(5, "a", 5)]);
    assert_eq!(passed(&task), [1, 2, 3, 5]);
    assert_eq!(task.counted, [Counted::Forgotten, Counted::Duplicate, Counted::Forgotten]);
    assert_eq!(task.state_entries(), 2);
}

#[test]
fn what_is_forgotten_leaves_the_stored_state_too() {
    let mut state = Committed::new();
    let mut task = dedupe(Some(".name"), 100);
    task.run(&[named(0, "a", 1), named(1, "b", 2)]);
    task.commit(&mut state);
    assert_eq!(state.len(), 2);
    task.run(&[named(10_001, "c", 3)]);
    task.commit(&mut state);
    assert_eq!(state.len(), 2);
}
