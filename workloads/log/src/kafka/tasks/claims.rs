//! Who may commit for a task: the claims that this process has made.

use std::collections::HashMap;

use millrace_core::Offset;
use parking_lot::Mutex;

use super::changelog::Changelog;
use crate::TaskClaim;
use crate::TaskName;

/// What is known of the last claim of a task.
#[derive(Debug, Clone)]
pub(super) struct Claim {
    /// Raised by each claim.
    pub(super) epoch: i64,
    /// The epoch of the partition in the group when the claim was made; none if it was not ours,
    /// or this process had not joined.
    pub(super) partition_epoch: Option<i64>,
    /// Where the state is kept.
    pub(super) changelog: Option<Changelog>,
    /// Where the partition of the changelog ends if nobody else writes to it; none if that is not
    /// known.
    pub(super) end: Option<Offset>,
    /// After how many rebalances of the group it was known that nobody else had written.
    pub(super) rebalances: u64,
}

/// The last claims of tasks.
#[derive(Debug, Default)]
pub(super) struct Claims {
    tasks: Mutex<HashMap<TaskName, Claim>>,
}

impl Claims {
    /// A claim; earlier ones count no more. Returns whether there was one.
    pub(super) fn claim(&self, task: &TaskName, claim: Claim) -> bool {
        self.tasks.lock().insert(task.clone(), claim).is_some()
    }

    /// A claim that an earlier process made, if nobody has made another one since.
    pub(super) fn take_over(&self, task: &TaskName, claim: Claim) {
        self.tasks.lock().entry(task.clone()).or_insert(claim);
    }

    /// Whether there is any claim of the task.
    pub(super) fn is_known(&self, task: &TaskName) -> bool {
        self.tasks.lock().contains_key(task)
    }

    /// What is known of a claim; none if another one counts.
    pub(super) fn get(&self, claim: &TaskClaim) -> Option<Claim> {
        let tasks = self.tasks.lock();
        tasks.get(&claim.task).filter(|found| found.epoch == claim.epoch).cloned()
    }

    /// Changes what is known of a claim, if it still counts.
    pub(super) fn update(&self, claim: &TaskClaim, change: impl FnOnce(&mut Claim)) {
        let mut tasks = self.tasks.lock();
        if let Some(found) = tasks.get_mut(&claim.task)
            && found.epoch == claim.epoch
        {
            change(found);
        }
    }

    /// Ends a claim, if it still counts.
    pub(super) fn fence(&self, claim: &TaskClaim) {
        // No claim has an epoch that is still to come.
        self.update(claim, |claim| claim.epoch += 1);
    }

    /// Ends all claims of a task up to an epoch.
    pub(super) fn end(&self, task: &TaskName, epoch: i64) {
        let ended =
            Claim { epoch, partition_epoch: None, changelog: None, end: None, rebalances: 0 };
        self.tasks.lock().insert(task.clone(), ended);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task() -> TaskName {
        TaskName { stage: "s".to_owned(), partition: 0 }
    }

    fn claim(epoch: i64) -> (TaskClaim, Claim) {
        let known =
            Claim { epoch, partition_epoch: None, changelog: None, end: Some(3), rebalances: 0 };
        (TaskClaim { task: task(), epoch }, known)
    }

    #[test]
    fn only_the_last_claim_counts() {
        let claims = Claims::default();
        let ((first, known_first), (second, known_second)) = (claim(1), claim(2));
        assert!(!claims.claim(&task(), known_first.clone()));
        assert!(claims.get(&first).is_some());
        assert!(claims.claim(&task(), known_second));
        claims.take_over(&task(), known_first);
        assert!(claims.get(&first).is_none());
        claims.update(&first, |claim| claim.end = Some(9));
        assert_eq!(claims.get(&second).and_then(|claim| claim.end), Some(3));
        claims.fence(&first);
        assert!(claims.get(&second).is_some());
        claims.fence(&second);
        assert!(claims.get(&second).is_none());
        claims.claim(&task(), claim(4).1);
        claims.end(&task(), 5);
        assert!(claims.get(&claim(4).0).is_none());
        assert!(claims.is_known(&task()));
    }
}
