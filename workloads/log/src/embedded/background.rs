//! What the log does by itself from time to time: retention and measuring its size.

use std::path::Path;
use std::sync::Weak;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use tracing::warn;

use super::log::EmbeddedLog;

/// How often the size is measured.
const EVERY: Duration = Duration::from_secs(10);
/// Retention is enforced every so many times.
const RETENTION_TICKS: u64 = 6;

/// Runs until the log is dropped or closed. `stop` closes with the log.
pub(super) fn run(log: &Weak<EmbeddedLog>, stop: &Receiver<()>) {
    let mut ticks = 0_u64;
    while stop.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
        let Some(log) = log.upgrade() else { return };
        log.measure();
        ticks += 1;
        if ticks.is_multiple_of(RETENTION_TICKS)
            && let Err(error) = log.enforce_retention_blocking(now_ms())
        {
            warn!(message = "Failed to remove what is beyond the retention.", %error);
        }
    }
}

/// The time by the wall clock, in milliseconds since 1970-01-01T00:00:00Z.
pub(super) fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

/// Measures what a folder occupies on disk. Preallocated space counts only where it is used.
pub(super) fn disk_bytes(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let mut bytes = 0;
    for entry in entries.flatten() {
        // A file may go while the folder is read.
        let Ok(metadata) = entry.metadata() else { continue };
        bytes += if metadata.is_dir() { disk_bytes(&entry.path()) } else { allocated(&metadata) };
    }
    bytes
}

#[cfg(unix)]
fn allocated(metadata: &std::fs::Metadata) -> u64 {
    use std::os::unix::fs::MetadataExt;
    metadata.blocks() * 512
}

#[cfg(not(unix))]
fn allocated(metadata: &std::fs::Metadata) -> u64 {
    metadata.len()
}
