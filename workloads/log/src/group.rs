//! Groups: how the members of a stage or sink, in one process or in many, share its partitions.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;

use millrace_core::Partition;
use millrace_core::StreamName;
use tokio::sync::watch;

/// The partitions that a member has, each with the epoch in which it got it. A partition whose
/// epoch has changed was in other hands meanwhile: whoever works on it must begin anew from what
/// was last committed.
pub type Assignment = BTreeMap<Partition, i64>;

/// A member of a group. It leaves when this goes, and others get its partitions.
pub struct GroupMember {
    assignment: watch::Receiver<Assignment>,
    is_alone: bool,
    _membership: Box<dyn Any + Send + Sync>,
}

impl GroupMember {
    /// A member whose partitions are told by `assignment`, and that leaves when `membership` goes.
    #[must_use]
    pub fn new(
        assignment: watch::Receiver<Assignment>,
        membership: impl Any + Send + Sync,
    ) -> Self {
        Self { assignment, is_alone: false, _membership: Box::new(membership) }
    }

    /// A member of a group of one, which has all partitions.
    #[must_use]
    pub fn alone(partitions: Partition) -> Self {
        let all = (0..partitions).map(|partition| (partition, 0)).collect();
        let (sender, assignment) = watch::channel(all);
        Self { is_alone: true, ..Self::new(assignment, sender) }
    }

    /// Whether nobody else can ever be a member: the partitions stay as they are.
    #[must_use]
    pub const fn is_alone(&self) -> bool {
        self.is_alone
    }

    /// The partitions that the member has at present, and how they change.
    #[must_use]
    pub fn assignment(&self) -> watch::Receiver<Assignment> {
        self.assignment.clone()
    }
}

impl fmt::Debug for GroupMember {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("GroupMember").field(&*self.assignment.borrow()).finish()
    }
}

/// A group that could not be joined.
#[derive(Debug, thiserror::Error)]
pub enum JoinGroupError {
    /// There is no such stream.
    #[error("group `{group}` cannot read stream `{stream}`: there is no such stream")]
    UnknownStream {
        /// The group.
        group: String,
        /// The stream.
        stream: StreamName,
    },
    /// Streams that are read together have different numbers of partitions.
    #[error(
        "group `{group}` reads streams of different numbers of partitions ({partitions}): a partition of one has \
         no counterpart in the other"
    )]
    PartitionCounts {
        /// The group.
        group: String,
        /// Each stream with its number.
        partitions: String,
    },
    /// The log cannot be reached at present.
    #[error("cannot join group `{group}`: {reason}")]
    Unavailable {
        /// The group.
        group: String,
        /// Why not.
        reason: String,
    },
}

/// The number of partitions that streams have in common, which a group shares.
pub(crate) fn joint_partitions(
    group: &str,
    counts: &[(&StreamName, Partition)],
) -> Result<Partition, JoinGroupError> {
    let first = counts.first().map_or(0, |(_, partitions)| *partitions);
    if counts.iter().all(|(_, partitions)| *partitions == first) {
        return Ok(first);
    }
    let each = counts.iter().map(|(stream, partitions)| format!("{stream}: {partitions}"));
    Err(JoinGroupError::PartitionCounts {
        group: group.to_owned(),
        partitions: each.collect::<Vec<_>>().join(", "),
    })
}
