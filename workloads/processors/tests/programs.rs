//! `map` and `filter` from the outside, and the keys and ids of outputs.

#![allow(clippy::unreadable_literal, reason = "coordinates are written as they come in")]
#![allow(clippy::unwrap_used, reason = "test code outside of test functions")]

mod common;

use common::Task;
use common::event;
use common::keyed;
use common::path;
use common::plan;
use millrace_core::EventId;
use millrace_plan::model::Operation;
use millrace_plan::model::OperatorPlan;
use millrace_plan::program::Place;
use millrace_plan::program::Program;
use millrace_processors::Counted;
use serde_json::json;

fn program(source: &str) -> Program {
    Program::compile(source, Place::Pipeline).unwrap()
}

fn map(source: &str) -> OperatorPlan {
    plan(Operation::Map(program(source)))
}

#[test]
fn a_map_replaces_the_event_by_what_the_program_leaves() {
    let mut task = Task::of(map(".b = .a\ndel(.a)\n.from = %stream\n.key = %key"));
    task.run(&[event(5, &json!({"a": 51.349937311969725}))]);
    assert_eq!(
        task.values(),
        [json!({"b": 51.349937311969725, "from": "coordinates", "key": "race"})]
    );
    assert_eq!((&task.outputs[0].key[..], task.outputs[0].time), (&b"race"[..], 5));
}

#[test]
fn a_map_that_aborts_drops_the_event_and_counts_it() {
    let mut task = Task::of(map("if .a == 1 { abort }"));
    task.run(&[event(0, &json!({"a": 1})), event(1, &json!({"a": 2}))]);
    assert_eq!(task.values(), [json!({"a": 2})]);
    assert_eq!(task.counted, [Counted::Filtered]);
}

#[test]
fn a_map_that_fails_refuses_the_event_as_it_came_with_the_message() {
    let mut task = Task::of(map(".touched = true\n.b = to_int!(.a)"));
    let broken = event(0, &json!({"a": "many"}));
    task.run(std::slice::from_ref(&broken));
    let [(refused, reason)] = &task.refusals[..] else { panic!("one refusal") };
    assert_eq!((refused.id, common::json(refused)), (broken.id, json!({"a": "many"})));
    assert!(reason.contains("to_int"), "{reason}");
    assert!(task.outputs.is_empty());
}

#[test]
fn a_map_that_leaves_an_array_makes_an_event_of_each_item() {
    let mut task = Task::of(map(". = .items"));
    let many = event(5, &json!({"items": [{"a": 1}, {"a": 2}]}));
    task.run(std::slice::from_ref(&many));
    assert_eq!(task.values(), [json!({"a": 1}), json!({"a": 2})]);
    let ids = [0, 1].map(|nth| EventId::of_output("p", 0, b"race", 5, many.id, nth));
    assert_eq!([task.outputs[0].id, task.outputs[1].id], ids);
}

#[test]
fn an_empty_array_drops_the_event_and_one_with_anything_but_objects_is_refused_whole() {
    let mut task = Task::of(map(". = .items"));
    task.run(&[event(0, &json!({"items": []})), event(1, &json!({"items": [{"a": 1}, "b"]}))]);
    assert_eq!(task.counted, [Counted::Filtered]);
    assert_eq!(task.reasons(), ["item 1 of the program's array is of type string, no object"]);
    assert!(task.outputs.is_empty());
}

#[test]
fn a_filter_keeps_events_unchanged_and_counts_the_others() {
    let mut task = Task::new(Operation::Filter(program(".a == 1")));
    let kept = event(0, &json!({"a": 1, "b": [1.5]}));
    task.run(&[kept.clone(), event(1, &json!({"a": 2}))]);
    assert_eq!(task.values(), [json!({"a": 1, "b": [1.5]})]);
    assert_eq!(task.counted, [Counted::Filtered]);
    assert_eq!(task.outputs[0].id, EventId::of_output("p", 0, b"race", 0, kept.id, 0));
}

#[test]
fn a_filter_that_gives_no_boolean_refuses_the_event() {
    let mut task = Task::new(Operation::Filter(program(".a")));
    task.run(&[event(0, &json!({"a": 1}))]);
    assert_eq!(task.reasons(), ["the filter gave a value of type integer, no boolean"]);
}

#[test]
fn a_declared_key_is_the_key_of_the_outputs_and_part_of_their_ids() {
    let mut task = Task::of(OperatorPlan {
        key: vec![path(".car"), path(".race")],
        generation: 3,
        ..map(".race = %key")
    });
    let source = keyed("silverstone", 9, &json!({"car": 4}));
    task.run(std::slice::from_ref(&source));
    let output = &task.outputs[0];
    assert_eq!(output.key, r#"[4,"silverstone"]"#);
    assert_eq!(output.id, EventId::of_output("p", 3, br#"[4,"silverstone"]"#, 9, source.id, 0));
}

#[test]
fn an_output_without_its_key_is_refused_with_the_reason() {
    let mut task = Task::of(OperatorPlan { key: vec![path(".car")], ..map(".b = 1") });
    task.run(&[event(0, &json!({"a": 1}))]);
    assert!(task.outputs.is_empty());
    assert_eq!(task.reasons(), ["the key field `.car` is missing or null"]);
    assert_eq!(common::json(&task.refusals[0].0), json!({"a": 1, "b": 1}));
}

#[test]
fn rekeying_passes_the_event_on_under_another_key() {
    let mut task = Task::of(OperatorPlan { key: vec![path(".car")], ..plan(Operation::Rekey) });
    let source = event(7, &json!({"car": 4, "b": 1.5}));
    task.run(std::slice::from_ref(&source));
    let output = &task.outputs[0];
    assert_eq!((&output.key[..], output.time), (&b"4"[..], 7));
    assert_eq!(common::json(output), json!({"car": 4, "b": 1.5}));
    assert_eq!(output.id, EventId::of_output("p", 0, b"4", 7, source.id, 0));
}
