//! Reads a backup: into a data folder, or only to see that it is whole.

use std::fs::File;
use std::io;
use std::io::Read;
use std::path::Path;

use millrace_log::OpenLogError;
use millrace_log::embedded::RestoreLogError;

use super::manifest::Entry;
use super::manifest::FORMAT;
use super::manifest::LOG;
use super::manifest::MANIFEST;
use super::manifest::Manifest;
use super::manifest::TABLES;
use crate::process::storage::LOG_FOLDER;
use crate::process::storage::TABLES_FILE;

/// Largest part of a log, and largest manifest: more is damage.
const MAX_PART_BYTES: u64 = 256 << 20;

/// A backup that cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RestoreError {
    /// It cannot be read, or what is restored not written.
    #[error("cannot read the backup, or not write what is in it")]
    Io(#[from] io::Error),
    /// It does not end as a backup does.
    #[error("the backup is not whole: it was not written to its end")]
    NotWhole,
    /// It was written by a later program.
    #[error("the backup has format {0}, this program reads up to {FORMAT}: use a newer Millrace")]
    Format(u32),
    /// Something else is in it than when it was written.
    #[error("`{0}` in the backup is damaged")]
    Damaged(String),
    /// The log cannot be put back.
    #[error(transparent)]
    Log(#[from] RestoreLogError),
    /// The restored log cannot be opened.
    #[error("the restored log cannot be opened")]
    Open(#[from] OpenLogError),
}

/// Reads a backup and sees that it is whole.
pub(crate) fn verify(archive: impl Read) -> Result<(), RestoreError> {
    let mut found = Vec::new();
    let mut archive = tar::Archive::new(archive);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let name = name(&entry)?;
        if name == MANIFEST {
            return compare(&read_manifest(&mut entry)?, &found);
        }
        found.push(copy(name, &mut entry, &mut io::sink())?);
    }
    Err(RestoreError::NotWhole)
}

/// Puts a backup into a new folder, and sees that it is whole. What was written before an error
/// stays.
pub(crate) fn restore(archive: impl Read, to: &Path) -> Result<(), RestoreError> {
    std::fs::create_dir_all(to)?;
    let mut archive = tar::Archive::new(archive);
    let mut found = Vec::new();
    let mut manifest = None;
    let mut entries = archive.entries()?;
    let mut trouble = None;
    let parts = std::iter::from_fn(|| {
        loop {
            let mut entry = match entries.next()? {
                Ok(entry) => entry,
                Err(error) => return Some(Err(error)),
            };
            match read_entry(&mut entry, to, &mut found, &mut manifest) {
                Ok(Some(part)) => return Some(Ok(part)),
                Ok(None) => {}
                Err(RestoreError::Io(error)) => return Some(Err(error)),
                Err(error) => {
                    trouble = Some(error);
                    return None;
                }
            }
        }
    });
    millrace_log::embedded::restore(&to.join(LOG_FOLDER), parts)?;
    if let Some(trouble) = trouble {
        return Err(trouble);
    }
    compare(&manifest.ok_or(RestoreError::NotWhole)?, &found)
}

/// Reads an entry; returns it if it is a part of the log.
fn read_entry(
    entry: &mut tar::Entry<'_, impl Read>,
    to: &Path,
    found: &mut Vec<Entry>,
    manifest: &mut Option<Manifest>,
) -> Result<Option<Vec<u8>>, RestoreError> {
    let name = name(entry)?;
    if name == MANIFEST {
        *manifest = Some(read_manifest(entry)?);
        return Ok(None);
    }
    if name == TABLES {
        let mut file = File::create(to.join(TABLES_FILE))?;
        found.push(copy(name, entry, &mut file)?);
        file.sync_all()?;
        return Ok(None);
    }
    if !name.starts_with(LOG) || entry.size() > MAX_PART_BYTES {
        return Err(RestoreError::Damaged(name));
    }
    let mut part = Vec::new();
    found.push(copy(name, entry, &mut part)?);
    Ok(Some(part))
}

fn name(entry: &tar::Entry<'_, impl Read>) -> Result<String, RestoreError> {
    Ok(entry.path()?.to_string_lossy().into_owned())
}

fn read_manifest(entry: &mut tar::Entry<'_, impl Read>) -> Result<Manifest, RestoreError> {
    #[derive(serde::Deserialize)]
    struct Form {
        format: u32,
    }
    let mut bytes = Vec::new();
    entry.take(MAX_PART_BYTES).read_to_end(&mut bytes)?;
    let damaged = |_| RestoreError::Damaged(MANIFEST.to_owned());
    let form: Form = serde_json::from_slice(&bytes).map_err(damaged)?;
    if form.format > FORMAT {
        return Err(RestoreError::Format(form.format));
    }
    serde_json::from_slice(&bytes).map_err(damaged)
}

/// Copies an entry, and says what it was.
fn copy(
    name: String,
    entry: &mut impl Read,
    out: &mut impl io::Write,
) -> Result<Entry, RestoreError> {
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; 256 << 10];
    let mut bytes = 0;
    loop {
        let length = entry.read(&mut buffer)?;
        if length == 0 {
            out.flush()?;
            let blake3 = hasher.finalize().to_hex().to_string();
            return Ok(Entry { name, bytes, blake3 });
        }
        hasher.update(&buffer[..length]);
        out.write_all(&buffer[..length])?;
        bytes += length as u64;
    }
}

fn compare(manifest: &Manifest, found: &[Entry]) -> Result<(), RestoreError> {
    if let Some((wanted, _)) =
        manifest.entries.iter().zip(found).find(|(wanted, found)| wanted != found)
    {
        return Err(RestoreError::Damaged(wanted.name.clone()));
    }
    if manifest.entries.len() == found.len() { Ok(()) } else { Err(RestoreError::NotWhole) }
}
