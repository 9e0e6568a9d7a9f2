//! What a connection is doing: counted by what reads and answers, looked at by what watches over
//! it.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;

/// Counts of one connection. A few relaxed atomics, so that requests pay next to nothing.
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
    /// Whether a request has become a tunnel, whose end is not seen here.
    tunnels: AtomicBool,
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

    /// A request has become a tunnel: a WebSocket over HTTP/2.
    pub(super) fn set_tunnels(&self) {
        self.tunnels.store(true, Ordering::Relaxed);
    }

    pub(super) fn has_tunnels(&self) -> bool {
        self.tunnels.load(Ordering::Relaxed)
    }

    /// Changes with every read.
    pub(super) fn reads(&self) -> u32 {
        self.reads.load(Ordering::Relaxed)
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
