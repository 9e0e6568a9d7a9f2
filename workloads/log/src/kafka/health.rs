//! Whether the cluster takes what it is given: what the last attempts showed.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use parking_lot::Mutex;

use crate::AppendError;

/// How long a failed delivery is believed over answers to questions: brokers that answer may
/// still not be able to write.
const HOLD: Duration = Duration::from_secs(5);

/// What appends and questions have met with last.
#[derive(Debug, Default)]
pub(super) struct Health {
    // Asked by every append and told by every confirmation, so it is a flag of its own.
    is_ill: AtomicBool,
    illness: Mutex<Illness>,
    is_closed: AtomicBool,
}

#[derive(Debug, Default)]
struct Illness {
    reason: String,
    held_until: Option<Instant>,
}

impl Health {
    /// Whether an append makes sense now.
    pub(super) fn check(&self) -> Result<(), AppendError> {
        if self.is_closed() {
            return Err(AppendError::Closed);
        }
        if self.is_ill.load(Ordering::Relaxed) {
            return Err(AppendError::Unavailable(self.illness.lock().reason.clone()));
        }
        Ok(())
    }

    /// The cluster did not write something.
    pub(super) fn not_written(&self, reason: String) {
        self.fell_ill(Illness { reason, held_until: Some(Instant::now() + HOLD) });
    }

    /// The cluster did not answer.
    pub(super) fn not_answered(&self, reason: String) {
        self.fell_ill(Illness { reason, held_until: None });
    }

    fn fell_ill(&self, illness: Illness) {
        let was_ill = self.is_ill.swap(true, Ordering::Relaxed);
        if !was_ill {
            tracing::warn!(message = "Kafka does not accept.", reason = illness.reason);
        }
        *self.illness.lock() = illness;
    }

    /// The cluster has written something.
    pub(super) fn written(&self) {
        if self.is_ill.load(Ordering::Relaxed) && self.is_ill.swap(false, Ordering::Relaxed) {
            tracing::info!(message = "Kafka accepts again.");
        }
    }

    /// The cluster has answered a question; what it did not write may be tried again.
    pub(super) fn answered(&self) {
        if self.is_ill.load(Ordering::Relaxed)
            && self.illness.lock().held_until.is_none_or(|until| Instant::now() >= until)
        {
            self.written();
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
        health.not_answered("no broker".to_owned());
        let refused = health.check().unwrap_err();
        assert_eq!(refused.to_string(), "the log does not accept at present: no broker");
        health.answered();
        assert!(health.check().is_ok());
        health.not_written("too few copies".to_owned());
        health.answered();
        assert!(health.check().is_err(), "answers do not show that writing works again");
        health.written();
        assert!(health.check().is_ok());
        assert!(health.close());
        assert!(!health.close());
        assert!(matches!(health.check(), Err(AppendError::Closed)));
    }
}
