//! `millrace backup`: a copy of a pipeline's log and tables, also while it runs.

use std::fs::File;
use std::io;
use std::io::Write as _;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use http_body_util::BodyExt as _;
use millrace_core::time::rfc3339;
use millrace_log::EmbeddedLog;
use millrace_log::EmbeddedLogOptions;
use millrace_log::Log as _;
use serde_json::json;
use tokio::time::Instant;

use crate::backup;
use crate::backup::BackupError;
use crate::backup::RestoreError;
use crate::client::ApiAddress;
use crate::client::Client;
use crate::exit::Exit;
use crate::exit::Failure;
use crate::exit::Outcome;
use crate::output;
use crate::output::OutputFormat;
use crate::process::live::now_millis;
use crate::process::storage::LOG_FOLDER;
use crate::process::storage::OpenStorageError;
use crate::process::storage::TABLES_FILE;

/// Between two lines of progress on a terminal.
const SHOW: Duration = Duration::from_millis(500);

/// Write a backup of a pipeline's log and tables, also while it runs.
///
/// Everything that was acknowledged before the backup began is in it. It is read back and checked
/// before it gets its name.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  millrace backup race.tar
  millrace backup /var/backups --url http://127.0.0.1:8080
  millrace backup race.tar --data .millrace/race")]
pub(crate) struct BackupArguments {
    /// File to write, which must not be there yet; or a folder, in which it gets a name with the
    /// time.
    to: PathBuf,

    /// Data folder of a pipeline that is stopped.
    #[arg(long, value_name = "DIR", conflicts_with = "url")]
    data: Option<PathBuf>,

    #[command(flatten)]
    api: ApiAddress,
}

/// A backup that was not written.
#[derive(Debug, thiserror::Error)]
enum WriteBackupError {
    #[error("{0} is there already: write another name")]
    Exists(PathBuf),
    #[error("there is no pipeline's data in {0}: write the folder that `millrace run` names")]
    NoData(PathBuf),
    #[error("cannot write {file}: free space, or write to another place")]
    Write { file: PathBuf, source: io::Error },
    #[error("the backup broke off; nothing was kept of it")]
    Broken(#[source] io::Error),
    #[error(transparent)]
    Make(#[from] BackupError),
    #[error("what was written does not read back; nothing was kept of it")]
    Verify(#[from] RestoreError),
}

impl From<WriteBackupError> for Failure {
    fn from(error: WriteBackupError) -> Self {
        let exit = match &error {
            WriteBackupError::Exists(_) => Exit::CannotCreate,
            WriteBackupError::NoData(_) => Exit::NoInput,
            _ => Exit::Io,
        };
        exit.because(error)
    }
}

/// Runs the command.
pub(crate) async fn run(arguments: BackupArguments, output: OutputFormat) -> Outcome {
    let to = if arguments.to.is_dir() {
        let time = rfc3339(now_millis()).replace([':', '.'], "-");
        arguments.to.join(format!("millrace-{time}.tar"))
    } else {
        arguments.to.clone()
    };
    if to.exists() {
        return Err(WriteBackupError::Exists(to).into());
    }
    let partial = partial(&to);
    let result = match &arguments.data {
        Some(folder) => from_folder(folder, &partial).await,
        None => from_process(&arguments.api, &partial, output).await,
    };
    let finished = result.and_then(|()| Ok(finish(&partial, &to)?));
    let bytes = match finished {
        Ok(bytes) => bytes,
        Err(error) => {
            // Nothing half is left behind; where that fails, too, the name says what it is.
            let _ = std::fs::remove_file(&partial);
            return Err(error);
        }
    };
    match output {
        OutputFormat::Json => output::json(&json!({"file": to, "bytes": bytes}))?,
        OutputFormat::Text => {
            output::line(&format!("{} has the backup, {bytes} bytes.", to.display()))?;
        }
    }
    Ok(())
}

/// The name that a backup has until it is whole.
fn partial(to: &Path) -> PathBuf {
    let mut name = to.as_os_str().to_owned();
    name.push(".partial");
    name.into()
}

/// Downloads the backup of a running pipeline.
async fn from_process(api: &ApiAddress, to: &Path, output: OutputFormat) -> Outcome {
    let mut body = Client::new(api)?.download("/api/v1/backup").await?;
    let failed = |source| WriteBackupError::Write { file: to.to_owned(), source };
    let mut file = File::create(to).map_err(failed)?;
    let watched = output::is_watched() && output == OutputFormat::Text;
    let (mut bytes, mut shown) = (0_u64, Instant::now());
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| WriteBackupError::Broken(io::Error::other(error)))?;
        let Ok(piece) = frame.into_data() else { continue };
        file.write_all(&piece).map_err(failed)?;
        bytes += piece.len() as u64;
        if watched && shown.elapsed() > SHOW {
            output::rewrite(&format!("{} MiB", bytes >> 20));
            shown = Instant::now();
        }
    }
    if watched {
        output::rewrite("");
    }
    file.sync_all().map_err(failed)?;
    Ok(())
}

/// Writes the backup of a data folder that no process has open.
async fn from_folder(folder: &Path, to: &Path) -> Outcome {
    if !folder.join(LOG_FOLDER).is_dir() {
        return Err(WriteBackupError::NoData(folder.to_owned()).into());
    }
    let log = EmbeddedLog::open(EmbeddedLogOptions::new(folder.join(LOG_FOLDER)))
        .map_err(OpenStorageError::from)?;
    let written = async {
        let source = backup::prepare(&log, folder, &folder.join(TABLES_FILE)).await?;
        let failed = |source| WriteBackupError::Write { file: to.to_owned(), source };
        let mut file = io::BufWriter::new(File::create(to).map_err(failed)?);
        source.write(&mut file)?;
        file.into_inner()
            .map_err(io::IntoInnerError::into_error)
            .map_err(failed)?
            .sync_all()
            .map_err(failed)
    };
    let result = written.await;
    log.close().await;
    Ok(result?)
}

/// Reads what was written, and gives it its name.
fn finish(partial: &Path, to: &Path) -> Result<u64, WriteBackupError> {
    let failed = |source| WriteBackupError::Write { file: to.to_owned(), source };
    let file = File::open(partial).map_err(failed)?;
    let bytes = file.metadata().map_err(failed)?.len();
    backup::verify(io::BufReader::with_capacity(1 << 20, file))?;
    std::fs::rename(partial, to).map_err(failed)?;
    if let Some(folder) = to.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
    }
    Ok(bytes)
}
