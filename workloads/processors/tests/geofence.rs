//! `geofence` from the outside.

mod common;

use common::Committed;
use common::Task;
use common::fences;
use common::fix;
use common::path;
use millrace_plan::model::GeofenceSettings;
use millrace_plan::model::Operation;
use serde_json::json;

fn task(settings: GeofenceSettings) -> Task {
    Task::new(Operation::Geofence(settings))
}

fn told(task: &Task) -> Vec<(i64, String)> {
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let one = |value: &serde_json::Value| {
        let fence = format!("{} {}", text(&value["kind"]), text(&value["fence"]));
        (value["timestamp"].as_i64().unwrap_or_default(), fence)
    };
    task.values().iter().map(one).collect()
}

#[test]
fn an_entity_enters_is_inside_and_leaves_fences_that_overlap() {
    let mut task = task(fences());
    task.run(&[
        fix(0, 1, 5.0, 5.0),
        fix(1, 1, 0.5, 0.5),
        fix(2, 1, 0.5, 1.5),
        fix(3, 1, 0.5, 2.5),
        fix(4, 1, 0.0, 10.0),
        fix(5, 1, 5.0, 5.0),
    ]);
    let expected = [
        (1, "enter west"),
        (2, "inside west"),
        (2, "enter east"),
        (3, "leave west"),
        (3, "inside east"),
        (4, "leave east"),
        (4, "enter circle"),
        (5, "leave circle"),
    ];
    assert_eq!(told(&task), expected.map(|(time, told)| (time, told.to_owned())));
    assert_eq!(task.state_entries(), 0);
}

#[test]
fn an_output_is_the_event_with_what_happened() {
    let mut task = task(fences());
    task.run(&[fix(7, 3, 0.5, 0.5)]);
    assert_eq!(
        task.values(),
        [json!({
            "timestamp": 7, "race": "race", "carIndex": 3, "location": {"lat": 0.5, "long": 0.5},
            "kind": "enter", "fence": "west", "entity": 3,
        })]
    );
}

#[test]
fn only_what_is_asked_for_is_emitted() {
    let mut task = task(GeofenceSettings { enter: false, inside: false, ..fences() });
    task.run(&[fix(0, 1, 0.5, 0.5), fix(1, 1, 0.5, 0.5), fix(2, 1, 5.0, 5.0)]);
    assert_eq!(told(&task), [(2, "leave west".to_owned())]);
}

#[test]
fn the_edge_of_a_circle_is_inside() {
    // The circle's radius is the distance of a hundredth of a degree on the equator.
    let mut task = task(fences());
    task.run(&[fix(0, 1, 0.0, 10.01), fix(1, 1, 0.0, 10.010_001), fix(2, 1, 0.0, 9.99)]);
    let expected = [(0, "enter circle"), (1, "leave circle"), (2, "enter circle")];
    assert_eq!(told(&task), expected.map(|(time, told)| (time, told.to_owned())));
}

#[test]
fn positions_out_of_range_and_further_entities_are_refused() {
    let mut task = task(GeofenceSettings { max_entities: 1, ..fences() });
    task.run(&[
        fix(0, 1, 90.5, 0.0),
        fix(1, 1, 0.5, 0.5),
        fix(2, 2, 0.5, 0.5),
        fix(3, 2, 5.0, 5.0),
    ]);
    assert_eq!(
        task.reasons(),
        [
            "the latitude `.location.lat` is 90.5, outside of -90 to 90 degrees",
            "there are already 1 entities, as many as `maxEntities` allows",
        ]
    );
}

#[test]
fn a_missing_entity_is_refused_by_its_name() {
    let mut task = task(GeofenceSettings { entity: path(".board"), ..fences() });
    task.run(&[fix(0, 1, 0.5, 0.5)]);
    assert_eq!(task.reasons(), ["the field `.board` is missing or null"]);
}

#[test]
fn who_stays_where_it_is_changes_no_state() {
    let mut task = task(fences());
    task.run(&[fix(0, 1, 0.5, 0.5), fix(0, 2, 0.5, 0.5)]);
    let mut first = Committed::new();
    task.commit(&mut first);
    assert_eq!(first.len(), 2);
    task.run(&[fix(1, 1, 0.6, 0.5), fix(1, 2, 5.0, 5.0)]);
    let mut second = first.clone();
    task.commit(&mut second);
    assert_eq!(second.len(), 1);
}
