//! How far a sink has come in a partition: the offset of its consumer group.
//!
//! It is committed beside the sending and at most ten times a second, so that it costs no latency;
//! after a crash, what was sent since the last commit is sent again. A new group starts at the
//! oldest record that is kept.

use std::sync::Arc;
use std::time::Duration;

use millrace_core::Offset;
use millrace_core::Partition;
use millrace_core::StreamName;
use millrace_log::Log;
use millrace_log::ReadError;
use tokio::sync::watch;
use tracing::warn;

/// Shortest time between two commits of the position.
const COMMIT_EVERY: Duration = Duration::from_millis(100);

/// A position that stays the same is committed again so often: a log may forget what was not
/// committed for days.
const COMMIT_AGAIN: Duration = Duration::from_hours(6);

/// How long a sink waits where the log has more than it gives at present.
const NOTHING_YET: Duration = Duration::from_millis(5);

/// A partition that a group reads.
#[derive(Clone)]
pub(crate) struct GroupPartition {
    pub(crate) log: Arc<dyn Log>,
    pub(crate) group: String,
    pub(crate) stream: StreamName,
    pub(crate) partition: Partition,
}

impl GroupPartition {
    /// Where to begin.
    pub(crate) async fn position(&self) -> Result<Offset, ReadError> {
        let committed = self.log.group_offset(&self.group, &self.stream, self.partition).await?;
        let start = self.log.partition_info(&self.stream, self.partition)?.start;
        if let Some(committed) = committed.filter(|committed| *committed < start) {
            warn!(
                message = "Retention has removed entries before they were sent.",
                group = self.group,
                stream = self.stream.as_str(),
                partition = self.partition,
                from = committed,
                to = start
            );
        }
        Ok(committed.unwrap_or(start).max(start))
    }

    /// Commits positions from time to time, and the last one when their sender is gone.
    pub(crate) async fn commit_all(self, mut positions: watch::Receiver<Offset>) {
        loop {
            let changed = tokio::time::timeout(COMMIT_AGAIN, positions.changed()).await;
            let ended = matches!(changed, Ok(Err(_)));
            let next = *positions.borrow_and_update();
            if let Err(error) =
                self.log.commit_group_offset(&self.group, &self.stream, self.partition, next).await
            {
                // The next commit makes up for it.
                warn!(message = "Failed to commit a sink's position.", group = self.group, %error);
            }
            if ended {
                return;
            }
            // What is confirmed meanwhile is committed together.
            tokio::time::sleep(COMMIT_EVERY).await;
        }
    }

    /// Waits for more, after a read that gave nothing.
    pub(crate) async fn more(&self, known: Offset) {
        if self.log.follow(&self.stream, self.partition).is_ok_and(|end| *end.borrow() > known) {
            tokio::time::sleep(NOTHING_YET).await;
        }
        self.grown(known).await;
    }

    /// Waits until the partition has more than it had.
    pub(crate) async fn grown(&self, known: Offset) {
        let Ok(mut end) = self.log.follow(&self.stream, self.partition) else {
            // The next read says what is wrong.
            return tokio::time::sleep(Duration::from_secs(1)).await;
        };
        if end.wait_for(|end| *end > known).await.is_err() {
            // The log was closed; the next read says so.
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}
