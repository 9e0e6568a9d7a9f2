//! A full disk: the log refuses, keeps what it acknowledged, and goes on once there is space.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers fail as tests do"
)]

mod common;

use std::path::Path;
use std::process::Command;
use std::time::Duration;
use std::time::Instant;

use common::append;
use common::read_all;
use common::stream;
use millrace_log::AppendError;
use millrace_log::EmbeddedLog;
use millrace_log::EmbeddedLogOptions;
use millrace_log::Log;

/// A small file system in memory; unmounted when it goes.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=24m", "tmpfs"])
            .arg(folder.path())
            .status();
        if mounted.is_ok_and(|status| status.success()) {
            Some(Self(folder))
        } else {
            println!("Mounting a file system is not permitted here; nothing was tested.");
            None
        }
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("--lazy").arg(self.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()));
    }
}

fn options(disk: &SmallDisk) -> EmbeddedLogOptions {
    let folder = disk.path().join("log");
    EmbeddedLogOptions { write_buffer_bytes: 2 << 20, ..EmbeddedLogOptions::new(folder) }
}

async fn numbers(log: &EmbeddedLog) -> Vec<i64> {
    let found = read_all(log, "a", 0).await.unwrap();
    found.into_iter().map(|(_, number)| number).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_appends_and_the_log_recovers_by_itself() {
    let Some(disk) = SmallDisk::mount() else { return };
    let filler = disk.path().join("filler");
    std::fs::write(&filler, vec![1; 12 << 20]).unwrap();
    let log = EmbeddedLog::open(options(&disk)).unwrap();
    log.ensure_streams(&[stream("a", 1)]).await.unwrap();

    let mut acknowledged = Vec::new();
    let mut number = 0;
    let mut refusals = 0;
    // It may accept again now and then when the background work has freed something.
    while refusals < 300 {
        assert!(number < 100_000, "the disk never became full");
        match log.append(vec![append("a", 0, "k", number, 30_000)]).await {
            Ok(_) => acknowledged.push(number),
            Err(AppendError::Unavailable(reason)) => {
                assert!(!reason.is_empty());
                refusals += 1;
            }
            Err(other) => panic!("it is another error: {other}"),
        }
        number += 1;
    }
    assert!(acknowledged.len() > 20);
    assert!(matches!(log.check_writable().await, Err(AppendError::Unavailable(_))));
    assert_eq!(numbers(&log).await, acknowledged);

    std::fs::remove_file(&filler).unwrap();
    let began = Instant::now();
    loop {
        match log.append(vec![append("a", 0, "k", number, 30_000)]).await {
            Ok(_) => break,
            Err(error) => assert!(began.elapsed() < Duration::from_secs(30), "{error}"),
        }
        // Waits for the condition, which only time brings.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    acknowledged.push(number);
    assert!(log.check_writable().await.is_ok());
    assert_eq!(numbers(&log).await, acknowledged);
    log.close().await;
    drop(log);

    let log = EmbeddedLog::open(options(&disk)).unwrap();
    assert_eq!(numbers(&log).await, acknowledged);
    log.close().await;
}
