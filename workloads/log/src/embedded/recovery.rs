//! Getting the log to accept again after a failed write, without losing what was acknowledged and
//! without keeping what was refused.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use super::journal;
use super::load;
use super::shared::Shared;
use super::store::Store;
use crate::AppendError;
use crate::StorageError;

const FIRST_BACKOFF: Duration = Duration::from_millis(50);
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);
/// Free space that must be there before the log accepts again, in bytes.
const PROBE_BYTES: usize = 2 << 20;
/// Failing again this soon after a recovery counts as the same trouble.
const SAME_TROUBLE: Duration = Duration::from_secs(30);

/// A time in which the log does not accept.
#[derive(Debug)]
pub(super) struct Recovery {
    reason: String,
    since: Instant,
    backoff: Duration,
    retry_at: Instant,
}

impl Recovery {
    /// Begins one; `last` is the one before, if there was one.
    pub(super) fn begin(reason: String, last: Option<Self>) -> Self {
        let now = Instant::now();
        let backoff = match last {
            Some(last) if last.retry_at + SAME_TROUBLE > now => {
                (last.backoff * 2).min(LONGEST_BACKOFF)
            }
            _ => FIRST_BACKOFF,
        };
        Self { reason, since: now, backoff, retry_at: now + backoff }
    }

    /// Goes on after an attempt that failed.
    pub(super) fn again(self, reason: String) -> Self {
        let backoff = (self.backoff * 2).min(LONGEST_BACKOFF);
        Self { reason, backoff, retry_at: Instant::now() + backoff, ..self }
    }

    /// When to try next.
    pub(super) fn retry_at(&self) -> Instant {
        self.retry_at
    }

    /// How long it has lasted.
    pub(super) fn lasted(&self) -> Duration {
        self.since.elapsed()
    }

    /// What callers are told.
    pub(super) fn error(&self) -> AppendError {
        AppendError::Unavailable(self.reason.clone())
    }
}

/// Gives up the writer's hold of the database and waits until the last reader has done so too,
/// since it can be opened only once.
pub(super) fn close_store(store: Arc<Store>) {
    let weak = Arc::downgrade(&store);
    drop(store);
    while weak.strong_count() > 0 {
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// Opens the database anew, exactly as it was after the group with this number: what was written
/// of later ones was refused to its callers and must not appear.
pub(super) fn reopen_store(shared: &Shared, number: u64) -> Result<Store, StorageError> {
    journal::cut_after(&shared.options.folder, number)?;
    let store = Store::open(&shared.options)?;
    for stream in shared.streams.all() {
        let partitions = i32::try_from(stream.partitions.len())?;
        let first_slot = stream.partitions.first().map_or(0, |partition| partition.slot);
        store.add_partitions(first_slot, &stream.name, partitions)?;
    }
    let found = load::group_number(&store)?;
    if found == number {
        Ok(store)
    } else {
        Err(format!("group {number} was acknowledged, but the last one found is {found}").into())
    }
}

/// Tries whether there is room to write.
pub(super) fn probe(folder: &Path) -> Result<(), String> {
    let path = folder.join("probe");
    let written = File::create(&path).and_then(|mut file| {
        file.write_all(&vec![1; PROBE_BYTES])?;
        file.sync_data()
    });
    let removed = std::fs::remove_file(&path);
    written.and(removed).map_err(|error| error.to_string())
}
