//! Copies of a log: taken at one moment while the log is written, and put back into an empty
//! folder.
//!
//! A copy is a series of parts of a few MiB. Each begins with `MRLOG`, a format byte and the name
//! of a keyspace; then come keys and values, each with its length in front, in the order of the
//! keys. Whoever keeps the parts keeps them in their order and vouches for their bytes.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use fjall::Keyspace;
use fjall::Readable as _;

use super::folder;
use super::options::EmbeddedLogOptions;
use super::shared::Shared;
use super::store::Store;
use crate::OpenLogError;
use crate::ReadError;
use crate::StorageError;

/// What a part begins with: a magic word and the format.
const MAGIC: &[u8; 6] = b"MRLOG\x01";

/// A part ends when it has so many bytes.
const PART_BYTES: usize = 4 << 20;

/// The log at one moment. While it lives, nothing is removed by retention.
pub struct LogCopy {
    /// The database must not be closed meanwhile.
    _store: Arc<Store>,
    snapshot: fjall::Snapshot,
    keyspaces: Vec<Keyspace>,
    shared: Arc<Shared>,
}

/// A copy that was not made.
#[derive(Debug, thiserror::Error)]
pub enum CopyLogError {
    /// The log cannot be read.
    #[error("cannot read the log")]
    Read(#[source] StorageError),
    /// The log has to be opened anew after a failed write, or is being closed.
    #[error("the log was to be opened anew or closed meanwhile: take the copy again")]
    Interrupted,
    /// The part was not taken.
    #[error("cannot write the copy")]
    Write(#[from] std::io::Error),
}

/// A copy that was not put back.
#[derive(Debug, thiserror::Error)]
pub enum RestoreLogError {
    /// The folder cannot be made.
    #[error(transparent)]
    Open(#[from] OpenLogError),
    /// A part cannot be read.
    #[error("cannot read a part of the copy")]
    Read(#[from] std::io::Error),
    /// A part is not one.
    #[error("a part of the copy is damaged, or was written by a later program")]
    Damaged,
    /// The folder cannot be written.
    #[error("cannot write the log")]
    Write(#[source] StorageError),
}

impl LogCopy {
    pub(super) async fn take(shared: Arc<Shared>) -> Result<Self, ReadError> {
        shared.copies.fetch_add(1, Relaxed);
        let store = match shared.store().await {
            Ok(store) => store,
            Err(error) => {
                shared.copies.fetch_sub(1, Relaxed);
                return Err(error);
            }
        };
        // Keyspaces before and after: a stream may be removed, or a partition written for the
        // first time, on either side of the snapshot.
        let mut keyspaces = store.keyspaces();
        let snapshot = store.db.snapshot();
        let known: HashSet<_> = keyspaces.iter().map(Keyspace::id).collect();
        keyspaces.extend(store.keyspaces().into_iter().filter(|made| !known.contains(&made.id())));
        Ok(Self { _store: store, snapshot, keyspaces, shared })
    }

    /// Whether this copy is to be given up now: it keeps the database open, which the log may have
    /// to open anew.
    pub fn interruption(&self) -> impl Fn() -> bool + Send + 'static {
        let shared = Arc::clone(&self.shared);
        move || shared.open_store().is_none()
    }

    /// Hands the parts over, in their order. Between two parts it gives way to a log that has to
    /// be opened anew.
    ///
    /// # Errors
    /// When the log cannot be read, is to be opened anew or closed, or a part is not taken.
    pub fn write(
        &self,
        mut part: impl FnMut(&[u8]) -> std::io::Result<()>,
    ) -> Result<(), CopyLogError> {
        let mut part = |bytes: &[u8]| {
            if self.shared.open_store().is_none() {
                return Err(CopyLogError::Interrupted);
            }
            Ok(part(bytes)?)
        };
        for keyspace in &self.keyspaces {
            let mut bytes = begin(keyspace.name());
            let empty = bytes.len();
            for item in self.snapshot.iter(keyspace) {
                let (key, value) =
                    item.into_inner().map_err(|error| CopyLogError::Read(Box::new(error)))?;
                push(&mut bytes, &key);
                push(&mut bytes, &value);
                if bytes.len() >= PART_BYTES {
                    part(&bytes)?;
                    bytes.truncate(empty);
                }
            }
            if bytes.len() > empty {
                part(&bytes)?;
            }
        }
        Ok(())
    }
}

impl Drop for LogCopy {
    fn drop(&mut self) {
        self.shared.copies.fetch_sub(1, Relaxed);
    }
}

/// Puts a copy back into a folder where no log is yet. The parts come in their order.
///
/// # Errors
/// When the folder cannot be written, or a part cannot be read; what was written until then stays.
pub fn restore(
    to: &Path,
    parts: impl IntoIterator<Item = std::io::Result<Vec<u8>>>,
) -> Result<(), RestoreLogError> {
    let _lock = folder::take(to)?;
    let options = EmbeddedLogOptions::new(to);
    let written = |error: fjall::Error| RestoreLogError::Write(Box::new(error));
    let store = Store::open(&options).map_err(written)?;
    let mut parts = parts.into_iter();
    let mut next = parts.next().transpose()?;
    while let Some(first) = next.take() {
        let (name, _) = read_begin(&first)?;
        let name = name.to_owned();
        let keyspace = store.restored(&name).map_err(written)?;
        let mut ingestion = keyspace.start_ingestion().map_err(written)?;
        let mut present = Some(first);
        while let Some(part) = present.take() {
            let (other, mut rest) = read_begin(&part)?;
            if other != name {
                next = Some(part);
                break;
            }
            while !rest.is_empty() {
                let key = pull(&mut rest)?;
                let value = pull(&mut rest)?;
                ingestion.write(key, value).map_err(written)?;
            }
            present = parts.next().transpose()?;
        }
        ingestion.finish().map_err(written)?;
    }
    store.db.persist(fjall::PersistMode::SyncAll).map_err(written)?;
    Ok(())
}

fn begin(name: &str) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    push(&mut bytes, name.as_bytes());
    bytes
}

fn read_begin(part: &[u8]) -> Result<(&str, &[u8]), RestoreLogError> {
    let mut rest = part.strip_prefix(MAGIC).ok_or(RestoreLogError::Damaged)?;
    let name = std::str::from_utf8(pull(&mut rest)?).map_err(|_| RestoreLogError::Damaged)?;
    Ok((name, rest))
}

fn push(bytes: &mut Vec<u8>, item: &[u8]) {
    // Keys and values are far below 4 GiB.
    let length = u32::try_from(item.len()).unwrap_or(u32::MAX);
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(item);
}

fn pull<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], RestoreLogError> {
    let (length, after) = rest.split_first_chunk::<4>().ok_or(RestoreLogError::Damaged)?;
    let length = u32::from_le_bytes(*length) as usize;
    let (item, after) = after.split_at_checked(length).ok_or(RestoreLogError::Damaged)?;
    *rest = after;
    Ok(item)
}
