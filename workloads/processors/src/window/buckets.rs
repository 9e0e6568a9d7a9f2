//! Counts by number of a bucket, as sketches and histograms keep them.

use serde::Deserialize;
use serde::Serialize;

/// Counts of the buckets that are not empty, ascending by number.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Buckets(Vec<(i32, i64)>);

/// Beyond so many buckets both sides are merged in one pass instead of one by one.
const FEW: usize = 8;

impl Buckets {
    /// Counts one in a bucket.
    pub(super) fn add(&mut self, bucket: i32) {
        self.add_many(bucket, 1);
    }

    /// Adds the counts of another.
    pub(super) fn merge(&mut self, other: &Self) {
        if other.0.len() <= FEW {
            for (bucket, count) in &other.0 {
                self.add_many(*bucket, *count);
            }
            return;
        }
        let mut merged = Vec::with_capacity(self.0.len() + other.0.len());
        let mut mine = self.0.iter().copied().peekable();
        for (bucket, count) in other.0.iter().copied() {
            while let Some(lower) = mine.next_if(|(lower, _)| *lower < bucket) {
                merged.push(lower);
            }
            let same = mine.next_if(|(same, _)| *same == bucket).map_or(0, |(_, count)| count);
            merged.push((bucket, count.saturating_add(same)));
        }
        merged.extend(mine);
        self.0 = merged;
    }

    /// Takes away counts that were added before.
    pub(super) fn subtract(&mut self, other: &Self) {
        let mut taken = other.0.iter().peekable();
        self.0.retain_mut(|(bucket, count)| {
            while taken.next_if(|(lower, _)| lower < bucket).is_some() {}
            if let Some((_, less)) = taken.next_if(|(same, _)| same == bucket) {
                *count = count.saturating_sub(*less);
            }
            *count > 0
        });
    }

    /// Back to nothing, the room is kept.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Bucket and count, ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = (i32, i64)> {
        self.0.iter().copied()
    }

    /// The count of all buckets together.
    pub(super) fn total(&self) -> i64 {
        self.iter().fold(0, |total: i64, (_, count)| total.saturating_add(count))
    }

    /// Whether stored counts can be counts: ascending, none empty, and within these buckets.
    pub(super) fn is_sound(&self, range: std::ops::RangeInclusive<i32>) -> bool {
        self.0.is_sorted_by(|(a, _), (b, _)| a < b)
            && self.iter().all(|(bucket, count)| count > 0 && range.contains(&bucket))
    }

    fn add_many(&mut self, bucket: i32, added: i64) {
        match self.0.binary_search_by_key(&bucket, |(bucket, _)| *bucket) {
            Ok(place) => {
                let count = &mut self.0[place].1;
                *count = count.saturating_add(added);
            }
            Err(place) => self.0.insert(place, (bucket, added)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn buckets(of: &[i32]) -> Buckets {
        let mut buckets = Buckets::default();
        for bucket in of {
            buckets.add(*bucket);
        }
        buckets
    }

    fn counted(of: &[i32]) -> Vec<(i32, i64)> {
        let mut counts = BTreeMap::new();
        for bucket in of {
            *counts.entry(*bucket).or_default() += 1;
        }
        counts.into_iter().collect()
    }

    proptest! {
        #[test]
        fn merging_and_taking_away_are_like_counting_anew(
            one in prop::collection::vec(-20..20, 0..40),
            other in prop::collection::vec(-20..20, 0..40),
        ) {
            let both: Vec<_> = one.iter().chain(&other).copied().collect();
            let mut merged = buckets(&one);
            merged.merge(&buckets(&other));
            prop_assert_eq!(merged.iter().collect::<Vec<_>>(), counted(&both));
            prop_assert_eq!(merged.total(), i64::try_from(both.len()).unwrap());
            merged.subtract(&buckets(&one));
            prop_assert_eq!(merged.iter().collect::<Vec<_>>(), counted(&other));
        }
    }
}
