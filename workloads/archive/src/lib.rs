//! Archives: the events of streams as files, in a folder or an object store.
//!
//! [`ArchiveSinks`] runs every `archive` sink of a plan. All files of a sink together have exactly
//! the committed events of its streams, also after the process dies at any moment: see `progress`
//! for how. A file has one hour of event time, of all partitions, ordered by (event time,
//! partition, offset).
//!
//! In Parquet the columns are `_id`, `_key`, `_event_time`, `_ingest_time`, `_partition`, `_offset`,
//! `_headers` (JSON), a column for each property that the stream's schema declares at its top (see
//! `columns`), and `_value`: the whole event as JSON text. Keys and values of dead letters are
//! bytes. Files of a raised `generation` stand beside the old ones; their names begin with
//! `<sink>-g<generation>-`.
//!
//! [`FileCopies`] keeps copies of other files in the same stores: those of a database's dumps.

mod address;
mod archiver;
mod cells;
mod columns;
mod copies;
#[cfg(test)]
mod deaths;
mod error;
mod fields;
mod files;
mod folders;
mod layout;
mod metrics;
mod ndjson;
mod parquet;
mod progress;
mod range;
mod row;
mod runner;
mod store;

pub use address::ParseAddressError;
pub use copies::CopyFileError;
pub use copies::FileCopies;
pub use copies::FileCopy;
pub use error::ArchiveError;
pub use error::RunArchiveError;
pub use error::StartArchiveError;
pub use folders::Folders;
pub use folders::ReadSecretError;
pub use runner::ArchiveSinks;
pub use store::UseStoreError;
