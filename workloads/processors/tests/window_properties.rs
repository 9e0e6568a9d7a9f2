//! Windows against straightforward code, over any number of tasks, with restarts at any place.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers fail as tests do")]

mod common;

use std::collections::BTreeMap;
use std::time::Duration;

use common::Task;
use common::content;
use common::keyed;
use common::path;
use common::plan;
use millrace_core::Event;
use millrace_plan::model::Aggregate;
use millrace_plan::model::AggregateKind;
use millrace_plan::model::Operation;
use millrace_plan::model::OperatorPlan;
use millrace_plan::model::WindowSettings;
use millrace_plan::model::WindowSpan;
use proptest::prelude::*;
use serde_json::Value;
use serde_json::json;

const BOUNDS: [f64; 4] = [-10.0, 0.0, 2.5, 10.0];

fn compute() -> Vec<Aggregate> {
    let of = || path(".v");
    [
        ("count", AggregateKind::Count),
        ("sum", AggregateKind::Sum(of())),
        ("min", AggregateKind::Min(of())),
        ("max", AggregateKind::Max(of())),
        ("mean", AggregateKind::Mean(of())),
        ("p50", AggregateKind::Quantile { of: of(), q: 0.5 }),
        ("p95", AggregateKind::Quantile { of: of(), q: 0.95 }),
        ("h", AggregateKind::Histogram { of: of(), bounds: BOUNDS.to_vec() }),
    ]
    .map(|(name, kind)| Aggregate { name: name.into(), kind })
    .into()
}

fn settings(span: WindowSpan, by: &[&str]) -> WindowSettings {
    let by = by.iter().map(|by| path(by)).collect();
    WindowSettings { span, by, compute: compute(), empty_windows: 3, max_groups: 100 }
}

/// Values are multiples of 1/1024, so that the expected sums are exact.
fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        3 => (-20..20_i64).prop_map(|integer| json!(integer)),
        3 => (-20_000..20_000_i32).prop_map(|part| json!(f64::from(part) / 1024.0)),
        1 => Just(Value::Null),
    ]
}

/// Events of devices with versions, in order, with gaps now and then.
fn events() -> impl Strategy<Value = Vec<Event>> {
    let later = prop_oneof![8 => 0..4_i64, 3 => 4..40_i64, 1 => 40..400_i64];
    let one = (later, 0..8_usize, 0..4_usize, value());
    (-100..100_i64, prop::collection::vec(one, 0..80)).prop_map(|(start, parts)| {
        let versions = [json!("a"), json!("1"), json!(1), json!(-7)];
        let mut time = start;
        let mut events: Vec<Event> = parts
            .into_iter()
            .enumerate()
            .map(|(number, (later, device, version, value))| {
                time += later;
                let value = json!({"n": number, "g": versions[version], "v": value});
                keyed(&format!("d{device}"), time, &value)
            })
            .collect();
        events.sort_by(|a, b| (a.time, &a.key, a.id).cmp(&(b.time, &b.key, b.id)));
        events
    })
}

/// A number of an event and whether it is a double.
type Number = (f64, Value);

fn numbers(events: &[&Event]) -> Vec<Number> {
    let mut numbers: Vec<Number> = events
        .iter()
        .map(|event| common::json(event)["v"].clone())
        .filter_map(|value| Some((value.as_f64()?, value)))
        .collect();
    // Of equal numbers the integer comes first.
    numbers.sort_by(|(a, first), (b, second)| {
        a.partial_cmp(b).unwrap().then(first.is_f64().cmp(&second.is_f64()))
    });
    numbers
}

/// What a report says of some events but for quantiles, and what those are near to.
fn expected(events: &[&Event]) -> (Value, [Option<f64>; 2]) {
    let numbers = numbers(events);
    let mut histogram: BTreeMap<&str, i64> = BTreeMap::new();
    for (number, _) in &numbers {
        let division = match number {
            -10.0..0.0 => "-10",
            0.0..2.5 => "0",
            2.5..=10.0 => "2.5",
            _ => continue,
        };
        *histogram.entry(division).or_default() += 1;
    }
    let sum: f64 = numbers.iter().map(|(number, _)| number).sum();
    #[expect(clippy::cast_precision_loss)]
    let count = numbers.len() as f64;
    let whole = numbers.iter().all(|(_, value)| value.is_i64());
    #[expect(clippy::cast_possible_truncation)]
    let sum_value = if whole { json!(sum as i64) } else { json!(sum) };
    let some = |value: Value| if numbers.is_empty() { Value::Null } else { value };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let rank = |q: f64| ((q * count).ceil() as usize).saturating_sub(1);
    let quantile = |q: f64| numbers.get(rank(q)).map(|(number, _)| *number);
    let value = json!({
        "count": events.len(),
        "sum": some(sum_value),
        "mean": some(json!(sum / count)),
        "min": numbers.first().map(|(_, value)| value),
        "max": numbers.last().map(|(_, value)| value),
        "h": histogram,
    });
    (value, [quantile(0.5), quantile(0.95)])
}

/// Takes the quantiles out of a report, once they have been found near.
fn without_quantiles(mut report: Value, near: [Option<f64>; 2]) -> Value {
    for (name, near) in ["p50", "p95"].into_iter().zip(near) {
        let found = report.as_object_mut().unwrap().remove(name).unwrap().as_f64();
        assert_eq!(found.is_some(), near.is_some(), "{name}");
        if let Some((found, near)) = found.zip(near) {
            assert!((found - near).abs() <= 0.01 * near.abs(), "{name}: {found} for {near}");
        }
    }
    report
}

/// The events of each window that has some, by its end.
fn windows(events: &[&Event], size: i64, every: i64, offset: i64) -> BTreeMap<i64, Vec<Event>> {
    let mut windows: BTreeMap<i64, Vec<Event>> = BTreeMap::new();
    for event in events {
        let mut end = (event.time - offset).div_euclid(every) * every + every + offset;
        let last = end - every + size;
        while end <= last {
            windows.entry(end).or_default().push((*event).clone());
            end += every;
        }
    }
    windows
}

/// Windows with those between two that are told of though they have no events: three at most.
fn with_empty(windows: BTreeMap<i64, Vec<Event>>, every: i64) -> BTreeMap<i64, Vec<Event>> {
    let ends: Vec<i64> = windows.keys().copied().collect();
    let mut all = windows;
    for pair in ends.windows(2) {
        for number in 1..=3 {
            let end = pair[0] + number * every;
            if end < pair[1] {
                all.insert(end, Vec::new());
            }
        }
    }
    all
}

fn grouped(events: &[Event], by: impl Fn(&Event) -> Value) -> Vec<(Value, Vec<&Event>)> {
    let mut groups: BTreeMap<String, (Value, Vec<&Event>)> = BTreeMap::new();
    for event in events {
        let group = by(event);
        groups.entry(group.to_string()).or_insert((group, Vec::new())).1.push(event);
    }
    groups.into_values().collect()
}

fn merged(parts: [&Value; 2]) -> Value {
    let fields = parts.iter().flat_map(|part| part.as_object().unwrap().clone());
    Value::Object(fields.collect())
}

/// By (key, end) what each report must say.
type Reports = BTreeMap<(Vec<u8>, i64), (Value, [Option<f64>; 2])>;

fn check(outputs: &[Event], mut expected: Reports) {
    for output in outputs {
        let report = common::json(output);
        let key = (output.key.to_vec(), report["timestamp"].as_i64().unwrap());
        let (value, near) = expected.remove(&key).unwrap_or_else(|| panic!("{key:?}: {report}"));
        assert_eq!(without_quantiles(report, near), value);
    }
    assert!(expected.is_empty(), "{expected:?}");
}

fn span(size: i64, every: i64, offset: i64) -> WindowSpan {
    WindowSpan::Aligned { size, every, offset }
}

fn spans() -> [(i64, i64, i64); 3] {
    [(10, 10, 0), (30, 10, 3), (7, 1, 0)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn windows_say_what_straightforward_code_says(
        events in events(),
        cuts in prop::collection::vec(any::<bool>(), 30),
    ) {
        for (size, every, offset) in spans() {
            let mut reports = Reports::new();
            for (key, of_key) in grouped(&events, |event| json!(event.key.to_vec())) {
                let key: Vec<u8> = serde_json::from_value(key).unwrap();
                let windows = windows(&of_key, size, every, offset);
                for (end, events) in with_empty(windows, every) {
                    let (value, near) = expected(&events.iter().collect::<Vec<_>>());
                    let window = json!({"timestamp": end, "start": end - size});
                    reports.insert((key.clone(), end), (merged([&window, &value]), near));
                }
            }
            let operation = Operation::Window(settings(span(size, every, offset), &[]));
            let undisturbed = Task::new(operation.clone()).drive(&events, || false);
            check(&undisturbed.outputs, reports);
            prop_assert!(undisturbed.refusals.is_empty());
            let mut cuts = cuts.iter().cycle();
            let cut = Task::new(operation).drive(&events, || *cuts.next().unwrap());
            prop_assert_eq!(content(&cut.outputs), content(&undisturbed.outputs));
            prop_assert_eq!(&cut.counted, &undisturbed.counted);
        }
    }

    #[test]
    fn which_groups_make_room_does_not_depend_on_restarts(
        events in events(),
        cuts in prop::collection::vec(any::<bool>(), 30),
        max_groups in 1..6_usize,
        empty_windows in 0..3_usize,
    ) {
        for (size, every, offset) in spans() {
            let settings = WindowSettings {
                max_groups,
                empty_windows,
                ..settings(span(size, every, offset), &[".g"])
            };
            let operation = Operation::Window(settings);
            let undisturbed = Task::new(operation.clone()).drive(&events, || false);
            let mut cuts = cuts.iter().cycle();
            let cut = Task::new(operation).drive(&events, || *cuts.next().unwrap());
            prop_assert_eq!(content(&cut.outputs), content(&undisturbed.outputs));
            prop_assert_eq!(&cut.counted, &undisturbed.counted);
            let refused = |task: &Task| task.refusals.iter().map(|(e, _)| e.id).collect::<Vec<_>>();
            prop_assert_eq!(refused(&cut), refused(&undisturbed));
        }
    }

    #[test]
    fn sessions_say_what_straightforward_code_says(
        events in events(),
        cuts in prop::collection::vec(any::<bool>(), 30),
    ) {
        let mut reports = Reports::new();
        for (key, of_key) in grouped(&events, |event| json!(event.key.to_vec())) {
            let key: Vec<u8> = serde_json::from_value(key).unwrap();
            let mut rest = &of_key[..];
            while let Some(first) = rest.first() {
                let start = first.time;
                let mut end = start + 20;
                let mut events = 0;
                while rest.get(events).is_some_and(|event| event.time < end) {
                    end = (rest[events].time + 20).min(start + 50);
                    events += 1;
                }
                let (value, near) = expected(&rest[..events]);
                let window = json!({"timestamp": end, "start": start});
                reports.insert((key.clone(), end), (merged([&window, &value]), near));
                rest = &rest[events..];
            }
        }
        let session = WindowSpan::Session {
            gap: Duration::from_millis(20),
            longest: Duration::from_millis(50),
        };
        let operation = Operation::Window(settings(session, &[]));
        let undisturbed = Task::new(operation.clone()).drive(&events, || false);
        check(&undisturbed.outputs, reports);
        let mut cuts = cuts.iter().cycle();
        let cut = Task::new(operation).drive(&events, || *cuts.next().unwrap());
        prop_assert_eq!(content(&cut.outputs), content(&undisturbed.outputs));
    }

    #[test]
    fn a_report_of_all_groups_is_the_same_over_any_number_of_tasks(
        events in events(),
        cuts in prop::collection::vec(any::<bool>(), 30),
    ) {
        for (size, every, offset) in spans() {
            let settings = settings(span(size, every, offset), &[".g"]);
            let mut first = None;
            for tasks in [1, 4, 16] {
                let mut cuts = cuts.iter().cycle();
                let outputs = combined(&settings, &events, tasks, || *cuts.next().unwrap());
                let undisturbed = combined(&settings, &events, tasks, || false);
                prop_assert_eq!(content(&outputs), content(&undisturbed));
                let first = first.get_or_insert_with(|| undisturbed.clone());
                prop_assert_eq!(content(&undisturbed), content(first));
            }
            check_combined(&first.unwrap(), &events, (size, every, offset));
        }
    }
}

/// The reports of all groups, with the events spread over so many tasks.
fn combined(
    settings: &WindowSettings,
    events: &[Event],
    tasks: usize,
    mut cut: impl FnMut() -> bool,
) -> Vec<Event> {
    let mut parts: Vec<Event> = Vec::new();
    for number in 0..tasks {
        let device = |event: &Event| usize::from(event.key[1] - b'0') % tasks;
        let own: Vec<_> = events.iter().filter(|e| device(e) == number).cloned().collect();
        let partial = OperatorPlan {
            key: vec![path(".window")],
            ..plan(Operation::WindowPartial(settings.clone()))
        };
        let task = Task::of(partial).drive(&own, &mut cut);
        assert_eq!(task.reasons(), [""; 0]);
        parts.extend(task.outputs);
    }
    parts.sort_by(|a, b| (a.time, &a.key, a.id).cmp(&(b.time, &b.key, b.id)));
    parts.dedup_by(|a, b| a.id == b.id);
    let combine = Operation::WindowCombine { window: settings.clone(), field: "all".into() };
    let task = Task::new(combine).drive(&parts, &mut cut);
    assert_eq!(task.reasons(), [""; 0]);
    task.outputs
}

fn check_combined(outputs: &[Event], events: &[Event], (size, every, offset): (i64, i64, i64)) {
    let all: Vec<&Event> = events.iter().collect();
    let mut expected_windows = with_empty(windows(&all, size, every, offset), every).into_iter();
    for output in outputs {
        let report = common::json(output);
        let (end, events) = expected_windows.next().unwrap();
        assert_eq!(
            (report["timestamp"].as_i64(), report["start"].as_i64()),
            (Some(end), Some(end - size))
        );
        let mut groups = grouped(&events, |event| common::json(event)["g"].clone());
        // Integers come before texts, both ascending.
        groups.sort_by_key(|(g, _)| (g.as_i64().is_none(), g.as_i64(), g.to_string()));
        let found = report["all"].as_array().unwrap();
        assert_eq!(found.len(), groups.len());
        for (found, (group, events)) in found.iter().zip(groups) {
            let (value, near) = expected(&events);
            let value = merged([&json!({"g": group}), &value]);
            assert_eq!(without_quantiles(found.clone(), near), value);
        }
    }
    assert!(expected_windows.next().is_none());
}
