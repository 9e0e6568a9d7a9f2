//! What lasts of a pipeline: the log and the tables in the data folder.

use std::io::Error as IoError;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use millrace_log::Log;
use millrace_log::OpenLogError;
use millrace_log::embedded::EmbeddedLog;
use millrace_log::embedded::EmbeddedLogOptions;
use millrace_observe::Observer;
use millrace_plan::Plan;
use millrace_tables::OpenStoreError;
use millrace_tables::TableStore;
use millrace_tables::sqlite::SqliteStore;

use crate::backup;
use crate::exit::Exit;
use crate::exit::Failure;
use crate::process::generations::OpenGenerationsError;
use crate::process::generations::Serving;

/// Folder of the log within the data folder.
pub(crate) const LOG_FOLDER: &str = "log";
/// File of the tables within the data folder.
pub(crate) const TABLES_FILE: &str = "tables.sqlite";

/// A plan with its opened log and tables.
pub(crate) struct Storage {
    /// The plan at the generations that are served.
    pub(crate) plan: Arc<Plan>,
    /// The log under the names of what is served.
    pub(crate) log: Arc<dyn Log>,
    pub(crate) tables: Arc<dyn TableStore>,
    pub(crate) observer: Arc<Observer>,
    /// Which generations are served, and which are being made.
    pub(crate) serving: Arc<Serving>,
    /// The log itself, for backups.
    pub(crate) embedded: Arc<EmbeddedLog>,
    /// The data folder.
    pub(crate) folder: PathBuf,
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
    /// The tables cannot be opened.
    #[error(transparent)]
    Tables(#[from] OpenStoreError),
    /// Streams and tables cannot be made at their generations.
    #[error(transparent)]
    Generations(#[from] OpenGenerationsError),
}

impl From<OpenStorageError> for Failure {
    fn from(error: OpenStorageError) -> Self {
        let exit = match &error {
            OpenStorageError::Log(OpenLogError::InUse { .. }) => Exit::TemporaryFailure,
            OpenStorageError::Folder { .. }
            | OpenStorageError::Log(OpenLogError::Folder { .. }) => Exit::CannotCreate,
            OpenStorageError::Generations(
                OpenGenerationsError::Streams(_)
                | OpenGenerationsError::Table(_)
                | OpenGenerationsError::Lowered { .. }
                | OpenGenerationsError::Begin(_)
                | OpenGenerationsError::OtherLog { .. },
            ) => Exit::Data,
            OpenStorageError::Generations(_)
            | OpenStorageError::Log(_)
            | OpenStorageError::Tables(_) => Exit::Io,
        };
        exit.because(error)
    }
}

impl Storage {
    /// Opens the data folder of a pipeline; makes what is missing.
    pub(crate) async fn open(plan: Plan, folder: &Path) -> Result<Self, OpenStorageError> {
        std::fs::create_dir_all(folder)
            .map_err(|source| OpenStorageError::Folder { folder: folder.to_owned(), source })?;
        let embedded = EmbeddedLog::open(EmbeddedLogOptions::new(folder.join(LOG_FOLDER)))?;
        // The log's lock is held: nobody takes a backup of this folder.
        backup::remove_left(folder);
        let log: Arc<dyn Log> = Arc::clone(&embedded) as Arc<dyn Log>;
        let tables: Arc<dyn TableStore> =
            Arc::new(SqliteStore::open(&folder.join(TABLES_FILE)).await?);
        let serving = Serving::open(plan, log, Arc::clone(&tables)).await?;
        let plan = serving.plan().await;
        let (log, serving) = (serving.view(), Arc::new(serving));
        Ok(Self {
            plan,
            log,
            tables,
            observer: Arc::default(),
            serving,
            embedded,
            folder: folder.to_owned(),
        })
    }

    /// Closes tables and log.
    pub(crate) async fn close(self) {
        self.tables.close().await;
        self.log.close().await;
    }
}
