//! Where stages are cut, and what starts anew when something changes.

// Helpers of tests may fail as tests do.
#![allow(clippy::unwrap_used)]

use millrace_plan::Plan;

const HEAD: &str = "\
apiVersion: millrace.dev/v1alpha1
kind: TelemetryPipeline
metadata: {name: stages}
spec:
  streams:
    - {name: cars, key: [.race], partitions: 3}
";

fn plan(rest: &str) -> Plan {
    let pipelines = millrace_api::load(&format!("{HEAD}{rest}"), "a.yaml").unwrap();
    millrace_plan::plan(&pipelines[0]).unwrap()
}

/// The stages alone, as the plan's text has them.
fn stages(rest: &str) -> String {
    let text = plan(rest).to_string();
    let begin = text.find("stage ").unwrap();
    text[begin..text.find("\nsinks").unwrap_or(text.len())].trim().to_owned()
}

#[test]
fn a_rank_by_another_group_reads_in_a_stage_of_its_own() {
    assert_eq!(
        stages(
            "
  processors:
    - {name: fast, from: [cars], filter: .speed == 1}
    - {name: order, from: [fast], rank: {group: .team, entity: .car, by: .points}}
    - {name: seen, from: [fast, order], map: .a = 1}
"
            .replace("fast, order", "fast")
            .as_str()
        ),
        "\
stage fast: reads cars, 3 tasks
  filter fast ← cars
  rekey order.repartition ← fast, key [.team] → order.repartition
  map seen ← fast → seen

stage order: reads order.repartition, 3 tasks
  rank order ← order.repartition → order"
    );
}

#[test]
fn a_program_that_may_change_the_key_field_is_not_trusted_to_keep_it() {
    let with = |program: &str| {
        stages(&format!(
            "
  processors:
    - {{name: change, from: [cars], map: '{program}'}}
    - {{name: order, from: [change], rank: {{group: .race, entity: .car, by: .points}}}}
"
        ))
    };
    assert_eq!(
        with(".points = 1"),
        "\
stage change: reads cars, 3 tasks
  map change ← cars
  rank order ← change → order"
    );
    for program in [".race = 1", ". = {}", ".race.a = 1"] {
        assert_eq!(
            with(program),
            "\
stage change: reads cars, 3 tasks
  map change ← cars
  rekey order.repartition ← change, key [.race] → order.repartition

stage order: reads order.repartition, 3 tasks
  rank order ← order.repartition → order"
        );
    }
}

#[test]
fn readers_of_a_new_key_are_in_a_later_stage_and_stages_form_no_cycle() {
    assert_eq!(
        stages(
            "
  processors:
    - {name: byTeam, from: [cars], map: .a = 1, key: [.team]}
    - {name: byRace, from: [byTeam], map: .b = 1, key: [.race]}
    - {name: both, from: [byRace, cars], map: .c = 1}
    - {name: same, from: [cars], map: .d = 1, key: [.race]}
    - {name: after, from: [same], map: .e = 1}
"
        ),
        "\
stage byTeam: reads cars, 3 tasks
  map byTeam ← cars, key [.team] → byTeam
  map same ← cars
  map after ← same → after

stage byRace: reads byTeam, 3 tasks
  map byRace ← byTeam, key [.race] → byRace

stage both: reads byRace, cars, 3 tasks
  map both ← byRace, cars → both"
    );
}

#[test]
fn what_is_not_connected_is_not_in_one_stage() {
    assert_eq!(
        stages(
            "    - {name: boats, key: [.sea]}
  processors:
    - {name: a, from: [cars], map: .a = 1}
    - {name: b, from: [boats], map: .b = 1}
    - {name: c, from: [cars], map: .c = 1}
"
        ),
        "\
stage a: reads cars, 3 tasks
  map a ← cars → a
  map c ← cars → c

stage b: reads boats, 1 task
  map b ← boats → b"
    );
}

#[test]
fn raising_a_generation_starts_everything_downstream_anew() {
    let plan = plan(
        "
  processors:
    - {name: a, from: [cars], map: .a = 1, generation: 2}
    - {name: b, from: [a], map: .b = 1, generation: 1}
    - {name: c, from: [cars], map: .c = 1}
  sinks:
    - {name: out, from: [b], mqtt: {topic: out}, generation: 1}
",
    );
    let generations = plan.stages[0].operators.iter().map(|o| (o.name.as_str(), o.generation));
    assert_eq!(generations.collect::<Vec<_>>(), [("a", 2), ("b", 3), ("c", 0)]);
    assert_eq!(plan.sinks[0].generation, 4);
}

#[test]
fn a_raised_processor_raises_its_stage_and_all_downstream_and_nothing_else() {
    let plan = plan(
        "
  processors:
    - {name: a, from: [cars], map: .a = 1}
    - {name: b, from: [a], map: .b = 1, key: [.team]}
    - {name: c, from: [b], map: .c = 1, generation: 1}
    - {name: d, from: [cars], map: .d = 1}
  sinks:
    - {name: out, from: [c], mqtt: {topic: out}}
    - {name: beside, from: [d], mqtt: {topic: beside}}
    - {name: raw, from: [cars], mqtt: {topic: raw}}
",
    );
    let numbers = |plan: &millrace_plan::Plan| {
        let generations = plan.generations();
        let all = generations.stages.into_iter().chain(generations.sinks);
        all.map(|(name, number)| format!("{name} {number}")).collect::<Vec<_>>().join(", ")
    };
    assert_eq!(numbers(&plan), "a 0, c 1, beside 0, out 2, raw 0");
    let raise = millrace_plan::Raise {
        processors: [("c".to_owned(), 2)].into(),
        ..millrace_plan::Raise::default()
    };
    assert_eq!(numbers(&plan.raised(&raise)), "a 0, c 3, beside 0, out 6, raw 0");
    // `a` shares its stage with `d`, whose stream is made anew with it.
    let raise = millrace_plan::Raise {
        processors: [("a".to_owned(), 1)].into(),
        sinks: [("raw".to_owned(), 1)].into(),
    };
    let raised = plan.raised(&raise);
    let text = numbers(&raised);
    assert!(text.starts_with("a 2, c 4,") && text.contains("beside 2"), "{text}");
    assert!(text.ends_with("raw 1"), "{text}");
}

#[test]
fn a_fingerprint_is_of_what_state_depends_on_and_of_nothing_else() {
    let fingerprint = |settings: &str| {
        let plan = plan(&format!(
            "
  processors:
    - {{name: {settings}, latitude: .lat, longitude: .long}}}}
"
        ));
        plan.stages[0].operators[0].fingerprint.clone()
    };
    let base = fingerprint("m, from: [cars], motion: {entity: .car");
    assert_eq!(base, fingerprint("other, from: [cars], motion: {maxSpeed: 7, entity: .car"));
    assert_eq!(base, fingerprint("m, from: [cars], motion: {speedUnit: kmh, entity: .car"));
    assert_ne!(base, fingerprint("m, from: [cars], motion: {entity: .driver"));
    assert_ne!(base, fingerprint("m, from: [cars], motion: {distance: wgs84, entity: .car"));
}

#[test]
fn the_plans_of_the_examples_are_the_golden_ones() {
    let mut changed = String::new();
    for (name, resource, golden) in [
        (
            "timestamps",
            include_str!("../../../examples/timestamps.yaml"),
            include_str!("plans/timestamps.txt"),
        ),
        (
            "hoverboards",
            include_str!("../../../examples/hoverboards.yaml"),
            include_str!("plans/hoverboards.txt"),
        ),
        (
            "multivac",
            include_str!("../../../examples/multivac.yaml"),
            include_str!("plans/multivac.txt"),
        ),
        ("cpu", include_str!("../../../examples/cpu.yaml"), include_str!("plans/cpu.txt")),
    ] {
        let pipelines = millrace_api::load(resource, name).unwrap();
        let plan = millrace_plan::plan(&pipelines[0]).unwrap().to_string();
        if plan != golden {
            changed += &format!("== {name}\n{plan}");
        }
    }
    assert!(changed.is_empty(), "the plans are now\n{changed}");
}

#[test]
fn windows_without_groups_are_grouped_by_the_key_and_say_which_it_is() {
    let with = |window: &str| {
        stages(&format!(
            "
  processors:
    - {{name: speeds, from: [cars], window: {{tumbling: 1s, {window}compute: [{{name: n, count: {{}}}}]}}}}
    - {{name: order, from: [speeds], rank: {{group: .race, entity: .car, by: .n}}}}
"
        ))
    };
    // The key is a field of each result, so that what needs it need not move the events.
    assert_eq!(
        with(""),
        "\
stage speeds: reads cars, 3 tasks
  window speeds ← cars
  rank order ← speeds → order"
    );
    assert_eq!(
        with("by: [.team], combine: all, "),
        "\
stage speeds.partial: reads cars, 3 tasks
  window-partial speeds.partial ← cars, key [.window] → speeds.partial

stage speeds: reads speeds.partial, 1 task
  window-combine speeds ← speeds.partial
  rekey order.repartition ← speeds, key [.race] → order.repartition

stage order: reads order.repartition, 1 task
  rank order ← order.repartition → order"
    );
}

#[test]
fn fingerprints_of_windows_and_joins_are_of_what_their_state_depends_on() {
    let fingerprint = |processor: &str| {
        let plan = plan(&format!(
            "    - {{name: boards, key: [.id], partitions: 3}}
  processors:
    - {{name: p, from: [cars], {processor}}}
"
        ));
        let mut operators = plan.stages.iter().flat_map(|stage| &stage.operators);
        operators.find(|operator| operator.name == "p").unwrap().fingerprint.clone()
    };
    let window = |settings: &str| {
        fingerprint(&format!("window: {{compute: [{{name: n, sum: {{of: .a}}}}], {settings}}}"))
    };
    let base = window("tumbling: 1s");
    assert_eq!(base, window("tumbling: 1000ms, maxGroups: 7, emptyWindows: 0"));
    assert_ne!(base, window("tumbling: 2s"));
    assert_ne!(base, window("tumbling: 1s, offset: 1ms"));
    assert_ne!(base, window("hopping: {size: 2s, every: 1s}"));
    let enrich = |settings: &str| fingerprint(&format!("enrich: {{with: boards, {settings}}}"));
    let base = enrich("as: a, on: [.board]");
    assert_eq!(base, enrich("as: b, on: [.board], missing: drop, maxAge: 1h, maxKeys: 7"));
    assert_ne!(base, enrich("as: a, on: [.other]"));
    let dedupe = |settings: &str| fingerprint(&format!("dedupe: {{{settings}}}"));
    assert_eq!(dedupe("by: .a"), dedupe("by: .a, within: 1m, maxKeys: 7"));
    assert_ne!(dedupe("by: .a"), dedupe("by: .b"));
}
