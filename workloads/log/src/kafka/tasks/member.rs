//! A member of a group: what is shared between the thread that takes part in the group and the
//! one that commits.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use millrace_core::Partition;
use parking_lot::Condvar;
use parking_lot::Mutex;
use rdkafka::consumer::ConsumerGroupMetadata;
use tokio::sync::watch;

use super::membership::Membership;
use super::membership::Standing;
use crate::Assignment;

/// A member of a group.
pub(super) struct Member {
    inner: Mutex<Inner>,
    committed: Condvar,
    assignment: watch::Sender<Assignment>,
    ended: watch::Sender<bool>,
    shared_out: watch::Sender<bool>,
}

#[derive(Default)]
struct Inner {
    membership: Membership,
    metadata: Option<Arc<ConsumerGroupMetadata>>,
    rebalances: u64,
    is_committing: bool,
}

/// What a transaction needs of a member.
pub(super) struct Pass {
    /// Proves the member's generation to the brokers.
    pub(super) metadata: Arc<ConsumerGroupMetadata>,
    /// How many rebalances there were: between two the partitions may have been in other hands
    /// without the member having been told.
    pub(super) rebalances: u64,
}

impl Member {
    pub(super) fn new() -> Self {
        Self {
            inner: Mutex::default(),
            committed: Condvar::new(),
            assignment: watch::channel(Assignment::new()).0,
            ended: watch::channel(false).0,
            shared_out: watch::channel(false).0,
        }
    }

    /// The partitions, and how they change.
    pub(super) fn assignment(&self) -> watch::Receiver<Assignment> {
        self.assignment.subscribe()
    }

    /// The epoch of a partition, if it is ours.
    pub(super) fn epoch(&self, partition: Partition) -> Option<i64> {
        self.inner.lock().membership.epoch(partition)
    }

    /// How many rebalances there were.
    pub(super) fn rebalances(&self) -> u64 {
        self.inner.lock().rebalances
    }

    /// How a claim stands that was made in an epoch of a partition.
    pub(super) fn standing(&self, partition: Partition, epoch: Option<i64>) -> Standing {
        self.inner.lock().membership.standing(partition, epoch)
    }

    /// Begins to commit: a rebalance waits from now on until [`Member::end_commit`]. None while a
    /// rebalance is under way, or outside of the group.
    pub(super) fn begin_commit(&self) -> Option<Pass> {
        let mut inner = self.inner.lock();
        if inner.membership.is_rebalancing() {
            return None;
        }
        let metadata = Arc::clone(inner.metadata.as_ref()?);
        inner.is_committing = true;
        Some(Pass { metadata, rebalances: inner.rebalances })
    }

    /// The transaction has ended.
    pub(super) fn end_commit(&self) {
        self.inner.lock().is_committing = false;
        self.committed.notify_all();
    }

    /// The group is shared out anew: no commit begins until it is. Waits for one that is under
    /// way, so that its partition does not go before it has ended, though not for ever.
    pub(super) fn revoked(&self, patience: Duration) {
        let deadline = Instant::now() + patience;
        let mut inner = self.inner.lock();
        inner.membership.revoked();
        while inner.is_committing {
            if self.committed.wait_until(&mut inner, deadline).timed_out() {
                return;
            }
        }
    }

    /// The group is shared out.
    pub(super) fn assigned(
        &self,
        partitions: &BTreeSet<Partition>,
        metadata: ConsumerGroupMetadata,
        epoch: i64,
    ) {
        let mut inner = self.inner.lock();
        inner.membership.assigned(partitions, epoch);
        inner.metadata = Some(Arc::new(metadata));
        inner.rebalances += 1;
        self.publish(&inner);
        self.shared_out.send_replace(true);
    }

    /// Nothing is ours any more.
    pub(super) fn lost(&self) {
        let mut inner = self.inner.lock();
        inner.membership.lost();
        inner.metadata = None;
        inner.rebalances += 1;
        self.publish(&inner);
    }

    fn publish(&self, inner: &Inner) {
        let partitions = inner.membership.partitions();
        self.assignment.send_if_modified(|known| {
            let changed = known != partitions;
            known.clone_from(partitions);
            changed
        });
    }

    /// The member has left the group.
    pub(super) fn left(&self) {
        self.lost();
        self.ended.send_replace(true);
    }

    /// Whether the member has left.
    pub(super) fn has_left(&self) -> bool {
        *self.ended.borrow()
    }

    /// Waits until the member knows for the first time what it has, be it nothing.
    pub(super) async fn wait_until_shared_out(&self) {
        // The sender is in here: it cannot be gone.
        let _ = self.shared_out.subscribe().wait_for(|shared_out| *shared_out).await;
    }

    /// Waits until the member has left the group.
    pub(super) async fn wait_until_left(&self) {
        // The sender is in here: it cannot be gone.
        let _ = self.ended.subscribe().wait_for(|ended| *ended).await;
    }
}
