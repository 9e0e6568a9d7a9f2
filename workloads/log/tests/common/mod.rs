//! What the tests of the embedded log share.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers fail as tests do")]
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::path::Path;

use bytes::Bytes;
use millrace_core::EventId;
use millrace_core::Headers;
use millrace_core::Record;
use millrace_core::StreamName;
use millrace_log::Append;
use millrace_log::Entry;
use millrace_log::Log;
use millrace_log::ReadLimit;
use millrace_log::StreamConfig;
use millrace_plan::model::Retention;

pub(crate) fn name(text: &str) -> StreamName {
    text.parse().unwrap()
}

pub(crate) fn stream(text: &str, partitions: i32) -> StreamConfig {
    StreamConfig { name: name(text), partitions, retention: Retention::default() }
}

/// A record whose times and value are a number, the value with that many bytes more.
pub(crate) fn append(
    stream: &str,
    partition: i32,
    key: &str,
    number: i64,
    length: usize,
) -> Append {
    let entry = Entry::Record(Record {
        key: Bytes::copy_from_slice(key.as_bytes()),
        event_time: number,
        ingest_time: number,
        id: EventId::from([0; 16]),
        headers: Headers::default(),
        value: Bytes::from(number.to_string() + &" ".repeat(length)),
    });
    Append { stream: name(stream), partition, entry }
}

/// Keys and numbers of all records of a partition.
pub(crate) async fn read_all(
    log: &dyn Log,
    stream: &str,
    partition: i32,
) -> Result<Vec<(Bytes, i64)>, millrace_log::ReadError> {
    let mut all = Vec::new();
    let mut from = 0;
    loop {
        let batch = log.read(&name(stream), partition, from, ReadLimit::default()).await?;
        if batch.entries.is_empty() {
            return Ok(all);
        }
        from = batch.next;
        for (_, entry) in batch.entries {
            let Entry::Record(record) = entry else { panic!("there are no marks") };
            let value: i64 = std::str::from_utf8(&record.value).unwrap().trim().parse().unwrap();
            assert_eq!(value, record.event_time);
            all.push((record.key, value));
        }
    }
}

/// All files below a folder.
pub(crate) fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// Copies a folder; runs of zeros stay holes.
pub(crate) fn copy(from: &Path, to: &Path) {
    let status = std::process::Command::new("cp")
        .args(["-r", "--sparse=always"])
        .arg(from.join("."))
        .arg(to)
        .status()
        .unwrap();
    assert!(status.success());
}
