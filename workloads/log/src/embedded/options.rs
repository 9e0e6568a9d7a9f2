//! Settings of the embedded log and the limits of what it accepts.

use std::path::PathBuf;

/// How to open the embedded log.
#[derive(Debug, Clone)]
pub struct EmbeddedLogOptions {
    /// The folder that holds everything; made if it does not exist.
    pub folder: PathBuf,
    /// Bytes of recently appended data kept in memory before they are sorted into tables. More
    /// means fewer and larger tables. 32 MiB by default; at least 1 MiB.
    pub write_buffer_bytes: u64,
    /// Bytes of table blocks kept in memory for readers; 4 MiB by default.
    pub cache_bytes: u64,
    /// Most bytes of appends and commits that wait for the writer; more callers wait until there
    /// is room. 64 MiB by default.
    pub queue_bytes: usize,
    /// Bytes of tables that are read whole and verified at start, the newest first; damage in
    /// what is older is found when it is read. 256 MiB by default.
    pub verify_bytes: u64,
}

impl EmbeddedLogOptions {
    /// The defaults for a folder.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            write_buffer_bytes: 32 << 20,
            cache_bytes: 4 << 20,
            queue_bytes: 64 << 20,
            verify_bytes: 256 << 20,
        }
    }
}

/// Largest entry (key, headers and value) and largest state value, in bytes.
pub const MAX_ENTRY_BYTES: usize = 64 << 20;

/// Largest key of a state together with the names before it, in bytes.
pub const MAX_STATE_KEY_BYTES: usize = 32 << 10;
