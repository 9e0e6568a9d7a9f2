//! Commits of a task: when one is due, and the one that is under way while the task goes on.
//!
//! At most one is under way. What it holds is as it was when it began; the next one waits for it,
//! and when it fails the task ends, and begins anew from the last one that was made.

use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;

use millrace_log::CommitTaskError;
use millrace_log::Log;
use millrace_log::TaskClaim;
use millrace_log::TaskCommit;
use tokio::task::JoinError;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use crate::error::TaskError;
use crate::task::Source;
use crate::task::Task;

/// Progress without outputs is committed after so many records or so much time, so that a
/// restart reads little again.
const COMMIT_RECORDS: u64 = 50_000;
const COMMIT_INTERVAL: Duration = Duration::from_secs(1);

/// So many outputs, and so many bytes of them, are committed in any case.
const COMMIT_OUTPUTS: usize = 50_000;
const COMMIT_BYTES: usize = 8 << 20;

/// A commit that is under way. It is broken off with its task.
pub(crate) struct Committing {
    task: AbortOnDropHandle<Result<Committed, CommitTaskError>>,
}

/// A commit that was made.
#[derive(Debug)]
pub(crate) struct Committed {
    took: Duration,
    at: SystemTime,
}

/// How a commit ended.
pub(crate) type CommitEnd = Result<Result<Committed, CommitTaskError>, JoinError>;

impl Committing {
    fn begin(log: Arc<dyn Log>, claim: TaskClaim, commit: TaskCommit) -> Self {
        let task = tokio::spawn(async move {
            let started = Instant::now();
            log.commit_task(&claim, commit).await?;
            Ok(Committed { took: started.elapsed(), at: SystemTime::now() })
        });
        Self { task: AbortOnDropHandle::new(task) }
    }

    fn is_finished(&self) -> bool {
        self.task.is_finished()
    }

    /// Waits for its end, which is told once.
    pub(crate) async fn end(&mut self) -> CommitEnd {
        (&mut self.task).await
    }
}

impl Task {
    /// Begins a commit if one is due. What is due while another is under way goes with the next
    /// one, unless it has become too much to wait for.
    pub(crate) async fn commit_what_is_due(&mut self) -> Result<(), TaskError> {
        if self.committing.as_ref().is_some_and(Committing::is_finished) {
            self.settle().await?;
        }
        let is_pressing = self.is_full() || self.uncommitted >= COMMIT_RECORDS;
        if is_pressing || self.committing.is_none() && self.commit_is_due() {
            self.commit().await?;
        }
        Ok(())
    }

    /// Outputs go out at once, unless the task is behind its input by more than it reads at once:
    /// then larger commits bring it forward sooner.
    fn commit_is_due(&self) -> bool {
        let anything = self.operators.waiting() > 0 || self.outbox.is_due(self.released_to);
        anything && !self.is_behind()
            || self.commit_deadline().is_some_and(|deadline| deadline <= Instant::now())
    }

    pub(crate) fn is_full(&self) -> bool {
        self.operators.waiting() >= COMMIT_OUTPUTS
            || self.operators.waiting_bytes() + self.outbox.bytes() >= COMMIT_BYTES
    }

    fn is_behind(&self) -> bool {
        self.furthest_behind().is_some_and(|source| {
            let Source { input, end, .. } = &self.sources[source];
            usize::try_from(*end.borrow() - input.next).is_ok_and(|lag| lag >= self.batch.entries)
        })
    }

    /// When what was read is to be committed, whatever came of it.
    pub(crate) fn commit_deadline(&self) -> Option<Instant> {
        self.uncommitted_since.map(|since| since + COMMIT_INTERVAL)
    }

    /// Begins to commit what was processed since the last commit, once that is made; nothing if
    /// there is nothing.
    pub(crate) async fn commit(&mut self) -> Result<(), TaskError> {
        self.settle().await?;
        if self.uncommitted == 0
            && !self.outbox.is_due(self.released_to)
            && self.operators.waiting() == 0
        {
            return Ok(());
        }
        let made = self.operators.take_made();
        self.metrics.made(&made, &self.operators);
        self.outbox.add(made);
        let (released_to, raised_to) = (self.released_to, self.raised_to);
        let positions = self
            .sources
            .iter_mut()
            .map(|source| source.input.commit(released_to, raised_to))
            .collect();
        let commit = self.outbox.take(self.operators.take_changes(), positions, released_to);
        if let Some(traced) = &mut self.traced {
            traced.commit();
        }
        self.uncommitted = 0;
        self.uncommitted_since = None;
        let (log, claim) = (Arc::clone(&self.log), self.claim.clone());
        self.committing = Some(Committing::begin(log, claim, commit));
        Ok(())
    }

    /// Commits everything, and waits until that is done.
    pub(crate) async fn commit_all(&mut self) -> Result<(), TaskError> {
        self.commit().await?;
        self.settle().await
    }

    /// Waits for the commit that is under way, if one is.
    async fn settle(&mut self) -> Result<(), TaskError> {
        let Some(committing) = &mut self.committing else { return Ok(()) };
        let end = committing.end().await;
        self.committed(end)
    }

    /// Takes note of the end of the commit that was under way.
    pub(crate) fn committed(&mut self, end: CommitEnd) -> Result<(), TaskError> {
        self.committing = None;
        let task = || self.name.to_string();
        let Committed { took, at } = end
            .map_err(|source| TaskError::Unexpected { task: task(), source })?
            .map_err(|source| TaskError::Commit { task: task(), source })?;
        self.metrics.committed(took, at);
        if let Some(traced) = &mut self.traced {
            traced.committed();
        }
        self.component.set_lag(self.lag());
        Ok(())
    }
}
