//! What is kept of the events of a stretch of time: it takes single events and can be merged.

use serde::Deserialize;
use serde::Serialize;

use super::buckets::Buckets;
use super::layout::Field;
use super::layout::Layout;
use super::layout::division;
use super::number::Number;
use super::sketch;
use super::sum::ExactSum;

/// Aggregates of some events of a group.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Pane {
    /// Number of events, saturating.
    pub(super) count: i64,
    /// Latest arrival time.
    pub(super) ingest_time: i64,
    /// What is kept of each field of the layout.
    pub(super) fields: Box<[Kept]>,
}

/// What is kept of a field.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Kept {
    /// Events that have a number there, saturating.
    pub(super) numbers: i64,
    /// Those of them whose number is not an integer.
    pub(super) doubles: i64,
    pub(super) sum: ExactSum,
    pub(super) lowest: Option<Number>,
    pub(super) highest: Option<Number>,
    pub(super) sketch: Buckets,
    /// A histogram for each of the field's lists of bounds.
    pub(super) histograms: Box<[Buckets]>,
}

impl Pane {
    /// Without events.
    pub(super) fn empty(layout: &Layout) -> Self {
        let kept = |field: &Field| Kept {
            histograms: field.histograms.iter().map(|_| Buckets::default()).collect(),
            ..Kept::default()
        };
        Self { count: 0, ingest_time: i64::MIN, fields: layout.fields.iter().map(kept).collect() }
    }

    /// Takes an event with these numbers, see [`Layout::read`].
    pub(super) fn add(&mut self, layout: &Layout, numbers: &[Option<Number>], ingest_time: i64) {
        self.count = self.count.saturating_add(1);
        self.ingest_time = self.ingest_time.max(ingest_time);
        for ((kept, field), number) in self.fields.iter_mut().zip(&layout.fields).zip(numbers) {
            if let Some(number) = number {
                kept.add(field, *number);
            }
        }
    }

    /// Takes the events of another, of the same layout.
    pub(super) fn merge(&mut self, other: &Self) {
        self.accumulate(other);
        for (kept, other) in self.fields.iter_mut().zip(&other.fields) {
            kept.extend(other.lowest, other.highest);
        }
    }

    /// Takes the events of another, whose lowest and highest numbers are kept elsewhere.
    pub(super) fn accumulate(&mut self, other: &Self) {
        self.count = self.count.saturating_add(other.count);
        self.ingest_time = self.ingest_time.max(other.ingest_time);
        for (kept, other) in self.fields.iter_mut().zip(&other.fields) {
            kept.numbers = kept.numbers.saturating_add(other.numbers);
            kept.doubles = kept.doubles.saturating_add(other.doubles);
            kept.sum.merge(&other.sum);
            kept.sketch.merge(&other.sketch);
            for (buckets, other) in kept.histograms.iter_mut().zip(&other.histograms) {
                buckets.merge(other);
            }
        }
    }

    /// Takes away the events of another that were accumulated before. The lowest and highest
    /// numbers and the arrival time stay.
    pub(super) fn subtract(&mut self, other: &Self) {
        self.count = self.count.saturating_sub(other.count);
        for (kept, other) in self.fields.iter_mut().zip(&other.fields) {
            kept.numbers = kept.numbers.saturating_sub(other.numbers);
            kept.doubles = kept.doubles.saturating_sub(other.doubles);
            kept.sum.subtract(&other.sum);
            kept.sketch.subtract(&other.sketch);
            for (buckets, other) in kept.histograms.iter_mut().zip(&other.histograms) {
                buckets.subtract(other);
            }
        }
    }

    /// Back to no events, the room is kept.
    pub(super) fn clear(&mut self) {
        self.count = 0;
        self.ingest_time = i64::MIN;
        for kept in &mut self.fields {
            (kept.numbers, kept.doubles) = (0, 0);
            (kept.lowest, kept.highest) = (None, None);
            kept.sum.clear();
            kept.sketch.clear();
            kept.histograms.iter_mut().for_each(Buckets::clear);
        }
    }

    /// Whether a stored pane can be one of this layout, with events.
    pub(super) fn is_sound(&self, layout: &Layout) -> bool {
        self.count > 0
            && self.fields.len() == layout.fields.len()
            && self.fields.iter().zip(&layout.fields).all(|(kept, field)| {
                (0..=self.count).contains(&kept.numbers) && kept.is_sound(field)
            })
    }
}

impl Kept {
    fn add(&mut self, field: &Field, number: Number) {
        self.numbers = self.numbers.saturating_add(1);
        if matches!(number, Number::Double(_)) {
            self.doubles = self.doubles.saturating_add(1);
        }
        if field.sum {
            self.sum.add(number);
        }
        if field.extremes {
            self.extend(Some(number), Some(number));
        }
        if field.sketch {
            self.sketch.add(sketch::bucket(number.to_double()));
        }
        for (buckets, bounds) in self.histograms.iter_mut().zip(&field.histograms) {
            // There are at most 200 divisions.
            if let Some(Ok(division)) = division(bounds, number.to_double()).map(i32::try_from) {
                buckets.add(division);
            }
        }
    }

    fn extend(&mut self, lowest: Option<Number>, highest: Option<Number>) {
        if let Some(number) = lowest
            && self.lowest.is_none_or(|lowest| number < lowest)
        {
            self.lowest = Some(number);
        }
        self.highest = self.highest.max(highest);
    }

    fn is_sound(&self, field: &Field) -> bool {
        let has_extremes = field.extremes && self.numbers > 0;
        let is_number = |number: Option<Number>| number.is_some_and(Number::is_finite);
        let extremes = if has_extremes {
            is_number(self.lowest) && is_number(self.highest) && self.lowest <= self.highest
        } else {
            self.lowest.is_none() && self.highest.is_none()
        };
        let sketched = if field.sketch { self.numbers } else { 0 };
        extremes
            && (0..=self.numbers).contains(&self.doubles)
            && self.sketch.is_sound(-sketch::HIGHEST..=sketch::HIGHEST)
            && self.sketch.total() == sketched
            && self.histograms.len() == field.histograms.len()
            && self.histograms.iter().zip(&field.histograms).all(|(buckets, bounds)| {
                let last = i32::try_from(bounds.len()).unwrap_or(i32::MAX) - 2;
                buckets.is_sound(0..=last) && buckets.total() <= self.numbers
            })
    }
}
