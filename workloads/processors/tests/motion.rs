//! `motion` from the outside: golden numbers, duplicates, refusals.

#![allow(clippy::unreadable_literal, reason = "coordinates are written as they come in")]

mod common;

use common::Task;
use common::captured_lap;
use common::close;
use common::event;
use common::fix;
use common::json;
use common::motion;
use millrace_plan::model::DistanceModel;
use millrace_plan::model::MotionSettings;
use millrace_plan::model::Operation;
use millrace_processors::Counted;
use serde_json::json;

fn task(change: impl FnOnce(&mut MotionSettings)) -> Task {
    let mut settings = motion();
    change(&mut settings);
    Task::new(Operation::Motion(settings))
}

#[test]
fn golden_steps_have_their_distances_and_speeds() {
    type Golden = (i64, (f64, f64), (f64, f64), f64, f64);
    let golden: [Golden; 4] = [
        (
            205,
            (52.06885015666453, -1.0227506693058277),
            (52.06899250777391, -1.022576453662667),
            19.807893748846,
            216.141445834,
        ),
        (
            201,
            (52.06786406260594, -1.0239574561135762),
            (52.06792886633373, -1.0238781510887842),
            9.0172018103,
            100.352766081,
        ),
        (
            201,
            (52.068903120291246, -1.0226858502212455),
            (52.06905479305401, -1.0225002257078422),
            21.1050000008,
            234.878310675,
        ),
        (
            201,
            (52.07640151591944, -1.0184079172947025),
            (52.07649426484038, -1.0185149430328098),
            12.6436230075,
            140.711339147,
        ),
    ];
    for (elapsed, from, to, metres, mph) in golden {
        let mut task = task(|_| {});
        task.run(&[fix(1000, 2, from.0, from.1), fix(1000 + elapsed, 2, to.0, to.1)]);
        let step = json(&task.outputs[1]);
        close(step["distance"].as_f64().unwrap(), metres);
        close(step["speed"].as_f64().unwrap(), mph);
        assert_eq!(step["elapsed"], elapsed);
        assert_eq!(step["totalDistance"], step["distance"]);
    }
}

#[test]
fn a_hundredth_of_a_degree_in_an_hour_is_slower_on_the_ellipsoid() {
    for (distance, mph) in [
        (DistanceModel::Haversine, 0.690_933_241_399),
        (DistanceModel::Wgs84, 0.687_076_696_050_494_2),
    ] {
        let mut task = task(|settings| settings.distance = distance);
        task.run(&[fix(0, 1, 0.0, 0.0), fix(3_600_000, 1, 0.01, 0.0)]);
        close(json(&task.outputs[1])["speed"].as_f64().unwrap(), mph);
    }
}

#[test]
fn the_captured_lap_has_its_length_and_its_steps() {
    let lap = captured_lap();
    assert_eq!(lap.len(), 455);
    let closed = lap.iter().chain([&lap[0]]);
    let events: Vec<_> =
        (0..).zip(closed).map(|(i, (lat, long))| fix(200 * i, 0, *lat, *long)).collect();
    let mut task = task(|_| {});
    task.run(&events);
    let values = task.values();
    let total = |i: usize| values[i]["totalDistance"].as_f64().unwrap();
    let mut steps: Vec<f64> =
        values[1..456].iter().map(|value| value["distance"].as_f64().unwrap()).collect();
    steps.sort_by(f64::total_cmp);
    let thousandths = |metres: f64| format!("{metres:.3}");
    assert_eq!(thousandths(total(454)), "5100.713");
    assert_eq!(thousandths(total(455)), "5113.273");
    assert_eq!(thousandths(steps[0]), "2.309");
    assert_eq!(thousandths(steps[454]), "21.105");
    assert_eq!(thousandths(steps[227]), "9.805");
}

/// The lengths were computed by geographiclib-rs.
#[test]
fn the_captured_lap_has_its_length_on_the_ellipsoid() {
    let lap = captured_lap();
    let closed = lap.iter().chain([&lap[0]]);
    let events: Vec<_> =
        (0..).zip(closed).map(|(i, (lat, long))| fix(200 * i, 0, *lat, *long)).collect();
    let mut task = task(|settings| settings.distance = DistanceModel::Wgs84);
    task.run(&events);
    let values = task.values();
    for (i, metres) in [(1, 2.312404894275999), (454, 5108.979685528523), (455, 5121.557637936545)]
    {
        close(values[i]["totalDistance"].as_f64().unwrap(), metres);
    }
}

#[test]
fn the_event_keeps_its_fields_and_gets_those_of_its_motion() {
    let mut task = task(|_| {});
    task.run(&[fix(1000, 2, 51.349937311969725, -0.544958142167281), fix(2000, 2, 51.35, -0.54)]);
    assert_eq!(
        task.values()[0],
        json!({
            "timestamp": 1000, "race": "race", "carIndex": 2,
            "location": {"lat": 51.349937311969725, "long": -0.544958142167281},
            "distance": null, "speed": null, "heading": null, "elapsed": null,
            "totalDistance": 0.0,
        })
    );
    assert_eq!(task.outputs[1].time, 2000);
    assert_eq!(&task.outputs[1].key[..], b"race");
    assert_eq!(&*task.outputs[1].stream, "p");
}

#[test]
fn who_does_not_move_has_no_heading_and_no_speed() {
    let mut task = task(|_| {});
    task.run(&[fix(0, 2, 1.0, 1.0), fix(100, 2, 1.0, 1.0)]);
    let value = &task.values()[1];
    assert_eq!((&value["heading"], &value["speed"]), (&json!(null), &json!(0.0)));
}

#[test]
fn the_same_or_an_earlier_time_is_counted_and_changes_nothing() {
    let mut task = task(|_| {});
    task.run(&[fix(1000, 2, 0.0, 0.0), fix(1000, 2, 5.0, 5.0)]);
    task.run(&[fix(500, 2, 5.0, 5.0), fix(2000, 2, 0.001, 0.0)]);
    assert_eq!(task.counted, [Counted::Duplicate, Counted::Duplicate]);
    assert_eq!(task.outputs.len(), 2);
    assert_eq!(task.values()[1]["elapsed"], 1000);
    assert!(task.values()[1]["distance"].as_f64().unwrap() < 112.0);
}

#[test]
fn what_is_no_position_is_refused_with_the_reason() {
    let mut task = task(|_| {});
    let at = |lat: serde_json::Value, long: serde_json::Value| {
        event(0, &json!({"carIndex": 1, "location": {"lat": lat, "long": long}}))
    };
    task.run(&[
        at(json!(91), json!(0)),
        at(json!(0), json!(-180.5)),
        at(json!("52"), json!(0)),
        at(json!(null), json!(0)),
        event(0, &json!({"carIndex": 1})),
        event(0, &json!({"location": {"lat": 0, "long": 0}})),
        event(0, &json!({"carIndex": 1.5, "location": {"lat": 0, "long": 0}})),
        event(0, &json!([1])),
        at(json!(90), json!(-180)),
    ]);
    assert_eq!(
        task.reasons(),
        [
            "the latitude `.location.lat` is 91, outside of -90 to 90 degrees",
            "the longitude `.location.long` is -180.5, outside of -180 to 180 degrees",
            "the latitude `.location.lat` is not a number",
            "the latitude `.location.lat` is missing or null",
            "the latitude `.location.lat` is missing or null",
            "the field `.carIndex` is missing or null",
            "the field `.carIndex` is neither a string nor an integer",
            "the event is not an object, so nothing can be added to it",
        ]
    );
    assert_eq!(task.outputs.len(), 1);
}

/// A thousandth of a degree of latitude is 111 m: 249 mph in a second.
#[test]
fn a_step_above_the_greatest_speed_is_refused_and_forgotten() {
    let mut task = task(|settings| settings.max_speed = Some(250.0));
    task.run(&[fix(0, 1, 0.0, 0.0), fix(1000, 1, 1.0, 0.0), fix(2000, 1, 0.001, 0.0)]);
    assert_eq!(task.refusals.len(), 1);
    assert!(task.reasons()[0].ends_with("is above `maxSpeed` 250"), "{}", task.reasons()[0]);
    assert_eq!(task.values()[1]["elapsed"], 2000);
}

#[test]
fn after_five_rejections_that_agree_the_entity_is_where_they_say() {
    let mut task = task(|settings| settings.max_speed = Some(250.0));
    let mut events = vec![fix(0, 1, 0.0, 0.0), fix(1000, 1, 0.001, 0.0)];
    events.extend((2..=7).map(|i| fix(1000 * i64::from(i), 1, 10.0 + 0.0005 * f64::from(i), 0.0)));
    task.run(&events);
    assert_eq!(task.refusals.len(), 5);
    let values = task.values();
    assert_eq!(values.len(), 3);
    // The sixth is a step from the fifth, and the jump is in no total.
    assert_eq!(values[2]["elapsed"], 1000);
    close(values[2]["distance"].as_f64().unwrap(), 55.597_463_322_276_44);
    close(values[2]["totalDistance"].as_f64().unwrap(), 111.194_926_644_558_74 * 1.5);
}

#[test]
fn rejections_that_disagree_or_are_interrupted_do_not_add_up() {
    let mut task = task(|settings| settings.max_speed = Some(250.0));
    let mut events = vec![fix(0, 1, 0.0, 0.0)];
    events.extend((1..=4).map(|i| fix(1000 * i, 1, 10.0, 0.0)));
    events.push(fix(5000, 1, 0.0, 0.0));
    events.extend((6..=9).map(|i| fix(1000 * i, 1, 10.0, 0.0)));
    events.extend((10..=13).map(|i| fix(1000 * i, 1, 20.0, 0.0)));
    task.run(&events);
    assert_eq!((task.outputs.len(), task.refusals.len()), (2, 12));
}

#[test]
fn an_integer_and_a_text_of_the_same_digits_are_two_entities() {
    let mut task = task(|_| {});
    let at = |car: serde_json::Value| {
        event(0, &json!({"carIndex": car, "location": {"lat": 0, "long": 0}}))
    };
    task.run(&[at(json!(1)), at(json!("1"))]);
    assert_eq!(task.outputs.len(), 2);
    assert_eq!(task.values()[1]["carIndex"], "1");
}

#[test]
fn entities_beyond_the_limit_are_refused_and_state_stays_bounded() {
    let mut task = task(|settings| settings.max_entities = 1000);
    let events: Vec<_> = (0..10_000).map(|car| fix(0, car, 0.0, 0.0)).collect();
    task.run(&events);
    assert_eq!((task.outputs.len(), task.refusals.len()), (1000, 9000));
    assert_eq!(task.state_entries(), 1000);
    assert_eq!(
        task.reasons()[0],
        "there are already 1000 entities, as many as `maxEntities` allows"
    );
}
