//! A part of a running pipeline, as it describes itself.

use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;
use serde::Serialize;

/// What kind of part it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ComponentKind {
    /// A way in.
    Ingest,
    /// A stage's task.
    Task,
    /// A sink's reader of one stream's partition.
    Sink,
    /// A server: the MQTT endpoint or the HTTP port.
    Endpoint,
}

/// What a part is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", content = "reason", rename_all = "camelCase")]
pub enum State {
    /// It is restoring, connecting or binding.
    Starting,
    /// It does its work.
    Running,
    /// It cannot work at present, and tries again; with the reason.
    Waiting(String),
    /// It has given up, with the reason.
    Failed(String),
    /// It has come to the end of its input or was stopped.
    Finished,
}

/// Which part it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ComponentId {
    /// Its kind.
    pub kind: ComponentKind,
    /// Its name: the stage's, the sink's, the way in's.
    pub name: String,
    /// The stream that it reads, where there may be several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
    /// The partition, where it works on one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition: Option<i32>,
}

/// A part's current state and figures.
#[derive(Debug)]
pub struct Component {
    /// Which part it is.
    pub id: ComponentId,
    state: Mutex<State>,
    lag: AtomicI64,
    watermark: AtomicI64,
}

/// Stands for "no watermark yet" in the atomic.
const NO_WATERMARK: i64 = i64::MIN;

impl Component {
    pub(crate) fn new(id: ComponentId) -> Self {
        Self {
            id,
            state: Mutex::new(State::Starting),
            lag: AtomicI64::new(0),
            watermark: AtomicI64::new(NO_WATERMARK),
        }
    }

    /// Says what the part is doing from now on.
    pub fn set(&self, state: State) {
        *self.state.lock() = state;
    }

    /// What the part is doing.
    #[must_use]
    pub fn state(&self) -> State {
        self.state.lock().clone()
    }

    /// Says how many offsets the part is behind the end of what it reads.
    pub fn set_lag(&self, offsets: i64) {
        self.lag.store(offsets, Ordering::Relaxed);
    }

    /// Consumer lag in offsets.
    #[must_use]
    pub fn lag(&self) -> i64 {
        self.lag.load(Ordering::Relaxed)
    }

    /// Says how far the part has come in event time (milliseconds).
    pub fn set_watermark(&self, millis: i64) {
        self.watermark.store(millis, Ordering::Relaxed);
    }

    /// How far the part has come in event time, in milliseconds.
    #[must_use]
    pub fn watermark(&self) -> Option<i64> {
        Some(self.watermark.load(Ordering::Relaxed)).filter(|w| *w != NO_WATERMARK)
    }
}
