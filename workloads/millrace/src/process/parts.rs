//! Parts of a pipeline that stop together.

use std::future::Future;
use std::time::Duration;

use millrace_core::with_causes;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::error;
use tracing::warn;

/// How long each group of parts may take to stop, if nothing else is said. All of them together stay below 5 seconds.
pub(super) const STOP_PATIENCE: Duration = Duration::from_millis(1100);

/// Parts that stop together.
pub(super) struct Parts {
    pub(super) stop: CancellationToken,
    pub(super) tasks: TaskTracker,
    patience: Duration,
}

impl Default for Parts {
    fn default() -> Self {
        Self::with(STOP_PATIENCE)
    }
}

impl Parts {
    /// Parts that may take so long to stop.
    pub(super) fn with(patience: Duration) -> Self {
        Self { stop: CancellationToken::new(), tasks: TaskTracker::new(), patience }
    }

    /// How long they may take to stop.
    pub(super) const fn patience(&self) -> Duration {
        self.patience
    }

    /// Starts a part; its failure is logged. It also shows in the part's own state.
    pub(super) fn start<E: std::error::Error + Send + 'static>(
        &self,
        name: &'static str,
        part: impl Future<Output = Result<(), E>> + Send + 'static,
    ) {
        self.tasks.spawn(async move {
            if let Err(error) = part.await {
                error!(message = "A part has failed.", part = name, error = with_causes(&error));
            }
        });
    }

    /// Stops them, and waits until they have stopped.
    pub(super) async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(self.patience, self.tasks.wait()).await.is_err() {
            warn!(message = "Some parts did not stop in time; what they were doing is undone.");
        }
    }
}
