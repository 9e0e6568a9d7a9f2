//! Whether the cluster takes what it is given: what the last attempts showed.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;

use crate::AppendError;

/// What appends and questions have met with last.
#[derive(Debug, Default)]
pub(super) struct Health {
    // Asked by every append and told by every confirmation, so it is a flag of its own.
    is_ill: AtomicBool,
    reason: Mutex<String>,
    is_closed: AtomicBool,
}

impl Health {
    /// Whether an append makes sense now.
    pub(super) fn check(&self) -> Result<(), AppendError> {
        if self.is_closed() {
            return Err(AppendError::Closed);
        }
        if self.is_ill.load(Ordering::Relaxed) {
            return Err(AppendError::Unavailable(self.reason.lock().clone()));
        }
        Ok(())
    }

    /// The cluster did not take something, or did not answer.
    pub(super) fn failed(&self, reason: String) {
        let was_ill = self.is_ill.swap(true, Ordering::Relaxed);
        if !was_ill {
            tracing::warn!(message = "Kafka does not accept.", reason);
        }
        *self.reason.lock() = reason;
    }

    /// The cluster has taken or answered something.
    pub(super) fn works(&self) {
        if self.is_ill.load(Ordering::Relaxed) && self.is_ill.swap(false, Ordering::Relaxed) {
            tracing::info!(message = "Kafka accepts again.");
        }
    }

    /// Nothing is accepted from now on; whether this is the first time.
    pub(super) fn close(&self) -> bool {
        !self.is_closed.swap(true, Ordering::Relaxed)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_until_something_works_again() {
        let health = Health::default();
        assert!(health.check().is_ok());
        health.failed("no broker".to_owned());
        let refused = health.check().unwrap_err();
        assert_eq!(refused.to_string(), "the log does not accept at present: no broker");
        health.works();
        assert!(health.check().is_ok());
        assert!(health.close());
        assert!(!health.close());
        assert!(matches!(health.check(), Err(AppendError::Closed)));
    }
}
