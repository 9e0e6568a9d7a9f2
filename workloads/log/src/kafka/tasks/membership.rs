//! What a member of a group has, as the group's rebalances tell it: the part without Kafka.
//!
//! Under the eager protocol every rebalance takes all partitions and gives some back. What was
//! given back was in no other hands, so it keeps its epoch, and whoever works on it goes on; only
//! its commits wait in between. What a member lost without being asked is in other hands at once.

use std::collections::BTreeSet;

use millrace_core::Partition;

use crate::Assignment;

/// The partitions of a member.
#[derive(Debug, Default)]
pub(super) struct Membership {
    partitions: Assignment,
    phase: Phase,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Not in the group: not yet, no more, or not known to be.
    #[default]
    Outside,
    /// In the group, with its partitions.
    Member,
    /// The group is shared out anew.
    Rebalancing,
}

/// How a claim stands that was made in an epoch of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// The partition is still ours.
    Ours,
    /// It is known at the end of a rebalance.
    Held,
    /// The partition is in other hands, or was meanwhile.
    Gone,
}

impl Membership {
    /// The partitions and their epochs.
    pub(super) const fn partitions(&self) -> &Assignment {
        &self.partitions
    }

    /// The group is shared out anew.
    pub(super) fn revoked(&mut self) {
        if self.phase == Phase::Member {
            self.phase = Phase::Rebalancing;
        }
    }

    /// These partitions are ours from now on; those that were not before get the epoch.
    pub(super) fn assigned(&mut self, partitions: &BTreeSet<Partition>, epoch: i64) {
        let before = std::mem::take(&mut self.partitions);
        let epoch_of = |partition| before.get(partition).copied().unwrap_or(epoch);
        self.partitions = partitions.iter().map(|one| (*one, epoch_of(one))).collect();
        self.phase = Phase::Member;
    }

    /// All partitions are in other hands, or may be.
    pub(super) fn lost(&mut self) {
        *self = Self::default();
    }

    /// Whether the group is being shared out anew.
    pub(super) fn is_rebalancing(&self) -> bool {
        self.phase == Phase::Rebalancing
    }

    /// The epoch of a partition, if it is ours.
    pub(super) fn epoch(&self, partition: Partition) -> Option<i64> {
        self.partitions.get(&partition).copied()
    }

    /// How a claim stands that was made in an epoch of a partition; none if it was not ours then.
    pub(super) fn standing(&self, partition: Partition, epoch: Option<i64>) -> Standing {
        match (epoch, self.epoch(partition)) {
            (Some(then), Some(now)) if then == now => {
                if self.is_rebalancing() {
                    Standing::Held
                } else {
                    Standing::Ours
                }
            }
            _ => Standing::Gone,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(partitions: &[Partition], epoch: i64) -> Membership {
        let mut membership = Membership::default();
        membership.assigned(&partitions.iter().copied().collect(), epoch);
        membership
    }

    #[test]
    fn before_the_first_assignment_nothing_is_ours() {
        let membership = Membership::default();
        assert!(membership.partitions().is_empty());
        assert_eq!(membership.standing(0, None), Standing::Gone);
        assert_eq!(membership.standing(0, Some(1)), Standing::Gone);
    }

    #[test]
    fn what_a_rebalance_gives_back_keeps_its_epoch_and_what_is_new_gets_another() {
        let mut membership = member(&[0, 1, 2], 5);
        membership.revoked();
        membership.assigned(&BTreeSet::from([1, 3]), 9);
        assert_eq!(*membership.partitions(), Assignment::from([(1, 5), (3, 9)]));
        assert_eq!(membership.standing(0, Some(5)), Standing::Gone);
        assert_eq!(membership.standing(1, Some(5)), Standing::Ours);
        assert_eq!(membership.standing(3, Some(5)), Standing::Gone);
        assert_eq!(membership.standing(3, Some(9)), Standing::Ours);
    }

    #[test]
    fn while_the_group_is_shared_out_partitions_stay_and_their_commits_wait() {
        let mut membership = member(&[0, 1], 5);
        membership.revoked();
        assert!(membership.is_rebalancing());
        assert_eq!(*membership.partitions(), Assignment::from([(0, 5), (1, 5)]));
        assert_eq!(membership.standing(1, Some(5)), Standing::Held);
        assert_eq!(membership.standing(1, Some(4)), Standing::Gone);
        assert_eq!(membership.standing(1, None), Standing::Gone);
    }

    #[test]
    fn a_partition_that_comes_back_later_has_another_epoch() {
        let mut membership = member(&[0], 5);
        membership.revoked();
        membership.assigned(&BTreeSet::new(), 6);
        membership.revoked();
        membership.assigned(&BTreeSet::from([0]), 7);
        assert_eq!(*membership.partitions(), Assignment::from([(0, 7)]));
    }

    #[test]
    fn what_was_lost_is_gone_at_once_and_has_another_epoch_when_it_comes_back() {
        let mut membership = member(&[0], 5);
        membership.revoked();
        membership.lost();
        assert!(!membership.is_rebalancing());
        assert_eq!(membership.standing(0, Some(5)), Standing::Gone);
        membership.revoked();
        assert!(!membership.is_rebalancing());
        membership.assigned(&BTreeSet::from([0]), 8);
        assert_eq!(*membership.partitions(), Assignment::from([(0, 8)]));
    }
}
