//! Reads what an opened database says of itself and checks that it is whole.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use fjall::Keyspace;
use millrace_core::Partition;
use millrace_core::StreamName;

use super::chunk;
use super::keys;
use super::saved;
use super::saved::SavedStream;
use super::store::Store;
use super::store::database_folder;
use super::streams::Progress;
use super::streams::Streams;
use crate::OpenLogError;
use crate::StorageError;
use crate::StreamConfig;

/// The number of the last group.
pub(super) fn group_number(store: &Store) -> Result<u64, StorageError> {
    Ok(match store.meta.get(keys::GROUP)? {
        Some(saved) => saved::decode(&saved)?,
        None => 0,
    })
}

/// Loads the streams, opening the keyspaces of their partitions, and checks that each partition
/// ends where it must.
pub(super) fn streams(folder: &Path, store: &Arc<Store>) -> Result<Streams, OpenLogError> {
    let failed = |error: fjall::Error| storage_error(folder, error);
    let corrupt = |what: String| OpenLogError::Corrupt { folder: folder.to_owned(), what };
    let streams = Streams::default();
    for item in store.meta.prefix(keys::STREAMS) {
        let saved = item.value().map_err(failed)?;
        let saved: SavedStream = saved::decode(&saved).map_err(|what| corrupt(what.to_owned()))?;
        let config = StreamConfig::from(saved);
        let slot = store.next_slot();
        store.add_partitions(slot, &config.name, config.partitions).map_err(failed)?;
        let mut progress = Vec::new();
        for partition in 0..config.partitions {
            let keyspace = store.partition(progress.len() + slot);
            let keyspace = keyspace.as_ref();
            progress.push(load_partition(folder, store, keyspace, &config.name, partition)?);
        }
        streams.add(&config, slot, progress);
    }
    store.remove_unknown().map_err(failed)?;
    Ok(streams)
}

fn load_partition(
    folder: &Path,
    store: &Store,
    keyspace: Option<&Keyspace>,
    stream: &StreamName,
    partition: Partition,
) -> Result<Progress, OpenLogError> {
    let failed = |error: fjall::Error| storage_error(folder, error);
    let corrupt = |what: &str| OpenLogError::Corrupt {
        folder: folder.to_owned(),
        what: format!(
            "partition {partition} of stream `{stream}` in {}: {what}",
            keyspace
                .map_or_else(|| database_folder(folder), |keyspace| keyspace.path().to_owned())
                .display()
        ),
    };
    let saved = store.meta.get(keys::partition(stream, partition)).map_err(failed)?;
    let progress: Progress = match saved {
        Some(saved) => saved::decode(&saved).map_err(corrupt)?,
        None => Progress::EMPTY,
    };
    let found = match keyspace.and_then(Keyspace::last_key_value) {
        None => 0,
        Some(last) => {
            let (key, chunk) = last.into_inner().map_err(failed)?;
            let first = keys::chunk_offset(&key).ok_or_else(|| corrupt("a key is damaged"))?;
            first + i64::from(chunk::open(&chunk).map_err(corrupt)?.count)
        }
    };
    if found == progress.end {
        Ok(progress)
    } else {
        Err(corrupt(&format!("it ends at {found}, but {} was acknowledged", progress.end)))
    }
}

/// Sorts fjall's reasons into damage and everything else.
pub(super) fn storage_error(folder: &Path, error: fjall::Error) -> OpenLogError {
    let is_damage = match &error {
        fjall::Error::Storage(fjall::LsmError::Io(source)) | fjall::Error::Io(source) => {
            // A file that fjall expects is missing, too short, or says impossible things.
            matches!(
                source.kind(),
                ErrorKind::UnexpectedEof
                    | ErrorKind::InvalidData
                    | ErrorKind::InvalidInput
                    | ErrorKind::NotFound
            )
        }
        fjall::Error::Poisoned | fjall::Error::KeyspaceDeleted | fjall::Error::Locked => false,
        _ => true,
    };
    if is_damage {
        let what = format!("{}: {error}", database_folder(folder).display());
        OpenLogError::Corrupt { folder: folder.to_owned(), what }
    } else {
        OpenLogError::Storage { folder: folder.to_owned(), source: Box::new(error) }
    }
}
