//! `enrich` from the outside.

mod common;

use std::time::Duration;

use common::Committed;
use common::Task;
use common::keyed;
use millrace_core::Event;
use millrace_plan::model::EnrichSettings;
use millrace_plan::model::Missing;
use millrace_plan::model::Operation;
use millrace_processors::Counted;
use serde_json::json;

fn settings(missing: Missing) -> EnrichSettings {
    EnrichSettings {
        with: "owners".to_owned(),
        field: "owner".to_owned(),
        missing,
        max_age: Some(Duration::from_secs(10)),
        max_keys: 2,
    }
}

fn enrich(missing: Missing) -> Task {
    Task::new(Operation::Enrich(settings(missing)))
}

fn value(key: &str, time: i64, name: &str) -> Event {
    Event { stream: "owners".into(), ..keyed(key, time, &json!({"name": name})) }
}

fn ride(key: &str, time: i64) -> Event {
    keyed(key, time, &json!({"at": time}))
}

#[test]
fn an_event_takes_the_value_of_its_key_as_of_its_time() {
    let mut task = enrich(Missing::Null);
    task.run(&[
        value("a", 1000, "ann"),
        ride("a", 1500),
        value("a", 2000, "bob"),
        ride("a", 2500),
        ride("b", 2600),
    ]);
    assert_eq!(
        task.values(),
        [
            json!({"at": 1500, "owner": {"name": "ann"}}),
            json!({"at": 2500, "owner": {"name": "bob"}}),
            json!({"at": 2600, "owner": null}),
        ]
    );
    assert_eq!(task.outputs[0].time, 1500);
}

#[test]
fn at_equal_times_the_value_comes_first_even_after_the_event() {
    let mut task = enrich(Missing::Null);
    task.run(&[ride("a", 1000), value("a", 1000, "ann"), value("a", 1000, "bob")]);
    assert_eq!(task.values(), [json!({"at": 1000, "owner": {"name": "bob"}})]);
}

#[test]
fn a_value_counts_up_to_its_greatest_age() {
    let mut task = enrich(Missing::Null);
    task.run(&[value("a", 0, "ann"), ride("a", 10_000), ride("a", 10_001)]);
    assert_eq!(
        task.values(),
        [json!({"at": 10_000, "owner": {"name": "ann"}}), json!({"at": 10_001, "owner": null})]
    );
}

#[test]
fn an_event_without_a_value_is_dropped_or_refused_as_declared() {
    let mut task = enrich(Missing::Drop);
    task.run(&[ride("a", 0)]);
    assert_eq!((task.outputs.len(), &task.counted[..]), (0, &[Counted::Filtered][..]));
    let mut task = enrich(Missing::DeadLetter);
    task.run(&[ride("a", 0)]);
    assert_eq!(task.reasons(), ["`owners` has no value for the key at this time"]);
    assert!(task.outputs.is_empty());
}

#[test]
fn values_of_further_keys_and_events_that_take_no_field_are_refused() {
    let mut task = enrich(Missing::Null);
    task.run(&[
        value("a", 0, "ann"),
        value("b", 0, "bob"),
        value("c", 0, "cid"),
        value("a", 0, "abe"),
        keyed("a", 0, &json!([1])),
    ]);
    assert_eq!(
        task.reasons(),
        [
            "there are already values of 2 keys, as many as `maxKeys` allows",
            "the event is not an object, so nothing can be added to it",
        ]
    );
    assert_eq!(task.state_entries(), 2);
}

#[test]
fn values_that_are_too_old_for_any_event_make_room_for_further_keys() {
    let mut task = enrich(Missing::Null);
    let mut state = Committed::new();
    task.run(&[value("a", 0, "ann"), value("b", 0, "bob"), value("a", 5000, "abe")]);
    task.commit(&mut state);
    task.run(&[value("c", 10_000, "cid")]);
    assert_eq!(task.reasons(), ["there are already values of 2 keys, as many as `maxKeys` allows"]);
    task.commit(&mut state);
    let mut task = task.restored(&state);
    task.run(&[value("c", 10_001, "cid"), ride("a", 15_000), ride("b", 15_000)]);
    assert_eq!((task.reasons().len(), task.state_entries()), (0, 2));
    task.commit(&mut state);
    let mut again = task.restored(&state);
    again.run(&[value("d", 15_001, "dan"), ride("c", 15_001)]);
    assert_eq!((again.reasons().len(), again.state_entries()), (0, 2));
    assert_eq!(
        task.values(),
        [json!({"at": 15_000, "owner": {"name": "abe"}}), json!({"at": 15_000, "owner": null})]
    );
    assert_eq!(again.values(), [json!({"at": 15_001, "owner": {"name": "cid"}})]);
}
