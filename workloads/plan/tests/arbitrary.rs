//! Whatever a resource says, planning it ends with a plan or with errors.

// Helpers of tests may fail as tests do.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use serde_json::Value;

const EXAMPLES: [&str; 5] = [
    include_str!("../../../examples/race.yaml"),
    include_str!("../../../examples/timestamps.yaml"),
    include_str!("../../../examples/hoverboards.yaml"),
    include_str!("../../../examples/multivac.yaml"),
    include_str!("../../../examples/cpu.yaml"),
];

/// Texts that mean something somewhere in a resource.
fn words() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "coordinates",
            "motion",
            "order",
            "laps",
            "status",
            "standings",
            "dead-letters",
            ".",
            ".race",
            ".group",
            ".totalDistance",
            "50ms",
            "0s",
            "5km",
            "carCoordinates/+",
            "#",
            "abort",
            "del(.)",
            ". = 1",
            ".a = now()",
            "%key",
            "true",
            "((((",
            "\"\\u{}\"",
            "race",
            "/",
            "/{ts}",
            "/{id}/{id}",
            "/metrics",
            "%path.ts",
            "%headers.a",
            "\"a\"",
            "json",
            "none",
            "counters",
            ".clientVersion",
            "s3://a/b",
            "http://a/b",
            "timestamp",
            "1d",
        ])
        .prop_map(str::to_owned),
        "(?s).{0,40}",
    ]
}

/// Puts `value` in the place of the leaf or branch that `choices` lead to.
fn replace(document: &mut Value, choices: &[prop::sample::Index], value: Value) {
    let next = match (choices.first(), &mut *document) {
        (Some(choice), Value::Object(fields)) if !fields.is_empty() => {
            let index = choice.index(fields.len());
            fields.iter_mut().nth(index).map(|(_, field)| field)
        }
        (Some(choice), Value::Array(items)) if !items.is_empty() => {
            let index = choice.index(items.len());
            items.get_mut(index)
        }
        _ => None,
    };
    match next {
        Some(next) => replace(next, &choices[1..], value),
        None => *document = value,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn no_resource_makes_the_planner_panic(
        example in prop::sample::select(&EXAMPLES[..]),
        changes in prop::collection::vec(
            (prop::collection::vec(any::<prop::sample::Index>(), 2..8), words()),
            1..4,
        ),
    ) {
        let mut document: Value = serde_json::to_value(&millrace_api::load(example, "it").unwrap()[0]).unwrap();
        for (choices, word) in changes {
            replace(&mut document["spec"], &choices, Value::from(word));
        }
        if let Ok(pipelines) = millrace_api::load(&document.to_string(), "race")
            && let Ok(plan) = millrace_plan::plan(&pipelines[0])
        {
            prop_assert!(!plan.to_string().is_empty());
            prop_assert!(plan.to_json().is_object());
        }
        // The planner does not rely on the loader's checks of the resource's own rules.
        if let Ok(pipeline) = serde_json::from_value(document) {
            let _ = millrace_plan::plan(&pipeline);
        }
    }
}
