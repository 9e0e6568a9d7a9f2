//! Damaged files: whatever is damaged, the log says so, or everything is still there.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers fail as tests do")]

mod common;

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use common::append;
use common::copy;
use common::files;
use common::read_all;
use common::stream;
use millrace_log::EmbeddedLog;
use millrace_log::EmbeddedLogOptions;
use millrace_log::Log;
use millrace_log::OpenLogError;
use tempfile::TempDir;

const RECORDS: i64 = 60;

fn options(folder: &Path) -> EmbeddedLogOptions {
    EmbeddedLogOptions { write_buffer_bytes: 1 << 20, ..EmbeddedLogOptions::new(folder) }
}

/// A closed log with records of which each was a group of its own.
async fn written(length: usize) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let log = EmbeddedLog::open(options(folder.path())).unwrap();
    log.ensure_streams(&[stream("a", 2)]).await.unwrap();
    for number in 0..RECORDS {
        let partition = i32::try_from(number % 2).unwrap();
        log.append(vec![append("a", partition, "k", number, length)]).await.unwrap();
    }
    log.close().await;
    for journal in journals(folder.path()) {
        let length = used(&journal);
        change(&journal, |bytes| bytes.truncate(length));
    }
    folder
}

async fn is_complete(log: &Arc<EmbeddedLog>) -> bool {
    let mut numbers = Vec::new();
    for partition in 0..2 {
        match read_all(&**log, "a", partition).await {
            Ok(found) => numbers.extend(found.into_iter().map(|(_, number)| number)),
            Err(_) => return false,
        }
    }
    numbers.sort_unstable();
    numbers == (0..RECORDS).collect::<Vec<_>>()
}

fn journals(folder: &Path) -> Vec<PathBuf> {
    let mut found = files(folder);
    found.retain(|path| path.extension().is_some_and(|extension| extension == "jnl"));
    found
}

/// Bytes of a journal without the zeros at its end.
fn used(journal: &Path) -> usize {
    std::fs::read(journal).unwrap().iter().rposition(|byte| *byte != 0).unwrap() + 1
}

fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(path).unwrap();
    change(&mut bytes);
    std::fs::write(path, bytes).unwrap();
}

fn damage_in(result: Result<Arc<EmbeddedLog>, OpenLogError>) -> String {
    match result {
        Err(OpenLogError::Corrupt { what, .. }) => what,
        Err(other) => panic!("it is another error: {other:?}"),
        Ok(_) => panic!("it was opened"),
    }
}

#[tokio::test]
async fn a_changed_bit_anywhere_in_acknowledged_journal_data_is_reported_with_the_file() {
    let original = written(100).await;
    let journal = journals(original.path()).pop().unwrap();
    let length = used(&journal);
    let mut reported = 0;
    for at in (0..length).step_by(length / 150) {
        let folder = tempfile::tempdir().unwrap();
        copy(original.path(), folder.path());
        let journal = journals(folder.path()).pop().unwrap();
        change(&journal, |bytes| bytes[at] ^= 1 << (at % 8));
        match EmbeddedLog::open(options(folder.path())) {
            // fjall's own count of batches may differ as long as it ascends.
            Ok(log) => assert!(is_complete(&log).await, "byte {at}"),
            result => {
                let what = damage_in(result);
                assert!(what.contains(".jnl"), "byte {at}: {what}");
                reported += 1;
            }
        }
    }
    assert!(reported > 140, "{reported}");
}

#[tokio::test]
async fn a_journal_cut_in_front_of_acknowledged_data_is_reported() {
    let original = written(100).await;
    let length = used(&journals(original.path()).pop().unwrap());
    for at in (0..length).step_by(length / 60) {
        let folder = tempfile::tempdir().unwrap();
        copy(original.path(), folder.path());
        change(&journals(folder.path()).pop().unwrap(), |bytes| bytes.truncate(at));
        damage_in(EmbeddedLog::open(options(folder.path())));
    }
}

#[tokio::test]
async fn a_torn_tail_behind_acknowledged_data_is_cut_off() {
    let original = written(100).await;
    let length = used(&journals(original.path()).pop().unwrap());
    for torn in [1, 5, 30, 60, 80] {
        let folder = tempfile::tempdir().unwrap();
        copy(original.path(), folder.path());
        change(&journals(folder.path()).pop().unwrap(), |bytes| {
            // The beginning of some earlier group stands for one that was being written.
            let begun = bytes[..torn].to_vec();
            assert_eq!(bytes.len(), length);
            bytes.extend_from_slice(&begun);
        });
        let log = EmbeddedLog::open(options(folder.path())).unwrap();
        assert!(is_complete(&log).await);
        log.append(vec![append("a", 0, "k", 99, 100)]).await.unwrap();
        log.close().await;
        let log = EmbeddedLog::open(options(folder.path())).unwrap();
        let found = read_all(&*log, "a", 0).await.unwrap();
        assert_eq!(found.last().unwrap().1, 99);
        assert_eq!(found.len(), 31);
    }
}

#[tokio::test]
async fn a_missing_journal_is_reported() {
    let folder = written(100).await;
    std::fs::remove_file(journals(folder.path()).pop().unwrap()).unwrap();
    damage_in(EmbeddedLog::open(options(folder.path())));
}

/// A log large enough to have tables beside its journal.
async fn with_tables() -> TempDir {
    let folder = written(40_000).await;
    assert!(!tables(folder.path()).is_empty());
    folder
}

fn tables(folder: &Path) -> Vec<PathBuf> {
    let mut found = files(folder);
    found.retain(|path| path.parent().unwrap().ends_with("tables"));
    found
}

#[tokio::test]
async fn a_changed_bit_in_a_table_is_reported() {
    let original = with_tables().await;
    let mut reported = 0;
    for (index, table) in tables(original.path()).iter().enumerate() {
        let length = std::fs::read(table).unwrap().len();
        for at in (0..length).step_by(length / 3) {
            let folder = tempfile::tempdir().unwrap();
            copy(original.path(), folder.path());
            let table = tables(folder.path()).swap_remove(index);
            change(&table, |bytes| bytes[at] ^= 4);
            let result = EmbeddedLog::open(options(folder.path()));
            if let Ok(log) = &result {
                // Some bytes of fjall's own keyspace have no bearing.
                assert!(is_complete(log).await, "byte {at} of {}", table.display());
                continue;
            }
            reported += 1;
            let what = damage_in(result);
            // What fjall itself stumbles upon is reported with its folder only.
            let folder = folder.path().join("database");
            let named = what.contains(table.to_str().unwrap());
            assert!(named || what.contains(folder.to_str().unwrap()), "byte {at}: {what}");
        }
    }
    assert!(reported > 10, "{reported}");
}

#[tokio::test]
async fn a_truncated_or_missing_table_is_reported() {
    let original = with_tables().await;
    for keep in [None, Some(0), Some(1000)] {
        let folder = tempfile::tempdir().unwrap();
        copy(original.path(), folder.path());
        let table = tables(folder.path()).pop().unwrap();
        match keep {
            Some(length) => change(&table, |bytes| bytes.truncate(length)),
            None => std::fs::remove_file(&table).unwrap(),
        }
        damage_in(EmbeddedLog::open(options(folder.path())));
    }
}

#[tokio::test]
async fn damage_in_any_other_file_loses_nothing_silently() {
    let original = with_tables().await;
    let mut refused = 0;
    let tables = tables(original.path());
    for (index, path) in files(original.path()).iter().enumerate() {
        if tables.contains(path) || path.extension().is_some_and(|extension| extension == "jnl") {
            continue;
        }
        let length = usize::try_from(std::fs::metadata(path).unwrap().len()).unwrap();
        for at in (0..length).step_by((length / 4).max(1)) {
            let folder = tempfile::tempdir().unwrap();
            copy(original.path(), folder.path());
            let path = files(folder.path()).swap_remove(index);
            change(&path, |bytes| bytes[at] ^= 16);
            match EmbeddedLog::open(options(folder.path())) {
                Ok(log) => assert!(is_complete(&log).await, "byte {at} of {}", path.display()),
                Err(_) => refused += 1,
            }
        }
    }
    assert!(refused > 10);
}
