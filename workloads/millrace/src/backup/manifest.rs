//! The manifest of a backup.

use serde::Deserialize;
use serde::Serialize;

/// Format of backups; later programs read earlier ones.
pub(super) const FORMAT: u32 = 1;

/// Its name in a backup.
pub(super) const MANIFEST: &str = "manifest.json";
/// The name of the tables in a backup.
pub(super) const TABLES: &str = "tables.sqlite";
/// Begins the names of the log's parts.
pub(super) const LOG: &str = "log/";

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    /// Version of all this.
    pub(super) format: u32,
    /// When it was begun, in milliseconds since 1970.
    pub(super) begun: i64,
    /// Everything before the manifest, in its order.
    pub(super) entries: Vec<Entry>,
}

/// A file of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Its name.
    pub(super) name: String,
    /// Its length.
    pub(super) bytes: u64,
    /// Its BLAKE3 hash, as hexadecimal digits.
    pub(super) blake3: String,
}
