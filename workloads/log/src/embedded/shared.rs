//! What the writer shares with the log's callers.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::folder::FolderLock;
use super::options::EmbeddedLogOptions;
use super::store::Store;
use super::streams::Streams;
use crate::AppendError;
use crate::ReadError;

/// The database below the log, as readers find it.
#[derive(Clone)]
pub(super) enum StoreState {
    /// Open.
    Open(Arc<Store>),
    /// About to be open again.
    Reopening,
    /// It could not be reopened; the writer tries again from time to time.
    Failed(String),
    /// The log was closed.
    Closed,
}

/// What the log has done since it was opened.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) records: AtomicU64,
    pub(super) syncs: AtomicU64,
    pub(super) sync_micros: AtomicU64,
    pub(super) disk_bytes: AtomicU64,
}

impl Counters {
    /// Counts a group.
    pub(super) fn synced(&self, records: u64, took: Duration) {
        self.records.fetch_add(records, Relaxed);
        self.syncs.fetch_add(1, Relaxed);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.sync_micros.fetch_add(micros, Relaxed);
    }
}

/// State shared by the writer, the background work and all callers.
pub(super) struct Shared {
    pub(super) options: EmbeddedLogOptions,
    pub(super) streams: Streams,
    pub(super) counters: Counters,
    /// Given up when the log is closed.
    pub(super) lock: Mutex<Option<FolderLock>>,
    /// Whether the last retention deleted tables.
    pub(super) tables_deleted: AtomicBool,
    /// Copies that are being taken; meanwhile nothing is removed.
    pub(super) copies: AtomicUsize,
    store: watch::Sender<StoreState>,
    writable: Mutex<Result<(), AppendError>>,
}

impl Shared {
    pub(super) fn new(
        options: EmbeddedLogOptions,
        streams: Streams,
        lock: FolderLock,
        store: Arc<Store>,
    ) -> Self {
        Self {
            options,
            streams,
            counters: Counters::default(),
            lock: Mutex::new(Some(lock)),
            tables_deleted: AtomicBool::new(false),
            copies: AtomicUsize::new(0),
            store: watch::Sender::new(StoreState::Open(store)),
            writable: Mutex::new(Ok(())),
        }
    }

    pub(super) fn set_store(&self, state: StoreState) {
        self.store.send_replace(state);
    }

    pub(super) fn set_writable(&self, writable: Result<(), AppendError>) {
        *self.writable.lock() = writable;
    }

    /// Whether the log accepts now.
    pub(super) fn check_writable(&self) -> Result<(), AppendError> {
        if matches!(*self.store.borrow(), StoreState::Closed) {
            return Err(AppendError::Closed);
        }
        self.writable.lock().clone()
    }

    /// The database, if it is open now.
    pub(super) fn open_store(&self) -> Option<Arc<Store>> {
        match &*self.store.borrow() {
            StoreState::Open(store) => Some(store.clone()),
            _ => None,
        }
    }

    /// The database, once it is open.
    pub(super) async fn store(&self) -> Result<Arc<Store>, ReadError> {
        if let StoreState::Open(store) = &*self.store.borrow() {
            return Ok(store.clone());
        }
        let mut store = self.store.subscribe();
        let state = store.wait_for(|state| !matches!(state, StoreState::Reopening)).await;
        match state.as_deref() {
            Ok(StoreState::Open(store)) => Ok(store.clone()),
            Ok(StoreState::Failed(reason)) => Err(ReadError::Storage(reason.clone().into())),
            _ => Err(ReadError::Storage("the log is closed".into())),
        }
    }
}
