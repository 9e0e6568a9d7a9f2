//! Groups without open windows, in the order in which they may be forgotten.
//!
//! A group comes in when its last window is reported, so that the queue is sorted as it grows. One
//! that has events again stays in it until it is passed over.

use std::collections::VecDeque;

/// So many entries more than groups are kept before those that hold no longer are taken out.
const SLACK: usize = 1024;

/// Groups by their last window; those of one window in the order of their reports.
#[derive(Default)]
pub(super) struct IdleGroups(VecDeque<(i64, usize)>);

impl IdleGroups {
    /// Adds the group at a place, whose last window is not before that of any other.
    pub(super) fn push(&mut self, last: i64, place: usize) {
        self.0.push_back((last, place));
    }

    /// Takes out the first group whose last window is before `horizon`. `holds` says whether a
    /// group is still without open windows since that one.
    pub(super) fn pop_before(
        &mut self,
        horizon: i64,
        holds: impl Fn(i64, usize) -> bool,
    ) -> Option<usize> {
        while let Some((last, place)) = self.0.pop_front_if(|(last, _)| *last < horizon) {
            if holds(last, place) {
                return Some(place);
            }
        }
        None
    }

    /// Takes out what holds no longer, once it is more than the groups there are.
    pub(super) fn tidy(&mut self, groups: usize, holds: impl Fn(i64, usize) -> bool) {
        if self.0.len() > 2 * groups + SLACK {
            self.0.retain(|(last, place)| holds(*last, *place));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_idle_group_comes_first_and_one_that_has_events_again_does_not() {
        let mut idle = IdleGroups::default();
        for (last, place) in [(1, 7), (1, 3), (2, 7), (4, 5)] {
            idle.push(last, place);
        }
        let holds = |last: i64, place: usize| (last, place) != (1, 7);
        assert_eq!(idle.pop_before(4, holds), Some(3));
        assert_eq!(idle.pop_before(4, holds), Some(7));
        assert_eq!(idle.pop_before(4, holds), None);
        assert_eq!(idle.pop_before(5, holds), Some(5));
    }

    #[test]
    fn what_holds_no_longer_does_not_pile_up() {
        let mut idle = IdleGroups::default();
        for last in 0..10_000 {
            idle.push(last, 0);
            idle.tidy(1, |of, _| of == last);
        }
        assert!(idle.0.len() <= SLACK + 2, "{}", idle.0.len());
        assert_eq!(idle.pop_before(i64::MAX, |of, _| of == 9999), Some(0));
    }
}
