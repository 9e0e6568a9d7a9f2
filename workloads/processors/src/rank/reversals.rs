//! Since when pairs of competitors have been reversed against the confirmed order.
//!
//! A pair is reversed while the one that is behind in the confirmed order has the better value.
//! Its clock starts at the first such frame and is forgotten as soon as a frame shows otherwise.
//! If the pairs (a, b) and (b, c) are reversed, so is (a, c), at least since the later of both:
//! that is why exchanging neighbours leads to one result whatever the order of the exchanges.

use serde::Deserialize;
use serde::Serialize;

/// One reversed pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Reversal {
    ahead: u32,
    behind: u32,
    since: i64,
}

/// All reversed pairs of a group, ordered by pair.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Reversals {
    pairs: Vec<Reversal>,
    /// The pairs of the frame before, kept for its memory alone.
    #[serde(skip)]
    spare: Vec<Reversal>,
}

impl Reversals {
    /// Whether no pair is reversed.
    pub(super) fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// Since when the pair has been reversed, if it is.
    pub(super) fn since(&self, ahead: u32, behind: u32) -> Option<i64> {
        let place =
            self.pairs.binary_search_by_key(&(ahead, behind), |r| (r.ahead, r.behind)).ok()?;
        Some(self.pairs[place].since)
    }

    /// Starts the clocks of pairs that are reversed at this frame and were not before, and forgets
    /// those that no longer are. Says whether anything changed.
    pub(super) fn update(&mut self, time: i64, reversed: &[(u32, u32)]) -> bool {
        let mut next = std::mem::take(&mut self.spare);
        next.clear();
        next.extend(reversed.iter().map(|&(ahead, behind)| {
            let since = self.since(ahead, behind).unwrap_or(time);
            Reversal { ahead, behind, since }
        }));
        next.sort_unstable();
        self.spare = std::mem::replace(&mut self.pairs, next);
        self.spare != self.pairs
    }

    /// Whether the pairs are in their order, each once, and each can be reversed.
    pub(super) fn is_sound(&self, can_be_reversed: impl Fn(u32, u32) -> bool) -> bool {
        self.pairs.is_sorted_by(|a, b| (a.ahead, a.behind) < (b.ahead, b.behind))
            && self.pairs.iter().all(|pair| can_be_reversed(pair.ahead, pair.behind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_runs_while_every_frame_shows_the_reversal() {
        let mut reversals = Reversals::default();
        assert!(reversals.update(100, &[(2, 1), (0, 1)]));
        assert!(!reversals.update(200, &[(0, 1), (2, 1)]));
        assert_eq!(reversals.since(0, 1), Some(100));
        assert!(reversals.update(300, &[(2, 1)]));
        assert!(reversals.update(400, &[(0, 1), (2, 1)]));
        assert_eq!(reversals.since(0, 1), Some(400));
        assert_eq!(reversals.since(2, 1), Some(100));
        assert_eq!(reversals.since(1, 2), None);
    }
}
