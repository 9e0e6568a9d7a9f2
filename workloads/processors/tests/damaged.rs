//! State that is damaged is refused or does no harm: whatever bytes an operator is given to start
//! from, it never panics, neither at once nor with the events that follow.

#![allow(clippy::unwrap_used, reason = "test code outside of test functions")]

mod common;

use std::time::Duration;

use common::Committed;
use common::Task;
use common::fences;
use common::keyed;
use common::laps;
use common::motion;
use common::path;
use common::plan;
use common::rank;
use millrace_core::Event;
use millrace_plan::model::Aggregate;
use millrace_plan::model::AggregateKind;
use millrace_plan::model::AlertSettings;
use millrace_plan::model::DedupeSettings;
use millrace_plan::model::EnrichSettings;
use millrace_plan::model::LapRule;
use millrace_plan::model::LapsSettings;
use millrace_plan::model::Missing;
use millrace_plan::model::MotionSettings;
use millrace_plan::model::Operation;
use millrace_plan::model::WindowSettings;
use millrace_plan::model::WindowSpan;
use millrace_plan::program::Place;
use millrace_plan::program::Program;
use millrace_processors::RestoreError;
use millrace_processors::build;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::json;

fn operations() -> Vec<Operation> {
    let dedupe = |by: Option<&str>| {
        let within = Duration::from_secs(4);
        Operation::Dedupe(DedupeSettings { by: by.map(path), within, max_keys: 4 })
    };
    let enrich = |with: &str| {
        Operation::Enrich(EnrichSettings {
            with: with.to_owned(),
            field: "value".to_owned(),
            missing: Missing::DeadLetter,
            max_age: None,
            max_keys: 1,
        })
    };
    let window = |span: WindowSpan| {
        let of = || path(".totalDistance");
        let kinds = [
            AggregateKind::Count,
            AggregateKind::Mean(of()),
            AggregateKind::Min(of()),
            AggregateKind::Quantile { of: of(), q: 0.5 },
            AggregateKind::Histogram { of: of(), bounds: vec![0.0, 100.0, 1e6] },
        ];
        let named = |(number, kind)| Aggregate { name: format!("a{number}"), kind };
        WindowSettings {
            span,
            by: vec![path(".carIndex")],
            compute: kinds.into_iter().enumerate().map(named).collect(),
            empty_windows: 2,
            max_groups: 4,
        }
    };
    let hopping = window(WindowSpan::Aligned { size: 4000, every: 2000, offset: 0 });
    let session = window(WindowSpan::Session {
        gap: Duration::from_secs(2),
        longest: Duration::from_secs(5),
    });
    vec![
        Operation::Window(hopping.clone()),
        Operation::WindowPartial(hopping),
        Operation::Window(session),
        Operation::Geofence(fences()),
        dedupe(Some(".carIndex")),
        dedupe(None),
        enrich("coordinates"),
        enrich("values"),
        Operation::Alert(AlertSettings {
            when: Program::compile(".carIndex != 1", Place::Pipeline).unwrap(),
            by: vec![path(".carIndex")],
            hold: Duration::from_secs(3),
            until: Duration::ZERO,
            max_entities: 3,
        }),
        Operation::Motion(MotionSettings { max_speed: Some(250.0), ..motion() }),
        Operation::Rank(rank(Duration::from_secs(1))),
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

/// Three cars that go up a meridian, the last one fastest; the first one jumps away now and then.
fn events(times: std::ops::Range<i64>) -> Vec<Event> {
    let one = |time: i64, car: i64| {
        #[expect(clippy::cast_precision_loss)]
        let way = ((car + 3) * time) as f64;
        let lat = if car == 0 && time % 4 == 3 { 20.0 } else { way * 0.000_1 };
        keyed(
            "r",
            1000 * time,
            &json!({
                "race": "r", "carIndex": car, "totalDistance": way * 11.1,
                "location": {"lat": lat, "long": 0.0},
            }),
        )
    };
    times.flat_map(|time| (0..3).map(move |car| one(time, car))).collect()
}

/// What an operator has stored after some events.
fn stored(operation: &Operation) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut state = Committed::new();
    let mut task = Task::new(operation.clone());
    task.follow(&events(0..12));
    task.commit(&mut state);
    state.into_iter().collect()
}

/// Starts from these entries, and goes on with events if they are taken.
fn start(operation: &Operation, entries: &[(Vec<u8>, Vec<u8>)]) -> Result<(), RestoreError> {
    let mut operator = build(&plan(operation.clone()));
    for (key, value) in entries {
        operator.restore(key, value)?;
    }
    operator.finish_restore()?;
    let mut task = Task::with(plan(operation.clone()), operator);
    task.follow(&events(12..24));
    task.commit(&mut Committed::new());
    Ok(())
}

/// One thing that happens to stored bytes.
#[derive(Debug, Clone)]
enum Damage {
    /// A byte of a key becomes another.
    Key(Index, Index, u8),
    /// A byte of a value becomes another.
    Value(Index, Index, u8),
    /// An entry is lost.
    Lost(Index),
    /// Two entries have each other's value.
    Swapped(Index, Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    let index = any::<Index>;
    prop_oneof![
        (index(), index(), any::<u8>()).prop_map(|(e, b, to)| Damage::Key(e, b, to)),
        (index(), index(), any::<u8>()).prop_map(|(e, b, to)| Damage::Value(e, b, to)),
        index().prop_map(Damage::Lost),
        (index(), index()).prop_map(|(a, b)| Damage::Swapped(a, b)),
    ]
}

fn apply(entries: &mut Vec<(Vec<u8>, Vec<u8>)>, damage: &Damage) {
    let Some(last) = entries.len().checked_sub(1) else { return };
    match damage {
        Damage::Key(entry, byte, to) => *byte.get_mut(&mut entry.get_mut(entries).0) = *to,
        Damage::Value(entry, byte, to) => *byte.get_mut(&mut entry.get_mut(entries).1) = *to,
        Damage::Lost(entry) => {
            entries.remove(entry.index(last + 1));
        }
        Damage::Swapped(a, b) => {
            let (a, b) = (a.index(last + 1), b.index(last + 1));
            let value = entries[a].1.clone();
            entries[a].1 = std::mem::replace(&mut entries[b].1, value);
        }
    }
}

#[test]
fn undamaged_state_is_taken() {
    for operation in operations() {
        assert!(start(&operation, &stored(&operation)).is_ok());
    }
}

#[test]
fn an_entity_in_fences_that_are_not_there_is_refused() {
    let operation = Operation::Geofence(fences());
    let (key, value) = stored(&operation).remove(0);
    for fences in [&[3][..], &[1, 0], &[0, 0], &[]] {
        let mut damaged = vec![value[0], u8::try_from(fences.len()).unwrap()];
        damaged.extend_from_slice(fences);
        assert!(matches!(
            start(&operation, &[(key.clone(), damaged)]),
            Err(RestoreError::Inconsistent(_))
        ));
    }
}

#[test]
fn an_order_without_one_of_its_competitors_is_refused() {
    let operation = Operation::Rank(rank(Duration::from_secs(1)));
    let entries = stored(&operation);
    assert_eq!(entries.len(), 4);
    for lost in 0..4 {
        let mut entries = entries.clone();
        entries.remove(lost);
        assert!(
            matches!(start(&operation, &entries), Err(RestoreError::Inconsistent(_))),
            "{lost}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn damaged_state_never_panics(damages in prop::collection::vec(damage(), 1..4)) {
        for operation in operations() {
            let mut entries = stored(&operation);
            for damage in &damages {
                apply(&mut entries, damage);
            }
            let _ = start(&operation, &entries);
        }
    }

    #[test]
    fn arbitrary_state_never_panics(
        mut entries in prop::collection::vec(
            (prop::collection::vec(any::<u8>(), 0..12), prop::collection::vec(any::<u8>(), 0..40)),
            1..4,
        ),
    ) {
        for (key, value) in &mut entries {
            // Behind a kind and a version that exist, so that more is read than these.
            key.insert(0, value.first().map_or(0, |byte| byte % 3));
            value.insert(0, 1);
        }
        for operation in operations() {
            let _ = start(&operation, &entries);
        }
    }
}
