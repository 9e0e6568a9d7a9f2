//! The values that windows come to.

use millrace_core::EventId;
use millrace_core::Value;

use super::identity::Grouping;
use super::layout::Layout;
use super::layout::Output;
use super::number::Number;
use super::pane::Pane;
use super::sketch::quantile;
use crate::entity::Entity;
use crate::object::float;
use crate::object::object;

/// A window's report of one group: its end, its start, who the group is, and the aggregates.
pub(super) fn of_group(
    layout: &Layout,
    grouping: &Grouping,
    values: &[Entity],
    window: (i64, i64),
    pane: &Pane,
) -> Value {
    let (start, end) = window;
    let mut report = aggregates(layout, pane);
    if let Value::Object(fields) = &mut report {
        fields.insert("timestamp".into(), Value::Integer(end));
        fields.insert("start".into(), Value::Integer(start));
    }
    put_group(grouping, values, &mut report);
    report
}

/// A group's entry in a report of all groups.
pub(super) fn entry(layout: &Layout, grouping: &Grouping, values: &[Entity], pane: &Pane) -> Value {
    let mut entry = aggregates(layout, pane);
    put_group(grouping, values, &mut entry);
    entry
}

/// A window's report of all groups, whose entries are in the order of their groups.
pub(super) fn of_all(field: &str, window: (i64, i64), entries: Vec<Value>) -> Value {
    let (start, end) = window;
    object([
        ("timestamp", Value::Integer(end)),
        ("start", Value::Integer(start)),
        (field, Value::Array(entries)),
    ])
}

/// What stands for the event that a report is due to: it follows from the group and the window.
pub(super) fn cause(identity: &[u8], end: i64) -> EventId {
    EventId::of_content("window", identity, &end.to_be_bytes())
}

fn put_group(grouping: &Grouping, values: &[Entity], report: &mut Value) {
    for (path, value) in grouping.by.iter().zip(values) {
        path.set(report, value.to_value());
    }
}

fn aggregates(layout: &Layout, pane: &Pane) -> Value {
    let outputs = layout.outputs.iter();
    Value::Object(
        outputs
            .map(|(name, output)| (name.as_str().into(), aggregate(layout, *output, pane)))
            .collect(),
    )
}

fn aggregate(layout: &Layout, output: Output, pane: &Pane) -> Value {
    let number = |number: Option<Number>| number.map_or(Value::Null, Number::to_value);
    match output {
        Output::Count => Value::Integer(pane.count),
        Output::Sum(field) => {
            let kept = &pane.fields[field];
            let integer = if kept.doubles == 0 { kept.sum.to_integer() } else { None };
            match integer {
                _ if kept.numbers == 0 => Value::Null,
                Some(integer) => Value::Integer(integer),
                None => float(kept.sum.divided_by(1)),
            }
        }
        Output::Mean(field) => {
            let kept = &pane.fields[field];
            match u64::try_from(kept.numbers) {
                Ok(numbers @ 1..) => float(kept.sum.divided_by(numbers)),
                _ => Value::Null,
            }
        }
        Output::Lowest(field) => number(pane.fields[field].lowest),
        Output::Highest(field) => number(pane.fields[field].highest),
        Output::Quantile { field, q } => {
            let kept = &pane.fields[field];
            quantile(&kept.sketch, q, kept.lowest, kept.highest).map_or(Value::Null, float)
        }
        Output::Histogram { field, histogram } => {
            let bounds = &layout.fields[field].histograms[histogram];
            let counts = pane.fields[field].histograms[histogram].iter();
            let bound = |division: i32| bounds.get(usize::try_from(division).ok()?);
            // Fields of an object stand in the order of their text, as in all JSON that is stored.
            Value::Object(
                counts
                    .filter_map(|(division, count)| {
                        // Adding 0 makes -0 one with 0. Display writes the shortest decimal.
                        let text = (bound(division)? + 0.0).to_string();
                        Some((text.into(), Value::Integer(count)))
                    })
                    .collect(),
            )
        }
    }
}
