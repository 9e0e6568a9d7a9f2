//! What callers ask of the writer, and how they are answered.

use std::sync::Arc;

use millrace_core::Offset;
use millrace_core::StreamName;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::oneshot;

use super::streams::PartitionState;
use crate::Append;
use crate::AppendError;
use crate::CommitTaskError;
use crate::EnsureStreamsError;
use crate::StreamConfig;
use crate::TaskClaim;
use crate::TaskCommit;
use crate::TaskName;

/// A request in the writer's queue; the permit is its share of the queue's bytes.
pub(super) struct Queued {
    pub(super) request: Request,
    pub(super) permit: Option<OwnedSemaphorePermit>,
}

/// One request.
pub(super) enum Request {
    Append {
        entries: Vec<Append>,
        reply: oneshot::Sender<Result<Vec<Offset>, AppendError>>,
    },
    CommitTask {
        claim: TaskClaim,
        commit: TaskCommit,
        reply: oneshot::Sender<Result<Vec<Offset>, CommitTaskError>>,
    },
    CommitGroupOffset {
        key: Vec<u8>,
        next: Offset,
        reply: oneshot::Sender<Result<(), AppendError>>,
    },
    ClaimTask {
        task: TaskName,
        reply: oneshot::Sender<Result<i64, AppendError>>,
    },
    MoveStart {
        partition: Arc<PartitionState>,
        start: Offset,
        reply: oneshot::Sender<Result<(), AppendError>>,
    },
    Remove {
        streams: Vec<StreamName>,
        tasks: Vec<TaskName>,
        reply: oneshot::Sender<Result<(), AppendError>>,
    },
    EnsureStreams {
        streams: Vec<StreamConfig>,
        reply: oneshot::Sender<Result<(), EnsureStreamsError>>,
    },
    Close {
        reply: oneshot::Sender<()>,
    },
}

/// An answer that is given once the group is durable, or has failed as a whole. Callers who no
/// longer wait are passed over.
pub(super) enum Answer {
    Appended(oneshot::Sender<Result<Vec<Offset>, AppendError>>, Vec<Offset>),
    Committed(oneshot::Sender<Result<Vec<Offset>, CommitTaskError>>, Vec<Offset>),
    Claimed(oneshot::Sender<Result<i64, AppendError>>, i64),
    Done(oneshot::Sender<Result<(), AppendError>>),
}

impl Answer {
    pub(super) fn succeed(self) {
        match self {
            Self::Appended(reply, offsets) => drop(reply.send(Ok(offsets))),
            Self::Committed(reply, offsets) => drop(reply.send(Ok(offsets))),
            Self::Claimed(reply, epoch) => drop(reply.send(Ok(epoch))),
            Self::Done(reply) => drop(reply.send(Ok(()))),
        }
    }

    pub(super) fn fail(self, error: &AppendError) {
        match self {
            Self::Appended(reply, _) => drop(reply.send(Err(error.clone()))),
            Self::Committed(reply, _) => drop(reply.send(Err(error.clone().into()))),
            Self::Claimed(reply, _) => drop(reply.send(Err(error.clone()))),
            Self::Done(reply) => drop(reply.send(Err(error.clone()))),
        }
    }
}

impl Request {
    /// Answers without doing anything.
    pub(super) fn refuse(self, error: &AppendError) {
        match self {
            Self::Append { reply, .. } => Answer::Appended(reply, Vec::new()).fail(error),
            Self::CommitTask { reply, .. } => Answer::Committed(reply, Vec::new()).fail(error),
            Self::ClaimTask { reply, .. } => Answer::Claimed(reply, 0).fail(error),
            Self::CommitGroupOffset { reply, .. }
            | Self::MoveStart { reply, .. }
            | Self::Remove { reply, .. } => Answer::Done(reply).fail(error),
            Self::EnsureStreams { streams, reply } => {
                // Whoever asks for no stream has nothing that could fail.
                let result = streams.first().map_or(Ok(()), |config| {
                    Err(EnsureStreamsError::Create {
                        stream: config.name.clone(),
                        source: error.clone(),
                    })
                });
                drop(reply.send(result));
            }
            Self::Close { reply } => drop(reply.send(())),
        }
    }
}
