//! Backups: a tar archive of the tables, the log and a manifest, in this order.
//!
//! The tables are copied before the log, so that their positions are never ahead of it. The
//! manifest comes last: it has the length and the hash of everything before, and without it a
//! backup is not whole.

mod manifest;
mod read;
mod stream;
mod write;

pub(crate) use read::RestoreError;
pub(crate) use read::restore;
pub(crate) use read::verify;
pub(crate) use stream::stream;
pub(crate) use write::BackupError;
pub(crate) use write::prepare;
pub(crate) use write::remove_left;
