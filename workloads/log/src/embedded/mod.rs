//! The log in one folder of one process, on fjall.
//!
//! # On disk
//!
//! - `lock`: held by the process that has the log open, which it names.
//! - `format`: the version of everything below, in decimal digits.
//! - `acknowledged`: the number of the last durable group, see `acknowledged`.
//! - `database/`: the fjall database, with these keyspaces:
//!   - `<stream>/<partition>`, one for each partition: chunks of entries (see `chunk`) under the
//!     big-endian offset of their first entry. Keys only grow, so tables never overlap and are
//!     never rewritten, and retention deletes whole tables.
//!   - `meta`: bookkeeping (see `keys` and `saved`): the number of the last group, streams,
//!     each partition's extent and times, offsets of consumer groups, epochs and positions of tasks.
//!   - `state`: the states of tasks under (task, store, key).
//!
//! # Writing
//!
//! A single thread, see `writer`, writes groups: all that waits goes into one batch of the
//! journal and is synced once. The first item of a batch is the group's number, which grows by
//! one; so a gap in the journals is noticed at start, see `journal`.

mod acknowledged;
mod background;
mod backup;
mod chunk;
mod folder;
mod group;
mod journal;
mod keys;
mod load;
mod log;
mod open;
mod options;
mod read;
mod recovery;
mod removal;
mod request;
mod retention;
mod saved;
mod shared;
mod store;
mod streams;
mod verify;
mod writer;

pub use backup::CopyLogError;
pub use backup::LogCopy;
pub use backup::RestoreLogError;
pub use backup::restore;
pub use log::EmbeddedLog;
pub use options::EmbeddedLogOptions;
pub use options::MAX_ENTRY_BYTES;
pub use options::MAX_STATE_KEY_BYTES;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use async_trait::async_trait;
    use tempfile::TempDir;

    use super::*;
    use crate::Log;
    use crate::conformance::LogFactory;

    struct Folder(TempDir);

    impl Folder {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }
    }

    #[async_trait]
    impl LogFactory for Folder {
        async fn open(&self) -> Arc<dyn Log> {
            EmbeddedLog::open(EmbeddedLogOptions::new(self.0.path())).unwrap()
        }
    }

    crate::conformance_tests!(Folder::new());
}
