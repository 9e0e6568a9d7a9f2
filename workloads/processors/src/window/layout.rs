//! What is computed, worked out once: each field is read once an event, whatever the number of
//! aggregates over it.

use millrace_core::FieldPath;
use millrace_core::Value;
use millrace_plan::model::Aggregate;
use millrace_plan::model::AggregateKind;

use super::number::Number;

/// The fields of numbers and the aggregates over them.
pub(super) struct Layout {
    /// The fields that are read.
    pub(super) fields: Vec<Field>,
    /// The aggregates by name, in declared order.
    pub(super) outputs: Vec<(String, Output)>,
}

/// A field of numbers, and what is kept of it.
pub(super) struct Field {
    path: FieldPath,
    /// The exact sum.
    pub(super) sum: bool,
    /// The lowest and the highest value.
    pub(super) extremes: bool,
    /// A sketch for quantiles.
    pub(super) sketch: bool,
    /// The bounds of each histogram.
    pub(super) histograms: Vec<Vec<f64>>,
}

/// An aggregate over the field of an index.
#[derive(Debug, Clone, Copy)]
pub(super) enum Output {
    Count,
    Sum(usize),
    Lowest(usize),
    Highest(usize),
    Mean(usize),
    Quantile { field: usize, q: f64 },
    Histogram { field: usize, histogram: usize },
}

/// Why an event is refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the field `{path}` is of type {found}, not a number")]
pub(super) struct NotANumber {
    path: String,
    found: &'static str,
}

impl Layout {
    pub(super) fn of(compute: &[Aggregate]) -> Self {
        let mut layout = Self { fields: Vec::new(), outputs: Vec::new() };
        for Aggregate { name, kind } in compute {
            let output = layout.output(kind);
            layout.outputs.push((name.clone(), output));
        }
        layout
    }

    /// Reads the numbers of an event, one for each field; none where the field is missing or null.
    pub(super) fn read(
        &self,
        value: &Value,
        numbers: &mut Vec<Option<Number>>,
    ) -> Result<(), NotANumber> {
        numbers.clear();
        for Field { path, .. } in &self.fields {
            numbers.push(match path.get(value) {
                None | Some(Value::Null) => None,
                Some(found) => Some(
                    Number::of(found)
                        .ok_or_else(|| NotANumber { path: path.to_string(), found: kind(found) })?,
                ),
            });
        }
        Ok(())
    }

    fn output(&mut self, kind: &AggregateKind) -> Output {
        match kind {
            AggregateKind::Count => Output::Count,
            AggregateKind::Sum(of) => {
                let field = self.field(of);
                self.fields[field].sum = true;
                Output::Sum(field)
            }
            AggregateKind::Mean(of) => {
                let field = self.field(of);
                self.fields[field].sum = true;
                Output::Mean(field)
            }
            AggregateKind::Min(of) => {
                let field = self.field(of);
                self.fields[field].extremes = true;
                Output::Lowest(field)
            }
            AggregateKind::Max(of) => {
                let field = self.field(of);
                self.fields[field].extremes = true;
                Output::Highest(field)
            }
            AggregateKind::Quantile { of, q } => {
                let field = self.field(of);
                // Quantiles lie between the lowest and the highest value.
                self.fields[field].extremes = true;
                self.fields[field].sketch = true;
                Output::Quantile { field, q: *q }
            }
            AggregateKind::Histogram { of, bounds } => {
                let field = self.field(of);
                let histograms = &mut self.fields[field].histograms;
                let known = histograms.iter().position(|known| known == bounds);
                let histogram = known.unwrap_or_else(|| {
                    histograms.push(bounds.clone());
                    histograms.len() - 1
                });
                Output::Histogram { field, histogram }
            }
        }
    }

    /// The index of a field, which is added if it is new.
    fn field(&mut self, path: &FieldPath) -> usize {
        let known = self.fields.iter().position(|field| field.path == *path);
        known.unwrap_or_else(|| {
            self.fields.push(Field {
                path: path.clone(),
                sum: false,
                extremes: false,
                sketch: false,
                histograms: Vec::new(),
            });
            self.fields.len() - 1
        })
    }
}

/// JSON's name of a value's type.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Boolean(_) => "boolean",
        Value::Object(_) => "object",
        Value::Array(_) => "array",
        _ => "string",
    }
}

/// The division of a histogram that a value belongs to, if any: the last one has its upper bound.
pub(super) fn division(bounds: &[f64], value: f64) -> Option<usize> {
    let reached = bounds.partition_point(|bound| *bound <= value);
    let last = bounds.len().checked_sub(2)?;
    match reached.checked_sub(1)? {
        division if division <= last => Some(division),
        // An upper bound that is infinite cannot be declared.
        _ if bounds.last() == Some(&value) => Some(last),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_belongs_to_the_division_whose_lower_bound_it_reaches() {
        let bounds = [0.0, 10.0, 20.0, 100.0];
        let cases = [
            (-0.1, None),
            (0.0, Some(0)),
            (9.9, Some(0)),
            (10.0, Some(1)),
            (20.0, Some(2)),
            (100.0, Some(2)),
            (100.1, None),
        ];
        for (value, expected) in cases {
            assert_eq!(division(&bounds, value), expected, "{value}");
        }
    }

    #[test]
    fn aggregates_over_one_field_share_what_is_kept_of_it() {
        let of = || ".cpu".parse().unwrap();
        let bounds = vec![0.0, 1.0];
        let kinds = [
            AggregateKind::Quantile { of: of(), q: 0.5 },
            AggregateKind::Quantile { of: of(), q: 0.95 },
            AggregateKind::Histogram { of: of(), bounds: bounds.clone() },
            AggregateKind::Histogram { of: of(), bounds },
        ];
        let layout = Layout::of(&kinds.map(|kind| Aggregate { name: "a".into(), kind }));
        assert_eq!(layout.fields.len(), 1);
        assert_eq!(layout.fields[0].histograms.len(), 1);
        assert!(!layout.fields[0].sum);
    }
}
