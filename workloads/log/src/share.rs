//! Work that the members of a group share: a piece for each partition, done where the partition
//! is.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::future::Future;
use std::time::Duration;

use millrace_core::Partition;
use millrace_core::StreamName;
use tokio::sync::watch;
use tokio::task::Id;
use tokio::task::JoinError;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::Assignment;
use crate::GroupMember;
use crate::JoinGroupError;
use crate::Log;

/// Pauses between attempts to join while the log cannot be reached.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How long work on a partition that is lost may take to end; then it is broken off.
const LOST_PATIENCE: Duration = Duration::from_secs(2);

/// A partition that has fallen to this process, for whoever works on it.
#[derive(Debug, Clone)]
pub struct Assigned {
    /// The partition.
    pub partition: Partition,
    /// Another one each time the partition comes from other hands.
    pub epoch: i64,
    /// Whether it can never go elsewhere. Otherwise being fenced may mean that a change of hands
    /// is about to be told.
    pub is_ours_alone: bool,
    /// Cancelled when the partition goes elsewhere: what was not committed is to be dropped, at
    /// once.
    pub lost: CancellationToken,
    /// Cancelled then, and when everything is to stop.
    pub stop: CancellationToken,
}

/// What whoever shares work learns of it.
#[derive(Debug)]
pub enum ShareNews<'a> {
    /// The group cannot be joined for the time being; this is tried again.
    Waiting(&'a JoinGroupError),
    /// It is joined, and work on all partitions that fell to this process at once has begun.
    Joined,
    /// The work on a partition has ended because it is elsewhere, or was meanwhile.
    Gone(Partition),
}

/// Shared work that could not go on.
#[derive(Debug, thiserror::Error)]
pub enum ShareError<E> {
    /// The group cannot be joined.
    #[error(transparent)]
    Join(JoinGroupError),
    /// The work on a partition failed.
    #[error("the work on a partition failed")]
    Work(E),
    /// The work on a partition ended by a defect.
    #[error("the work on a partition broke off")]
    Broken(JoinError),
}

/// Joins a group over some streams, as [`Log::join_group`] says, and works on the partitions that
/// fall to this process, each in a task of its own, until `stop` is cancelled and all work has
/// ended by itself. A partition that is lost has its work stopped; one that comes back, or whose
/// epoch has changed, has it begun anew. The group is left when all work has ended.
///
/// While the log cannot be reached the joining is tried again; `tell` learns of it.
///
/// # Errors
/// When the group cannot be joined for good, and else the first failure of the work on a
/// partition. It is told at the end: work on other partitions goes on. Where this process is alone
/// the end is also when all work has ended.
pub async fn share<E, F>(
    log: &dyn Log,
    group: &str,
    streams: &[StreamName],
    stop: &CancellationToken,
    mut tell: impl FnMut(ShareNews<'_>),
    work: impl FnMut(Assigned) -> F,
) -> Result<(), ShareError<E>>
where
    E: Send + 'static,
    F: Future<Output = Result<(), E>> + Send + 'static,
{
    let mut pause = FIRST_PAUSE;
    let member = loop {
        match stop.run_until_cancelled(log.join_group(group, streams)).await {
            None => return Ok(()),
            Some(Ok(member)) => break member,
            Some(Err(error @ JoinGroupError::Unavailable { .. })) => {
                tell(ShareNews::Waiting(&error));
                if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                    return Ok(());
                }
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            Some(Err(error)) => return Err(ShareError::Join(error)),
        }
    };
    share_as(member, stop, tell, work).await
}

/// The same for a member of a group that has been joined.
///
/// # Errors
/// As [`share`].
pub async fn share_as<E, F>(
    member: GroupMember,
    stop: &CancellationToken,
    mut tell: impl FnMut(ShareNews<'_>),
    work: impl FnMut(Assigned) -> F,
) -> Result<(), ShareError<E>>
where
    E: Send + 'static,
    F: Future<Output = Result<(), E>> + Send + 'static,
{
    let mut pieces = Pieces::new(&member, stop, work);
    pieces.follow_assignment();
    tell(ShareNews::Joined);
    pieces.run(tell).await
}

/// The work on the partitions that a member has.
struct Pieces<E, W> {
    assignment: watch::Receiver<Assignment>,
    is_alone: bool,
    stop: CancellationToken,
    work: W,
    tasks: JoinSet<Result<(), E>>,
    /// The partition that each task works on.
    partitions: HashMap<Id, Partition>,
    by_partition: BTreeMap<Partition, Piece>,
}

/// The work on a partition at an epoch: under way, or ended by itself.
struct Piece {
    epoch: i64,
    lost: CancellationToken,
    is_running: bool,
}

impl<E, F, W> Pieces<E, W>
where
    E: Send + 'static,
    F: Future<Output = Result<(), E>> + Send + 'static,
    W: FnMut(Assigned) -> F,
{
    fn new(member: &GroupMember, stop: &CancellationToken, work: W) -> Self {
        Self {
            assignment: member.assignment(),
            is_alone: member.is_alone(),
            stop: stop.clone(),
            work,
            tasks: JoinSet::new(),
            partitions: HashMap::new(),
            by_partition: BTreeMap::new(),
        }
    }

    async fn run(mut self, mut tell: impl FnMut(ShareNews<'_>)) -> Result<(), ShareError<E>> {
        let mut result = Ok(());
        let mut is_told = true;
        loop {
            let is_over = self.stop.is_cancelled() || self.is_alone;
            if is_over && self.tasks.is_empty() {
                return result;
            }
            tokio::select! {
                Some(ended) = self.tasks.join_next_with_id() => {
                    let (id, ended) = match ended {
                        Ok((id, ended)) => (id, ended.map_err(ShareError::Work)),
                        Err(error) => (error.id(), Err(ShareError::Broken(error))),
                    };
                    result = result.and(ended);
                    if let Some(partition) = self.ended(id) {
                        tell(ShareNews::Gone(partition));
                    }
                    self.follow_assignment();
                }
                changed = self.assignment.changed(), if is_told => {
                    // A log that is closed tells of nothing any more; the stop comes next.
                    is_told = changed.is_ok();
                    self.follow_assignment();
                }
                () = self.stop.cancelled(), if !self.stop.is_cancelled() => {}
            }
        }
    }

    /// Stops work on partitions that are not ours any more, and begins it on new ones, where
    /// earlier work on the same partition has ended.
    fn follow_assignment(&mut self) {
        let assignment = self.assignment.borrow_and_update().clone();
        self.by_partition.retain(|partition, piece| {
            let is_ours = assignment.get(partition) == Some(&piece.epoch);
            if !is_ours {
                piece.lost.cancel();
            }
            is_ours || piece.is_running
        });
        if self.stop.is_cancelled() {
            return;
        }
        for (partition, epoch) in assignment {
            if !self.by_partition.contains_key(&partition) {
                self.begin(partition, epoch);
            }
        }
    }

    fn begin(&mut self, partition: Partition, epoch: i64) {
        let (lost, stop) = (CancellationToken::new(), self.stop.child_token());
        let assigned = Assigned {
            partition,
            epoch,
            is_ours_alone: self.is_alone,
            lost: lost.clone(),
            stop: stop.clone(),
        };
        let (work, is_lost) = ((self.work)(assigned), lost.clone());
        let task = self.tasks.spawn(async move {
            let breaking_off = async {
                is_lost.cancelled().await;
                stop.cancel();
                tokio::time::sleep(LOST_PATIENCE).await;
            };
            tokio::select! {
                result = work => result,
                () = breaking_off => Ok(()),
            }
        });
        self.partitions.insert(task.id(), partition);
        self.by_partition.insert(partition, Piece { epoch, lost, is_running: true });
    }

    /// Takes note of the end of work; the partition if it is lost.
    fn ended(&mut self, id: Id) -> Option<Partition> {
        let partition = self.partitions.remove(&id)?;
        let piece = self.by_partition.get_mut(&partition)?;
        piece.is_running = false;
        piece.lost.is_cancelled().then_some(partition)
    }
}
