//! `millrace restore`: a backup, put back into a new data folder.

use std::fs::File;
use std::io;
use std::path::Path;
use std::path::PathBuf;

use clap::Args;
use millrace_log::EmbeddedLog;
use millrace_log::EmbeddedLogOptions;
use millrace_log::Log as _;
use serde_json::json;

use crate::backup;
use crate::backup::RestoreError;
use crate::exit::Exit;
use crate::exit::Failure;
use crate::exit::Outcome;
use crate::output;
use crate::output::OutputFormat;
use crate::process::storage::LOG_FOLDER;

/// Put a backup back into a data folder that is empty or not there.
///
/// Everything is checked against the hashes in the backup, and the log is opened once, before the
/// folder gets its name.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  millrace restore race.tar --data .millrace/race")]
pub(crate) struct RestoreArguments {
    /// The backup.
    from: PathBuf,

    /// Folder for the log and the tables.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
}

/// A backup that was not put back.
#[derive(Debug, thiserror::Error)]
enum RestoreFolderError {
    #[error("cannot read {file}")]
    Open { file: PathBuf, source: io::Error },
    #[error("{0} is not empty: write another folder with --data, or move what is there away")]
    NotEmpty(PathBuf),
    #[error("cannot write {folder}")]
    Folder { folder: PathBuf, source: io::Error },
    #[error(transparent)]
    Restore(#[from] RestoreError),
}

impl From<RestoreFolderError> for Failure {
    fn from(error: RestoreFolderError) -> Self {
        let exit = match &error {
            RestoreFolderError::Open { .. } => Exit::NoInput,
            RestoreFolderError::NotEmpty(_) | RestoreFolderError::Folder { .. } => {
                Exit::CannotCreate
            }
            RestoreFolderError::Restore(
                RestoreError::NotWhole | RestoreError::Format(_) | RestoreError::Damaged(_),
            ) => Exit::Data,
            RestoreFolderError::Restore(_) => Exit::Io,
        };
        exit.because(error)
    }
}

/// Runs the command.
pub(crate) async fn run(arguments: RestoreArguments, output: OutputFormat) -> Outcome {
    let RestoreArguments { from, data } = arguments;
    let file = File::open(&from)
        .map_err(|source| RestoreFolderError::Open { file: from.clone(), source })?;
    let failed = |source| RestoreFolderError::Folder { folder: data.clone(), source };
    let taken = match std::fs::read_dir(&data) {
        Ok(mut entries) => entries.next().is_some(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(failed(error).into()),
    };
    if taken {
        return Err(RestoreFolderError::NotEmpty(data).into());
    }
    let mut partial = data.as_os_str().to_owned();
    partial.push(".restoring");
    let partial = PathBuf::from(partial);
    // What an earlier attempt has left.
    if partial.exists() {
        std::fs::remove_dir_all(&partial).map_err(failed)?;
    }
    if let Err(error) = fill(file, &partial).await {
        // Nothing half is left behind; where that fails, too, the name says what it is.
        let _ = std::fs::remove_dir_all(&partial);
        return Err(error.into());
    }
    // An empty folder gives way.
    std::fs::rename(&partial, &data).map_err(failed)?;
    match output {
        OutputFormat::Json => output::json(&json!({"data": data}))?,
        OutputFormat::Text => output::line(&format!(
            "{} is restored. Start the pipeline with --data {0}.",
            data.display()
        ))?,
    }
    Ok(())
}

async fn fill(file: File, folder: &Path) -> Result<(), RestoreFolderError> {
    backup::restore(io::BufReader::with_capacity(1 << 20, file), folder)?;
    let log = EmbeddedLog::open(EmbeddedLogOptions::new(folder.join(LOG_FOLDER)))
        .map_err(RestoreError::Open)?;
    log.close().await;
    Ok(())
}
