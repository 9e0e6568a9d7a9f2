//! What a connection is doing: counted by what reads and answers, looked at by what watches over
//! it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Counts of one connection. A few relaxed atomics, so that requests pay next to nothing; those
/// over HTTP/2 also pay for a lock that nobody else holds for long.
#[derive(Debug, Default)]
pub(super) struct Activity {
    /// Successful reads, wrapping.
    reads: AtomicU32,
    /// Requests whose answers are not finished.
    requests: AtomicU32,
    /// `reads` when a request last began or an answer last ended.
    reads_then: AtomicU32,
    /// Whether the client does not take what was last written.
    blocked: AtomicBool,
    /// Answers over HTTP/2 that the client is to take, and since when.
    handed: Mutex<Handed>,
}

/// Answers that wait for the client, each with the time of its last progress.
#[derive(Debug, Default)]
struct Handed {
    next: u64,
    since: HashMap<u64, Instant>,
}

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doing {
    /// A request is being answered.
    Answering,
    /// Something has come, but no whole request yet.
    Reading,
    /// Nothing.
    Nothing,
}

impl Activity {
    pub(super) fn read(&self) {
        self.reads.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn set_blocked(&self, blocked: bool) {
        self.blocked.store(blocked, Ordering::Relaxed);
    }

    /// For how long the client has taken nothing of one of the answers that are there for it.
    pub(super) fn stalled(&self) -> Option<Duration> {
        self.handed.lock().since.values().min().map(Instant::elapsed)
    }

    /// There is an answer, which is nowhere waited for yet.
    pub(super) fn answer(&self) -> u64 {
        let mut handed = self.handed.lock();
        handed.next += 1;
        handed.next
    }

    /// Notes whether an answer now waits for the client to take something.
    pub(super) fn set_handed(&self, answer: u64, waits: bool) {
        let mut handed = self.handed.lock();
        if waits {
            handed.since.insert(answer, Instant::now());
        } else {
            handed.since.remove(&answer);
        }
    }

    /// A request has come; its answer is finished when the result is dropped.
    pub(super) fn request(self: &Arc<Self>) -> Answering {
        self.requests.fetch_add(1, Ordering::Relaxed);
        Answering(Arc::clone(self))
    }

    /// Whether a request is being answered.
    pub(super) fn is_answering(&self) -> bool {
        self.requests.load(Ordering::Relaxed) > 0
    }

    pub(super) fn doing(&self) -> Doing {
        if self.requests.load(Ordering::Relaxed) > 0 || self.blocked.load(Ordering::Relaxed) {
            Doing::Answering
        } else if self.reads.load(Ordering::Relaxed) == self.reads_then.load(Ordering::Relaxed) {
            Doing::Nothing
        } else {
            Doing::Reading
        }
    }
}

/// A request that is being answered.
#[derive(Debug)]
pub(super) struct Answering(Arc<Activity>);

impl Drop for Answering {
    fn drop(&mut self) {
        let activity = &self.0;
        activity.reads_then.store(activity.reads.load(Ordering::Relaxed), Ordering::Relaxed);
        activity.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Answering {
    /// What the connection is doing.
    pub(super) fn activity(&self) -> &Activity {
        &self.0
    }
}
