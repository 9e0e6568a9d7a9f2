//! Opening the log: lock, format, journals, database, content, writer, in this order.

use std::sync::Arc;
use std::sync::mpsc;

use super::acknowledged::AcknowledgedFile;
use super::background;
use super::folder;
use super::journal;
use super::journal::JournalError;
use super::load;
use super::log::EmbeddedLog;
use super::log::QUEUE_REQUESTS;
use super::options::EmbeddedLogOptions;
use super::shared::Shared;
use super::store::Store;
use super::verify;
use super::writer::Writer;
use crate::OpenLogError;

/// Opens the log; see [`EmbeddedLog::open`].
pub(super) fn open(options: EmbeddedLogOptions) -> Result<Arc<EmbeddedLog>, OpenLogError> {
    let folder = options.folder.clone();
    let storage = |source| OpenLogError::Storage { folder: folder.clone(), source };
    let corrupt = |what| OpenLogError::Corrupt { folder: folder.clone(), what };
    let lock = folder::take(&folder)?;
    let (acknowledged, acknowledged_group) = AcknowledgedFile::open(&folder)?;
    let journal_group =
        journal::verify(&folder, acknowledged_group).map_err(|error| match error {
            JournalError::Damaged(what) => corrupt(what),
            JournalError::Io(source) => OpenLogError::Folder { folder: folder.clone(), source },
        })?;
    let store = Store::open(&options).map_err(|error| load::storage_error(&folder, error))?;
    let number = load::group_number(&store).map_err(storage)?;
    let expected = acknowledged_group.max(journal_group.unwrap_or(0));
    if number < expected {
        return Err(corrupt(format!(
            "group {expected} was acknowledged, but the last one found is {number}"
        )));
    }
    let store = Arc::new(store);
    let streams = load::streams(&folder, &store)?;
    verify::tables(&store, options.verify_bytes).map_err(corrupt)?;
    let shared = Arc::new(Shared::new(options, streams, lock, store.clone()));
    let (requests, queue) = mpsc::sync_channel(QUEUE_REQUESTS);
    let writer = Writer::new(shared.clone(), store, acknowledged, number);
    std::thread::Builder::new()
        .name("log-writer".to_owned())
        .spawn(move || writer.run(&queue))
        .map_err(|error| storage(Box::new(error)))?;
    let (background, stop) = mpsc::channel();
    let log = Arc::new(EmbeddedLog::new(shared, requests, background));
    log.measure();
    let weak = Arc::downgrade(&log);
    std::thread::Builder::new()
        .name("log-background".to_owned())
        .spawn(move || background::run(&weak, &stop))
        .map_err(|error| storage(Box::new(error)))?;
    Ok(log)
}
