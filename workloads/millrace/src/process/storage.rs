//! What lasts of a pipeline: the log and the tables in the data folder.

use std::io::Error as IoError;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use millrace_log::EnsureStreamsError;
use millrace_log::Log;
use millrace_log::OpenLogError;
use millrace_log::StreamConfig;
use millrace_log::embedded::EmbeddedLog;
use millrace_log::embedded::EmbeddedLogOptions;
use millrace_observe::Observer;
use millrace_plan::Plan;
use millrace_tables::EnsureTableError;
use millrace_tables::OpenStoreError;
use millrace_tables::TableStore;
use millrace_tables::sink::TableSink;
use millrace_tables::sqlite::SqliteStore;

use crate::exit::Exit;
use crate::exit::Failure;

/// Folder of the log within the data folder.
const LOG_FOLDER: &str = "log";
/// File of the tables within the data folder.
const TABLES_FILE: &str = "tables.sqlite";

/// A plan with its opened log and tables.
pub(crate) struct Storage {
    pub(crate) plan: Arc<Plan>,
    pub(crate) log: Arc<dyn Log>,
    pub(crate) tables: Arc<dyn TableStore>,
    pub(crate) observer: Arc<Observer>,
}

/// Why the data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenStorageError {
    /// The folder cannot be made.
    #[error(
        "cannot create the data folder {folder}: choose another one with --data, or change the permissions of the folder above it"
    )]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Why not.
        source: IoError,
    },
    /// The log cannot be opened.
    #[error(transparent)]
    Log(#[from] OpenLogError),
    /// The streams cannot be made.
    #[error(transparent)]
    Streams(#[from] EnsureStreamsError),
    /// The tables cannot be opened.
    #[error(transparent)]
    Tables(#[from] OpenStoreError),
    /// A table cannot be made.
    #[error(transparent)]
    Table(#[from] EnsureTableError),
}

impl From<OpenStorageError> for Failure {
    fn from(error: OpenStorageError) -> Self {
        let exit = match &error {
            OpenStorageError::Log(OpenLogError::InUse { .. }) => Exit::TemporaryFailure,
            OpenStorageError::Folder { .. }
            | OpenStorageError::Log(OpenLogError::Folder { .. }) => Exit::CannotCreate,
            OpenStorageError::Streams(_) | OpenStorageError::Table(_) => Exit::Data,
            OpenStorageError::Log(_) | OpenStorageError::Tables(_) => Exit::Io,
        };
        exit.because(error)
    }
}

impl Storage {
    /// Opens the data folder of a pipeline; makes what is missing.
    pub(crate) async fn open(plan: Plan, folder: &Path) -> Result<Self, OpenStorageError> {
        std::fs::create_dir_all(folder)
            .map_err(|source| OpenStorageError::Folder { folder: folder.to_owned(), source })?;
        let log: Arc<dyn Log> =
            EmbeddedLog::open(EmbeddedLogOptions::new(folder.join(LOG_FOLDER)))?;
        log.ensure_streams(&streams(&plan)).await?;
        let tables: Arc<dyn TableStore> =
            Arc::new(SqliteStore::open(&folder.join(TABLES_FILE)).await?);
        let specs: Vec<_> = TableSink::all(&plan).iter().map(TableSink::spec).collect();
        tables.ensure_tables(&specs).await?;
        Ok(Self { plan: Arc::new(plan), log, tables, observer: Arc::default() })
    }

    /// Closes tables and log.
    pub(crate) async fn close(self) {
        self.tables.close().await;
        self.log.close().await;
    }
}

fn streams(plan: &Plan) -> Vec<StreamConfig> {
    plan.streams
        .iter()
        .map(|stream| StreamConfig {
            name: stream.name.clone(),
            partitions: stream.partitions,
            retention: stream.retention,
        })
        .collect()
}
