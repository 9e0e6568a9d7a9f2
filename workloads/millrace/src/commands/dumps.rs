//! `millrace dumps`: dumps of a database, copied to an object store and fetched from there.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::path::PathBuf;

use clap::Args;
use clap::Subcommand;
use millrace_archive::CopyFileError;
use millrace_archive::FileCopies;
use millrace_archive::FileCopy;
use millrace_archive::Folders;
use millrace_archive::UseStoreError;
use millrace_plan::model::StoreAddress;
use serde_json::json;

use crate::exit::Exit;
use crate::exit::Failure;
use crate::exit::Outcome;
use crate::output;
use crate::output::OutputFormat;

/// How names of dumps end. Before that they are times, and so in order.
const ENDING: &str = ".dump";

/// Copy a database's dumps to an object store, or fetch them from there.
///
/// On a cluster the operator runs it after each dump, with `database.managed.backup.copyTo`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  millrace dumps copy /backup s3://backups/race --keep 30
  millrace dumps list s3://backups/race --endpoint https://minio.example.com --credentials store
  millrace dumps fetch /backup gs://backups/race
  millrace dumps fetch /backup gs://backups/race --dump 20260101T030000Z.dump")]
pub(crate) struct DumpsArguments {
    #[command(subcommand)]
    command: DumpsCommand,
}

#[derive(Debug, Subcommand)]
enum DumpsCommand {
    /// Copy the dumps that the store does not have, and remove its oldest ones.
    Copy {
        /// Folder with the dumps.
        folder: PathBuf,
        #[command(flatten)]
        store: StoreArguments,
        /// How many copies stay, the newest ones. Default: all.
        #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..))]
        keep: Option<u16>,
    },
    /// Show the copies in the store.
    List {
        #[command(flatten)]
        store: StoreArguments,
    },
    /// Fetch a dump into a folder.
    Fetch {
        /// Folder to put it into.
        folder: PathBuf,
        #[command(flatten)]
        store: StoreArguments,
        /// Its name. Default: the newest one.
        #[arg(long, value_name = "NAME")]
        dump: Option<String>,
    },
}

/// Which store, and who we are to it.
#[derive(Debug, Args)]
struct StoreArguments {
    /// `s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix`, or a folder. One prefix
    /// for each database.
    url: String,

    /// Address of the store, for stores other than the providers' own, such as MinIO.
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,

    /// Region of the store. Default: what the store says.
    #[arg(long)]
    region: Option<String>,

    /// The Secret with the store's keys: a folder of that name in --secrets. Default: the identity
    /// of the machine or pod.
    #[arg(long, value_name = "NAME")]
    credentials: Option<String>,

    /// Folder of Secrets, each a folder with a file for each key.
    #[arg(long, value_name = "DIR", default_value = "secrets")]
    secrets: PathBuf,
}

/// Dumps that were not copied or fetched.
#[derive(Debug, thiserror::Error)]
enum CopyDumpsError {
    #[error("cannot read the folder {folder}")]
    Folder { folder: PathBuf, source: io::Error },
    #[error(
        "{url} has a {name} of {there} bytes, the folder one of {here}: copy each database's dumps to a prefix of its own"
    )]
    AnotherOne { name: String, url: String, there: u64, here: u64 },
    #[error("there is no dump at {0}")]
    Empty(String),
    #[error("there is no {name} at {url}; `millrace dumps list` shows what is there")]
    Missing { name: String, url: String },
    #[error("{0} is there already: remove it, or fetch into another folder")]
    Exists(PathBuf),
    #[error(transparent)]
    Store(#[from] UseStoreError),
    #[error(transparent)]
    Copy(#[from] CopyFileError),
}

impl From<CopyDumpsError> for Failure {
    fn from(error: CopyDumpsError) -> Self {
        let exit = match &error {
            CopyDumpsError::Folder { .. }
            | CopyDumpsError::Empty(_)
            | CopyDumpsError::Missing { .. }
            | CopyDumpsError::Store(UseStoreError::NoFolder(_)) => Exit::NoInput,
            CopyDumpsError::AnotherOne { .. } => Exit::Data,
            CopyDumpsError::Exists(_) => Exit::CannotCreate,
            CopyDumpsError::Store(_) | CopyDumpsError::Copy(CopyFileError::Store(_)) => {
                Exit::Unavailable
            }
            CopyDumpsError::Copy(_) => Exit::Io,
        };
        exit.because(error)
    }
}

/// Runs the command.
pub(crate) async fn run(arguments: DumpsArguments, output: OutputFormat) -> Outcome {
    match arguments.command {
        DumpsCommand::Copy { folder, store, keep } => {
            let keep = keep.map_or(usize::MAX, usize::from);
            copy(&folder, store, keep, output).await
        }
        DumpsCommand::List { store } => list(store, output).await,
        DumpsCommand::Fetch { folder, store, dump } => fetch(&folder, store, dump, output).await,
    }
}

impl StoreArguments {
    /// To write to it.
    async fn open(self) -> Result<FileCopies, CopyDumpsError> {
        let (address, folders) = self.address();
        Ok(FileCopies::open(address, &folders).await?)
    }

    /// To read what is there.
    async fn open_existing(self) -> Result<FileCopies, CopyDumpsError> {
        let (address, folders) = self.address();
        Ok(FileCopies::open_existing(address, &folders).await?)
    }

    fn address(self) -> (StoreAddress, Folders) {
        let folders = Folders { data: PathBuf::new(), secrets: Some(self.secrets) };
        let Self { url, endpoint, region, credentials, .. } = self;
        (StoreAddress { url, endpoint, region, credentials }, folders)
    }
}

async fn copy(folder: &Path, store: StoreArguments, keep: usize, output: OutputFormat) -> Outcome {
    let url = store.url.clone();
    let here = dumps_of(folder)
        .map_err(|source| CopyDumpsError::Folder { folder: folder.to_owned(), source })?;
    let copies = store.open().await?;
    let there = dumps(copies.list().await.map_err(CopyDumpsError::from)?);
    let work = Work::of(&url, &here, &there, keep)?;
    for name in &work.put {
        let bytes = copies.put(&folder.join(name), name).await.map_err(CopyDumpsError::from)?;
        tell(output, &format!("Copied {name}, {bytes} bytes."))?;
    }
    // Nothing is removed before the newer ones are there.
    for name in &work.remove {
        copies.remove(name).await.map_err(CopyDumpsError::from)?;
        tell(output, &format!("Removed {name}."))?;
    }
    match output {
        OutputFormat::Json => output::json(&json!({"copied": work.put, "removed": work.remove}))?,
        OutputFormat::Text => output::line(&format!("Dumps at {url}: {}.", work.kept))?,
    }
    Ok(())
}

async fn list(store: StoreArguments, output: OutputFormat) -> Outcome {
    let copies = store.open_existing().await?;
    let there = dumps(copies.list().await.map_err(CopyDumpsError::from)?);
    match output {
        OutputFormat::Json => {
            let copy = |copy: &FileCopy| json!({"name": copy.name, "bytes": copy.bytes});
            output::json(&there.iter().map(copy).collect::<Vec<_>>())?;
        }
        OutputFormat::Text => {
            let row = |copy: &FileCopy| vec![copy.name.clone(), format!("{} bytes", copy.bytes)];
            let rows: Vec<_> = there.iter().map(row).collect();
            for line in output::columns(&rows) {
                output::line(&line)?;
            }
        }
    }
    Ok(())
}

async fn fetch(
    folder: &Path,
    store: StoreArguments,
    dump: Option<String>,
    output: OutputFormat,
) -> Outcome {
    let url = store.url.clone();
    let copies = store.open_existing().await?;
    let there = dumps(copies.list().await.map_err(CopyDumpsError::from)?);
    let name = match dump {
        Some(name) if there.iter().any(|copy| copy.name == name) => name,
        Some(name) => return Err(CopyDumpsError::Missing { name, url }.into()),
        None => there.last().map(|copy| copy.name.clone()).ok_or(CopyDumpsError::Empty(url))?,
    };
    let file = folder.join(&name);
    if file.exists() {
        return Err(CopyDumpsError::Exists(file).into());
    }
    let bytes = copies.fetch(&name, &file).await.map_err(CopyDumpsError::from)?;
    match output {
        OutputFormat::Json => output::json(&json!({"file": file, "bytes": bytes}))?,
        OutputFormat::Text => {
            output::line(&format!("{} has the dump, {bytes} bytes.", file.display()))?;
        }
    }
    Ok(())
}

/// Says what has been done, where a person or a log reads it.
fn tell(output: OutputFormat, text: &str) -> Outcome {
    if output == OutputFormat::Text {
        output::line(text)?;
    }
    Ok(())
}

/// The dumps in a folder, by name.
fn dumps_of(folder: &Path) -> io::Result<Vec<FileCopy>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        if let (true, Ok(name)) = (metadata.is_file(), entry.file_name().into_string()) {
            files.push(FileCopy { name, bytes: metadata.len() });
        }
    }
    files.sort_unstable();
    Ok(dumps(files))
}

fn dumps(files: Vec<FileCopy>) -> Vec<FileCopy> {
    files.into_iter().filter(|file| file.name.ends_with(ENDING)).collect()
}

/// What is to be done so that the store has the newest dumps of both places.
#[derive(Debug, PartialEq, Eq)]
struct Work {
    put: Vec<String>,
    remove: Vec<String>,
    /// How many the store has then.
    kept: usize,
}

impl Work {
    /// Both lists are by name.
    fn of(
        url: &str,
        here: &[FileCopy],
        there: &[FileCopy],
        keep: usize,
    ) -> Result<Self, CopyDumpsError> {
        let mut put = Vec::new();
        for dump in here {
            match there.iter().find(|copy| copy.name == dump.name) {
                None => put.push(dump.name.clone()),
                Some(copy) if copy.bytes == dump.bytes => {}
                Some(copy) => {
                    let (name, url) = (dump.name.clone(), url.to_owned());
                    let (there, here) = (copy.bytes, dump.bytes);
                    return Err(CopyDumpsError::AnotherOne { name, url, there, here });
                }
            }
        }
        let mut all: Vec<&String> = there.iter().map(|copy| &copy.name).chain(&put).collect();
        all.sort_unstable();
        let kept = all.len().min(keep);
        let old: BTreeSet<String> = all[..all.len() - kept].iter().copied().cloned().collect();
        let names = there.iter().map(|copy| copy.name.clone());
        let remove = names.filter(|name| old.contains(name)).collect();
        put.retain(|name| !old.contains(name));
        Ok(Self { put, remove, kept })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copies(names: &[&str]) -> Vec<FileCopy> {
        names.iter().map(|name| FileCopy { name: (*name).to_owned(), bytes: 1 }).collect()
    }

    fn work(here: &[&str], there: &[&str], keep: usize) -> (Vec<String>, Vec<String>, usize) {
        let Work { put, remove, kept } =
            Work::of("s3://b", &copies(here), &copies(there), keep).unwrap();
        (put, remove, kept)
    }

    fn texts(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_the_store_lacks_is_copied_and_its_oldest_ones_go() {
        assert_eq!(work(&["2", "3"], &["1", "2"], 2), (texts(&["3"]), texts(&["1"]), 2));
        assert_eq!(work(&["2", "3"], &["1", "2"], usize::MAX), (texts(&["3"]), vec![], 3));
    }

    #[test]
    fn what_would_be_removed_at_once_is_not_copied() {
        assert_eq!(work(&["1", "2", "3"], &[], 2), (texts(&["2", "3"]), vec![], 2));
        assert_eq!(work(&["1"], &["2", "3"], 2), (vec![], vec![], 2));
    }

    #[test]
    fn an_empty_folder_removes_nothing_within_what_is_kept() {
        assert_eq!(work(&[], &["1", "2"], 2), (vec![], vec![], 2));
    }

    #[test]
    fn dumps_of_another_database_are_not_mixed_with_ours() {
        let there = [FileCopy { name: "1".into(), bytes: 2 }];
        let error = Work::of("s3://b", &copies(&["1"]), &there, 7).unwrap_err();
        assert_eq!(
            error.to_string(),
            "s3://b has a 1 of 2 bytes, the folder one of 1: copy each database's dumps to a prefix of its own"
        );
    }
}
