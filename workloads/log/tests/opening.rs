//! Opening a folder: who may, and what is refused.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers fail as tests do")]

mod common;

use std::process::Command;

use common::append;
use common::read_all;
use common::stream;
use millrace_log::EmbeddedLog;
use millrace_log::EmbeddedLogOptions;
use millrace_log::Log;
use millrace_log::OpenLogError;

#[tokio::test]
async fn a_folder_in_use_is_refused_and_its_holder_named() {
    let folder = tempfile::tempdir().unwrap();
    let log = EmbeddedLog::open(EmbeddedLogOptions::new(folder.path())).unwrap();
    match EmbeddedLog::open(EmbeddedLogOptions::new(folder.path())) {
        Err(OpenLogError::InUse { holder, .. }) => {
            assert!(holder.starts_with(&format!("process {} (opening", std::process::id())));
        }
        other => panic!("it is not in use: {:?}", other.err()),
    }
    log.close().await;
    EmbeddedLog::open(EmbeddedLogOptions::new(folder.path())).unwrap();
}

#[tokio::test]
async fn a_dropped_log_gives_its_folder_up_without_being_closed() {
    let folder = tempfile::tempdir().unwrap();
    let log = EmbeddedLog::open(EmbeddedLogOptions::new(folder.path())).unwrap();
    log.ensure_streams(&[stream("a", 1)]).await.unwrap();
    log.append(vec![append("a", 0, "k", 1, 1)]).await.unwrap();
    drop(log);
    let log = loop {
        match EmbeddedLog::open(EmbeddedLogOptions::new(folder.path())) {
            Ok(log) => break log,
            Err(OpenLogError::InUse { .. }) => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(read_all(&*log, "a", 0).await.unwrap().len(), 1);
}

#[test]
fn the_lock_file_of_a_dead_process_is_no_obstacle() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("lock"), "process 1 (someone)\n").unwrap();
    EmbeddedLog::open(EmbeddedLogOptions::new(folder.path())).unwrap();
}

#[test]
fn a_folder_of_a_later_format_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("format"), "2\n").unwrap();
    match EmbeddedLog::open(EmbeddedLogOptions::new(folder.path())) {
        Err(OpenLogError::Version { found: 2, supported: 1, .. }) => {}
        other => panic!("its format is not refused: {:?}", other.err()),
    }
}

#[test]
fn a_folder_that_cannot_be_written_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    // A file in its place cannot be written as a folder, not even by root.
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    for path in [file.clone(), file.join("log")] {
        match EmbeddedLog::open(EmbeddedLogOptions::new(&path)) {
            Err(OpenLogError::Folder { folder, .. }) => assert_eq!(folder, path),
            other => panic!("it is not refused: {:?}", other.err()),
        }
    }
}

#[test]
fn a_read_only_file_system_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "ro,size=1m", "tmpfs"])
        .arg(folder.path())
        .status();
    if !mounted.is_ok_and(|status| status.success()) {
        println!("Mounting a file system is not permitted here; nothing was tested.");
        return;
    }
    let opened = EmbeddedLog::open(EmbeddedLogOptions::new(folder.path().join("log")));
    let direct = EmbeddedLog::open(EmbeddedLogOptions::new(folder.path()));
    let unmounted = Command::new("umount").arg(folder.path()).status();
    assert!(unmounted.is_ok_and(|status| status.success()));
    assert!(matches!(opened, Err(OpenLogError::Folder { .. })));
    assert!(matches!(direct, Err(OpenLogError::Folder { .. })));
}

#[tokio::test]
async fn statistics_count_records_and_shared_syncs() {
    let folder = tempfile::tempdir().unwrap();
    let log = EmbeddedLog::open(EmbeddedLogOptions::new(folder.path())).unwrap();
    log.ensure_streams(&[stream("a", 1)]).await.unwrap();
    let before = log.statistics();
    log.append((0..5).map(|n| append("a", 0, "k", n, 1)).collect()).await.unwrap();
    let after = log.statistics();
    assert_eq!(after.records - before.records, 5);
    assert_eq!(after.syncs - before.syncs, 1);
    assert!(after.sync_seconds > before.sync_seconds);
    assert!(after.disk_bytes > 0 && after.disk_bytes < 1 << 20);
    log.close().await;
}

/// What a stream of many partitions costs is what is in it.
#[tokio::test]
async fn a_partition_takes_files_once_it_is_written_and_an_unwritten_one_reads_as_empty() {
    let folder = tempfile::tempdir().unwrap();
    let keyspaces = || std::fs::read_dir(folder.path().join("database/keyspaces")).unwrap().count();
    let log = EmbeddedLog::open(EmbeddedLogOptions::new(folder.path())).unwrap();
    let before = keyspaces();
    log.ensure_streams(&[stream("a", 300), stream("b", 300)]).await.unwrap();
    assert_eq!(keyspaces(), before);
    log.append(vec![append("a", 7, "k", 1, 1), append("b", 299, "k", 1, 1)]).await.unwrap();
    assert_eq!(keyspaces(), before + 2);
    log.close().await;

    let log = EmbeddedLog::open(EmbeddedLogOptions::new(folder.path())).unwrap();
    assert_eq!(keyspaces(), before + 2);
    log.append(vec![append("a", 8, "k", 2, 2)]).await.unwrap();
    for (partition, entries) in [(6, 0), (7, 1), (8, 1), (9, 0)] {
        assert_eq!(read_all(&*log, "a", partition).await.unwrap().len(), entries, "{partition}");
    }
    log.remove(&["a".parse().unwrap()], &[]).await.unwrap();
    log.ensure_streams(&[stream("a", 300)]).await.unwrap();
    assert_eq!(read_all(&*log, "a", 7).await.unwrap().len(), 0);
    log.append(vec![append("a", 7, "k", 3, 3)]).await.unwrap();
    assert_eq!(read_all(&*log, "a", 7).await.unwrap().len(), 1);
}
