//! Writes a backup: first the copies that have to be of one moment, then the archive.

use std::fs::File;
use std::io;
use std::io::Read as _;
use std::io::Seek as _;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

use millrace_log::ReadError;
use millrace_log::embedded::CopyLogError;
use millrace_log::embedded::EmbeddedLog;
use millrace_log::embedded::LogCopy;
use millrace_tables::sqlite::CopyTablesError;
use tempfile::TempDir;
use tracing::warn;

use super::manifest::Entry;
use super::manifest::FORMAT;
use super::manifest::LOG;
use super::manifest::MANIFEST;
use super::manifest::Manifest;
use super::manifest::TABLES;
use crate::process::live::now_millis;

/// What the names of folders with copies begin with.
const ROOM: &str = ".backup";

/// A backup that was not made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BackupError {
    /// There is no room for the copy of the tables.
    #[error("cannot make room for a copy of the tables in {folder}")]
    Folder {
        /// The data folder.
        folder: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The tables cannot be copied.
    #[error(transparent)]
    Tables(#[from] CopyTablesError),
    /// The log cannot be copied.
    #[error("cannot copy the log")]
    Log(#[from] ReadError),
    /// The archive cannot be written.
    #[error("cannot write the backup")]
    Write(#[from] io::Error),
    /// The copy of the log cannot be written into it.
    #[error(transparent)]
    Copy(#[from] CopyLogError),
}

/// The copies that a backup is made of.
pub(crate) struct Source {
    begun: i64,
    log: LogCopy,
    tables: PathBuf,
    _folder: TempDir,
}

/// Takes the copies: of the tables first, which must not be ahead of the log.
pub(crate) async fn prepare(
    log: &EmbeddedLog,
    folder: &Path,
    tables: &Path,
) -> Result<Source, BackupError> {
    let begun = now_millis();
    let room = tempfile::Builder::new()
        .prefix(ROOM)
        .tempdir_in(folder)
        .map_err(|source| BackupError::Folder { folder: folder.to_owned(), source })?;
    let copy = room.path().join(TABLES);
    millrace_tables::sqlite::copy(tables, &copy).await?;
    let log = log.copy().await?;
    Ok(Source { begun, log, tables: copy, _folder: room })
}

/// Removes copies that a process left which died while it took a backup.
pub(crate) fn remove_left(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(ROOM)
            && let Err(error) = std::fs::remove_dir_all(entry.path())
        {
            let path = entry.path();
            warn!(message = "A copy that a backup left cannot be removed.", ?path, %error);
        }
    }
}

impl Source {
    /// Whether the log must be given up now, since it is to be opened anew or closed.
    pub(crate) fn interruption(&self) -> impl Fn() -> bool + Send + 'static {
        self.log.interruption()
    }

    /// Writes the archive, on a thread that may block.
    pub(crate) fn write(&self, out: impl Write) -> Result<(), BackupError> {
        let mut archive = tar::Builder::new(out);
        let mut entries = Vec::new();
        let mut tables = File::open(&self.tables)?;
        let mut hasher = blake3::Hasher::new();
        let mut buffer = vec![0; 256 << 10];
        let mut bytes = 0;
        loop {
            let length = tables.read(&mut buffer)?;
            if length == 0 {
                break;
            }
            hasher.update(&buffer[..length]);
            bytes += length as u64;
        }
        tables.rewind()?;
        append(&mut archive, TABLES, bytes, self.begun, &mut tables)?;
        let blake3 = hasher.finalize().to_hex().to_string();
        entries.push(Entry { name: TABLES.to_owned(), bytes, blake3 });

        let mut number = 0;
        self.log.write(|part| {
            let name = format!("{LOG}{number:08}");
            number += 1;
            let bytes = part.len() as u64;
            append(&mut archive, &name, bytes, self.begun, part)?;
            entries.push(Entry { name, bytes, blake3: blake3::hash(part).to_hex().to_string() });
            Ok(())
        })?;

        let manifest = Manifest { format: FORMAT, begun: self.begun, entries };
        let manifest = serde_json::to_vec_pretty(&manifest).map_err(io::Error::from)?;
        append(&mut archive, MANIFEST, manifest.len() as u64, self.begun, &*manifest)?;
        archive.into_inner()?.flush()?;
        Ok(())
    }
}

fn append(
    archive: &mut tar::Builder<impl Write>,
    name: &str,
    bytes: u64,
    begun: i64,
    content: impl io::Read,
) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes);
    header.set_mode(0o600);
    header.set_mtime(u64::try_from(begun / 1000).unwrap_or(0));
    archive.append_data(&mut header, name, content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_that_a_dead_process_left_are_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        for name in [".backupA1", "log"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
            std::fs::write(folder.path().join(name).join("file"), "content").unwrap();
        }
        remove_left(folder.path());
        let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().flatten().collect();
        assert_eq!(left.len(), 1);
        assert_eq!(left[0].file_name(), "log");
    }
}
