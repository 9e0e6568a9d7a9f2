//! A task that is cut between two event times and goes on elsewhere from its committed state
//! gives what an undisturbed one gives.

#![allow(clippy::unwrap_used, reason = "test code outside of test functions")]

mod common;

use std::time::Duration;

use common::Committed;
use common::Task;
use common::content;
use common::fences;
use common::keyed;
use common::laps;
use common::motion;
use common::path;
use common::rank;
use millrace_core::Event;
use millrace_plan::model::AlertSettings;
use millrace_plan::model::DedupeSettings;
use millrace_plan::model::EnrichSettings;
use millrace_plan::model::GeofenceSettings;
use millrace_plan::model::LapRule;
use millrace_plan::model::LapsSettings;
use millrace_plan::model::Missing;
use millrace_plan::model::MotionSettings;
use millrace_plan::model::Operation;
use millrace_plan::model::RankSettings;
use millrace_plan::program::Place;
use millrace_plan::program::Program;
use millrace_processors::RestoreError;
use millrace_processors::build;
use proptest::prelude::*;
use serde_json::json;

/// Events of two races and five cars, some of whose names are texts, with times that repeat, jumps
/// that are too fast, and distances that mostly grow.
fn events() -> impl Strategy<Value = Vec<Event>> {
    let one = (0..3_i64, 0..2_usize, 0..5_usize, 0.0..0.004_f64, 0..20_u8);
    prop::collection::vec(one, 1..120).prop_map(|parts| {
        let mut time = 0;
        let mut totals = [[0.0; 5]; 2];
        let mut events: Vec<Event> = parts
            .into_iter()
            .map(|(later, race, car, step, jump)| {
                time += later * 500;
                let total = &mut totals[race][car];
                *total += step;
                let lat = if jump == 0 { 10.0 } else { *total };
                let name = if car < 3 { json!(car) } else { json!(format!("car {car}")) };
                let event = keyed(
                    ["a", "b"][race],
                    time,
                    &json!({
                        "race": race, "carIndex": name, "totalDistance": *total * 100_000.0,
                        "location": {"lat": lat, "long": (lat * 1e5).sin() / 1e4},
                    }),
                );
                Event { stream: if car < 3 { "cars" } else { "values" }.into(), ..event }
            })
            .collect();
        events.sort_by(|a, b| (a.time, &a.key, a.id).cmp(&(b.time, &b.key, b.id)));
        events
    })
}

fn operations() -> Vec<Operation> {
    let dedupe = |by: Option<&str>, max_keys| {
        let within = Duration::from_secs(4);
        Operation::Dedupe(DedupeSettings { by: by.map(path), within, max_keys })
    };
    vec![
        Operation::Geofence(GeofenceSettings { max_entities: 6, ..fences() }),
        dedupe(Some(".carIndex"), 100),
        dedupe(Some(".carIndex"), 3),
        dedupe(None, 5),
        Operation::Enrich(EnrichSettings {
            with: "values".to_owned(),
            field: "value".to_owned(),
            missing: Missing::DeadLetter,
            max_age: Some(Duration::from_secs(2)),
            max_keys: 1,
        }),
        Operation::Alert(AlertSettings {
            when: Program::compile(".location.long > 0.0 ?? false", Place::Pipeline).unwrap(),
            by: vec![path(".carIndex")],
            hold: Duration::from_secs(1),
            until: Duration::from_millis(500),
            max_entities: 3,
        }),
        Operation::Motion(MotionSettings { max_speed: Some(1500.0), ..motion() }),
        Operation::Motion(MotionSettings { max_entities: 4, ..motion() }),
        Operation::Rank(RankSettings { max_entities: 4, ..rank(Duration::from_secs(1)) }),
        Operation::Laps(laps(150.0, Duration::from_millis(700))),
        Operation::Laps(LapsSettings {
            by: LapRule::Gate {
                points: [(0.001, 0.001), (0.001, -0.001)],
                latitude: path(".location.lat"),
                longitude: path(".location.long"),
                total_distance: path(".totalDistance"),
            },
            ..laps(1.0, Duration::ZERO)
        }),
    ]
}

fn reasons(task: &Task) -> Vec<(Vec<u8>, String)> {
    task.refusals.iter().map(|(e, reason)| (e.id.as_bytes().to_vec(), reason.clone())).collect()
}

proptest! {
    #[test]
    fn outputs_do_not_depend_on_where_a_task_was_cut(
        events in events(),
        cuts in prop::collection::vec(any::<bool>(), 120),
        commits in prop::collection::vec(any::<bool>(), 120),
    ) {
        for operation in operations() {
            let mut undisturbed = Task::new(operation.clone());
            undisturbed.run(&events);

            let mut state = Committed::new();
            let mut task = Task::new(operation);
            let (mut outputs, mut refused, mut counted) = (Vec::new(), Vec::new(), 0);
            let frames = events.chunk_by(|a, b| a.time == b.time);
            for ((frame, cut), commit) in frames.zip(&cuts).zip(&commits) {
                task.frame(frame);
                if *commit || *cut {
                    task.commit(&mut state);
                }
                if *cut {
                    outputs.extend(content(&task.outputs));
                    refused.extend(reasons(&task));
                    counted += task.counted.len();
                    task = task.restored(&state);
                }
            }
            outputs.extend(content(&task.outputs));
            refused.extend(reasons(&task));
            counted += task.counted.len();
            prop_assert_eq!(outputs, content(&undisturbed.outputs));
            prop_assert_eq!(refused, reasons(&undisturbed));
            prop_assert_eq!(counted, undisturbed.counted.len());
            prop_assert_eq!(task.state_entries(), undisturbed.state_entries());
        }
    }
}

#[test]
fn an_overtake_that_is_on_its_way_survives_a_restart() {
    let at = |time, car: i64, total: i64| {
        keyed("r", time, &json!({"race": "r", "carIndex": car, "totalDistance": total}))
    };
    let mut state = Committed::new();
    let mut task = Task::new(Operation::Rank(rank(Duration::from_secs(1))));
    task.run(&[at(0, 0, 2), at(0, 1, 1), at(100, 1, 3)]);
    task.commit(&mut state);
    let mut task = task.restored(&state);
    task.run(&[at(1099, 1, 4)]);
    assert!(task.outputs.is_empty());
    task.run(&[at(1100, 1, 5)]);
    assert_eq!(task.outputs.len(), 3);
}

#[test]
fn state_of_a_later_program_is_refused() {
    let mut state = Committed::new();
    let mut task = Task::new(Operation::Motion(motion()));
    task.run(&[common::fix(0, 1, 0.0, 0.0)]);
    task.commit(&mut state);
    let (key, mut value) = state.pop_first().unwrap();
    value[0] += 1;
    let plan = common::plan(Operation::Motion(motion()));
    assert!(matches!(
        build(&plan).restore(&key, &value),
        Err(RestoreError::Version { found: 2, supported: 1 })
    ));
}

#[test]
fn only_what_changed_is_handed_over() {
    let at = |time, car: i64, total: i64| {
        keyed("r", time, &json!({"race": "r", "carIndex": car, "totalDistance": total}))
    };
    let mut task = Task::new(Operation::Rank(rank(Duration::from_secs(1))));
    task.run(&[at(0, 0, 9), at(0, 1, 1)]);
    let mut first = Committed::new();
    task.commit(&mut first);
    assert_eq!(first.len(), 3);
    task.run(&[at(100, 1, 2)]);
    let mut second = Committed::new();
    task.commit(&mut second);
    assert_eq!(second.len(), 1);
}
