//! Windows: which there are, what they report and what they refuse.

#![allow(clippy::unwrap_used, reason = "helpers fail as tests do")]

mod common;

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
use millrace_processors::Counted;
use serde_json::Value;
use serde_json::json;

fn named(name: &str, kind: AggregateKind) -> Aggregate {
    Aggregate { name: name.into(), kind }
}

fn settings(size: i64, every: i64, compute: Vec<Aggregate>) -> WindowSettings {
    WindowSettings {
        span: WindowSpan::Aligned { size, every, offset: 0 },
        by: Vec::new(),
        compute,
        empty_windows: 360,
        max_groups: 100,
    }
}

fn count() -> Aggregate {
    named("count", AggregateKind::Count)
}

fn at(time: i64, value: &Value) -> Event {
    keyed("k", time, value)
}

fn never() -> bool {
    false
}

fn values(operation: Operation, events: &[Event]) -> Vec<Value> {
    let task = Task::new(operation).drive(events, never);
    assert_eq!(task.reasons(), [""; 0]);
    task.values()
}

#[test]
fn a_tumbling_window_is_reported_at_its_end() {
    let events = [at(0, &json!({})), at(999, &json!({})), at(1000, &json!({})), at(-1, &json!({}))];
    let mut events = events.to_vec();
    events.sort_by_key(|event| event.time);
    let task = Task::new(Operation::Window(settings(1000, 1000, vec![count()])));
    let task = task.drive(&events, never);
    assert_eq!(
        task.values(),
        [
            json!({"timestamp": 0, "start": -1000, "count": 1}),
            json!({"timestamp": 1000, "start": 0, "count": 2}),
            json!({"timestamp": 2000, "start": 1000, "count": 1}),
        ]
    );
    let times: Vec<_> = task.outputs.iter().map(|event| (event.time, event.ingest_time)).collect();
    assert_eq!(times, [(0, 6), (1000, 1006), (2000, 1007)]);
    assert!(task.outputs.iter().all(|event| event.key == "k"));
}

#[test]
fn a_hopping_window_has_the_events_of_all_its_panes() {
    let compute = vec![
        count(),
        named("low", AggregateKind::Min(path(".v"))),
        named("high", AggregateKind::Max(path(".v"))),
    ];
    let events = [at(0, &json!({"v": 5})), at(1500, &json!({"v": 7})), at(2000, &json!({"v": 6}))];
    let report = |end: i64, count: i64, low: i64, high: i64| json!({"timestamp": end, "start": end - 3000, "count": count, "low": low, "high": high});
    assert_eq!(
        values(Operation::Window(settings(3000, 1000, compute)), &events),
        [
            report(1000, 1, 5, 5),
            report(2000, 2, 5, 7),
            report(3000, 3, 5, 7),
            report(4000, 2, 6, 7),
            report(5000, 1, 6, 6),
        ]
    );
}

#[test]
fn windows_without_events_are_reported_between_two_with_some_up_to_a_number() {
    let compute = vec![
        count(),
        named("sum", AggregateKind::Sum(path(".v"))),
        named("mean", AggregateKind::Mean(path(".v"))),
        named("p50", AggregateKind::Quantile { of: path(".v"), q: 0.5 }),
        named("low", AggregateKind::Min(path(".v"))),
        named("h", AggregateKind::Histogram { of: path(".v"), bounds: vec![0.0, 1.0] }),
    ];
    let settings = WindowSettings { empty_windows: 2, ..settings(10, 10, compute) };
    let task = Task::new(Operation::Window(settings));
    let task = task.drive(&[at(5, &json!({"v": 1})), at(57, &json!({"v": 2}))], never);
    let empty = |end: i64| json!({"timestamp": end, "start": end - 10, "count": 0, "sum": null, "mean": null, "p50": null, "low": null, "h": {}});
    assert_eq!(task.values()[1..3], [empty(20), empty(30)]);
    assert_eq!(task.values().len(), 4);
    let times: Vec<_> = task.outputs.iter().map(|event| event.time).collect();
    assert_eq!(times, [10, 57, 57, 60]);
    assert_eq!(task.counted, [Counted::SkippedWindow; 2]);
}

#[test]
fn a_session_ends_after_its_gap_or_when_it_is_the_longest() {
    let session = WindowSettings {
        span: WindowSpan::Session {
            gap: Duration::from_millis(100),
            longest: Duration::from_millis(250),
        },
        ..settings(1, 1, vec![count()])
    };
    let events: Vec<_> = [0, 99, 198, 300, 390, 480, 560].map(|time| at(time, &json!({}))).into();
    assert_eq!(
        values(Operation::Window(session), &events),
        [
            // Cut at the longest.
            json!({"start": 0, "timestamp": 250, "count": 3}),
            json!({"start": 300, "timestamp": 550, "count": 3}),
            json!({"start": 560, "timestamp": 660, "count": 1}),
        ]
    );
}

#[test]
fn an_event_at_the_very_end_of_a_session_begins_the_next_one() {
    let session = WindowSettings {
        span: WindowSpan::Session {
            gap: Duration::from_millis(100),
            longest: Duration::from_secs(1),
        },
        ..settings(1, 1, vec![count()])
    };
    assert_eq!(
        values(Operation::Window(session), &[at(0, &json!({})), at(100, &json!({}))]),
        [
            json!({"start": 0, "timestamp": 100, "count": 1}),
            json!({"start": 100, "timestamp": 200, "count": 1}),
        ]
    );
}

#[test]
fn groups_tell_texts_from_integers_and_keep_their_form_at_their_paths() {
    let settings =
        WindowSettings { by: vec![path(".a.b"), path(".c")], ..settings(10, 10, vec![count()]) };
    let of = |b: Value| at(1, &json!({"a": {"b": b}, "c": "x"}));
    let mut found = values(
        Operation::Window(settings),
        &[of(json!(1)), of(json!("1")), of(json!(1)), of(json!(-1))],
    );
    found.sort_by_key(ToString::to_string);
    let report = |b: Value, count: i64| json!({"a": {"b": b}, "c": "x", "count": count, "start": 0, "timestamp": 10});
    assert_eq!(found, [report(json!("1"), 1), report(json!(-1), 1), report(json!(1), 2)]);
}

#[test]
fn aggregates_keep_integers_and_pass_over_what_is_missing() {
    let compute = vec![
        count(),
        named("sum", AggregateKind::Sum(path(".v"))),
        named("min", AggregateKind::Min(path(".v"))),
        named("max", AggregateKind::Max(path(".v"))),
        named("mean", AggregateKind::Mean(path(".v"))),
    ];
    let of = |numbers: &[Value]| {
        let events: Vec<_> = numbers.iter().map(|v| at(1, &json!({"v": v}))).collect();
        let mut report =
            values(Operation::Window(settings(10, 10, compute.clone())), &events).remove(0);
        report.as_object_mut().unwrap().retain(|name, _| name != "start" && name != "timestamp");
        report.to_string()
    };
    assert_eq!(
        of(&[json!(3), json!(4), json!(null)]),
        r#"{"count":3,"max":4,"mean":3.5,"min":3,"sum":7}"#
    );
    assert_eq!(
        of(&[json!(1), json!(1.0), json!(0.1), json!(0.2)]),
        r#"{"count":4,"max":1.0,"mean":0.575,"min":0.1,"sum":2.3}"#
    );
    assert_eq!(
        of(&[json!(i64::MAX), json!(i64::MAX), json!(-1)]),
        r#"{"count":3,"max":9223372036854775807,"mean":6.148914691236517e+18,"min":-1,"sum":1.8446744073709552e+19}"#
    );
    assert_eq!(
        of(&[json!(1e300), json!(1), json!(-1e300)]),
        r#"{"count":3,"max":1e+300,"mean":0.3333333333333333,"min":-1e+300,"sum":1.0}"#
    );
}

#[test]
fn what_cannot_be_counted_is_refused_and_changes_nothing() {
    let settings = WindowSettings {
        by: vec![path(".g")],
        max_groups: 1,
        ..settings(10, 10, vec![count(), named("sum", AggregateKind::Sum(path(".v")))])
    };
    let task = Task::new(Operation::Window(settings)).drive(
        &[
            at(1, &json!({"g": "a", "v": 1})),
            at(1, &json!({"g": "a", "v": "1"})),
            at(1, &json!({"g": "a", "v": [1]})),
            at(1, &json!({"g": 1.5, "v": 1})),
            at(1, &json!({"v": 1})),
            at(1, &json!({"g": "b", "v": 1})),
        ],
        never,
    );
    assert_eq!(
        task.reasons(),
        [
            "the field `.v` is of type string, not a number",
            "the field `.v` is of type array, not a number",
            "the field `.g` is neither a string nor an integer",
            "the field `.g` is missing or null",
            "there are already 1 groups, as many as `maxGroups` allows",
        ]
    );
    assert_eq!(
        task.values(),
        [json!({"g": "a", "count": 1, "sum": 1, "start": 0, "timestamp": 10})]
    );
}

fn grouped(empty_windows: usize, max_groups: usize) -> WindowSettings {
    WindowSettings {
        by: vec![path(".g")],
        empty_windows,
        max_groups,
        ..settings(10, 10, vec![count()])
    }
}

/// Group and end of what was reported.
fn reported(task: &Task) -> Vec<(String, i64)> {
    let one = |value: Value| {
        (value["g"].as_str().unwrap().to_owned(), value["timestamp"].as_i64().unwrap())
    };
    task.values().into_iter().map(one).collect()
}

#[test]
fn without_reports_of_empty_windows_a_group_counts_only_while_it_has_windows() {
    let events =
        [at(0, &json!({"g": "a"})), at(10, &json!({"g": "b"})), at(50, &json!({"g": "a"}))];
    let mut task = Task::new(Operation::Window(grouped(0, 1)));
    task.follow(&events);
    assert_eq!((task.reasons(), task.state_entries()), (vec![], 1));
    task.at(60, &[]);
    assert_eq!(reported(&task), [("a".into(), 10), ("b".into(), 20), ("a".into(), 60)]);
    assert_eq!((task.counted.len(), task.state_entries()), (0, 0));
}

#[test]
fn a_group_that_is_silent_for_more_windows_than_are_reported_makes_room_for_a_new_one() {
    let of = |time: i64, group: &str| at(time, &json!({"g": group}));
    let events = [
        of(0, "a"),
        of(10, "b"),
        // Both groups may still be told of without gaps.
        of(20, "c"),
        of(30, "b"),
        // The group `a` makes room.
        of(39, "c"),
        of(40, "b"),
        // Both have windows or had them a moment ago.
        of(55, "a"),
        // The group `c` makes room, which `b` does not need.
        of(60, "b"),
        of(61, "a"),
    ];
    let task = Task::new(Operation::Window(grouped(1, 2))).drive(&events, never);
    assert_eq!(
        reported(&task),
        [
            ("a", 10),
            ("b", 20),
            // Without events, reported at 30.
            ("b", 30),
            ("b", 40),
            ("c", 40),
            ("b", 50),
            // Without events, reported at 60.
            ("b", 60),
            ("b", 70),
            ("a", 70),
        ]
        .map(|(group, end)| (group.to_owned(), end))
    );
    assert_eq!(task.reasons(), ["there are already 2 groups, as many as `maxGroups` allows"; 2]);
    assert_eq!(task.counted, [Counted::Forgotten; 2]);
}

#[test]
fn of_too_many_groups_the_first_are_reported_however_they_lie_in_tasks() {
    let settings =
        WindowSettings { by: vec![path(".g")], max_groups: 2, ..settings(20, 10, vec![count()]) };
    let of = |time: i64, group: &str| keyed("x", time, &json!({"g": group}));
    let groups = |task: &Task| -> Vec<String> {
        let of_report = |value: &Value| {
            let entries = value["counters"].as_array().unwrap().iter();
            let counted = |entry: &Value| {
                [entry["g"].as_str().unwrap(), &entry["count"].to_string()].concat()
            };
            entries.map(counted).collect::<Vec<_>>().concat()
        };
        task.values().iter().map(of_report).collect()
    };
    let layouts = [
        vec![vec![of(0, "d"), of(11, "a"), of(12, "d")], vec![of(13, "b"), of(14, "c")]],
        vec![vec![of(13, "b"), of(14, "c")], vec![of(0, "d"), of(11, "a"), of(12, "d")]],
        vec![vec![of(0, "d"), of(11, "c"), of(12, "d")], vec![of(13, "b"), of(14, "a")]],
        vec![vec![of(0, "d"), of(13, "b"), of(14, "c")], vec![of(11, "a"), of(12, "d")]],
    ];
    for tasks in &layouts {
        let task = combined(&settings, tasks);
        assert_eq!(groups(&task), ["d1", "a1d2", "a1d1"]);
        let reason = "there are already 2 groups, as many as `maxGroups` allows";
        assert!(task.reasons().iter().all(|found| *found == reason));
        // What was refused is there to be taken again.
        let again = Operation::WindowCombine {
            window: WindowSettings { max_groups: 9, ..settings.clone() },
            field: "counters".into(),
        };
        let rest: Vec<Event> = task.refusals.iter().map(|(event, _)| event.clone()).collect();
        assert_eq!(groups(&Task::new(again).drive(&rest, never)), ["b1c1", "b1c1"]);
    }
}

/// The windows of the report every ten seconds.
fn cpu() -> WindowSettings {
    let bounds = (0..=10).map(|division| f64::from(division) * 10.0).collect();
    WindowSettings {
        by: vec![path(".clientVersion")],
        ..settings(
            10_000,
            10_000,
            vec![
                count(),
                named("countPerDivision", AggregateKind::Histogram { of: path(".cpu"), bounds }),
                named("p95", AggregateKind::Quantile { of: path(".cpu"), q: 0.95 }),
            ],
        )
    }
}

/// Runs the partial windows of these tasks, and combines them.
fn combined(settings: &WindowSettings, tasks: &[Vec<Event>]) -> Task {
    let mut parts: Vec<Event> = Vec::new();
    for events in tasks {
        let partial = OperatorPlan {
            key: vec![path(".window")],
            ..plan(Operation::WindowPartial(settings.clone()))
        };
        parts.extend(Task::of(partial).drive(events, never).outputs);
    }
    parts.sort_by(|a, b| (a.time, &a.key, a.id).cmp(&(b.time, &b.key, b.id)));
    let operation = Operation::WindowCombine { window: settings.clone(), field: "counters".into() };
    Task::new(operation).drive(&parts, never)
}

#[test]
fn one_report_lists_the_groups_of_all_tasks() {
    let of = |time: i64, device: &str, version: &str, cpu: Value| {
        keyed(device, time, &json!({"clientVersion": version, "cpu": cpu}))
    };
    let one = vec![
        of(0, "a", "v1.2.3", json!(20)),
        of(5, "a", "v1.2.3", json!(100)),
        of(9999, "a", "v1.0.", json!(0)),
        of(30_000, "a", "v1.2.3", json!(9.99)),
    ];
    let other = vec![of(3, "b", "v1.2.3", json!(29.9)), of(4, "b", "v0.9.", json!(55.5))];
    let expected = [
        json!({"timestamp": 10_000, "start": 0, "counters": [
            {"clientVersion": "v0.9.", "count": 1, "countPerDivision": {"50": 1}, "p95": 55.5},
            {"clientVersion": "v1.0.", "count": 1, "countPerDivision": {"0": 1}, "p95": 0.0},
            {"clientVersion": "v1.2.3", "count": 3, "countPerDivision": {"20": 2, "90": 1},
             "p95": 100.0},
        ]}),
        json!({"timestamp": 20_000, "start": 10_000, "counters": []}),
        json!({"timestamp": 30_000, "start": 20_000, "counters": []}),
        json!({"timestamp": 40_000, "start": 30_000, "counters": [
            {"clientVersion": "v1.2.3", "count": 1, "countPerDivision": {"0": 1}, "p95": 9.99},
        ]}),
    ];
    let apart = combined(&cpu(), &[one.clone(), other.clone()]);
    let mut reports = apart.values();
    // Within 1 % of 100, the only value that 95 % of three do not exceed.
    let p95 = reports[0]["counters"][2]["p95"].take().as_f64().unwrap();
    assert!((p95 - 100.0).abs() <= 1.0, "{p95}");
    reports[0]["counters"][2]["p95"] = json!(100.0);
    assert_eq!(reports, expected);
    let mut all = [one, other].concat();
    all.sort_by_key(|event| event.time);
    assert_eq!(content(&combined(&cpu(), &[all]).outputs), content(&apart.outputs));
}

#[test]
fn partial_windows_that_cannot_be_read_are_refused() {
    let events = [keyed("a", 0, &json!({"clientVersion": "v1.", "cpu": 1}))];
    let plan = OperatorPlan { key: vec![path(".window")], ..plan(Operation::WindowPartial(cpu())) };
    let partial = Task::of(plan).drive(&events, never).outputs.remove(0);
    let damaged = |field: &str, value: Value| {
        let mut changed = common::json(&partial);
        changed[field] = value;
        Event { value: serde_json::from_value(changed).unwrap(), ..partial.clone() }
    };
    let operation = Operation::WindowCombine { window: cpu(), field: "counters".into() };
    let task = Task::new(operation).drive(
        &[
            damaged("format", json!(2)),
            damaged("end", json!(9000)),
            damaged("groups", json!("AAAA")),
            damaged("groups", json!("?")),
            damaged("end", json!(null)),
        ],
        never,
    );
    assert_eq!(
        task.reasons(),
        [
            "the partial window has format 2, this program reads up to 1",
            "the partial window has the time 10000 ms and the end 9000 ms",
            "the partial window is damaged: its groups cannot be decoded",
            "the partial window is damaged: its groups cannot be decoded",
            "the partial window is damaged: it has no end",
        ]
    );
    assert!(task.outputs.is_empty());
}
