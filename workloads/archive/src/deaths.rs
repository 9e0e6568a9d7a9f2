//! Deaths of the process at every step of writing files, and stores that fail.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers fail as tests do")]

mod faulty;

use std::collections::BTreeMap;
use std::path::Path as FilePath;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use arrow_array::cast::AsArray as _;
use arrow_array::types::Int32Type;
use arrow_array::types::Int64Type;
use async_trait::async_trait;
use millrace_core::EventId;
use millrace_core::Headers;
use millrace_core::Mark;
use millrace_core::Offset;
use millrace_core::Partition;
use millrace_core::Record;
use millrace_core::StreamName;
use millrace_log::Append;
use millrace_log::CommitTaskError;
use millrace_log::EmbeddedLog;
use millrace_log::EmbeddedLogOptions;
use millrace_log::Entry;
use millrace_log::Log;
use millrace_log::StreamConfig;
use millrace_observe::ComponentKind;
use millrace_observe::Observer;
use millrace_observe::State;
use millrace_plan::model::ArchiveFormat;
use millrace_plan::model::ArchiveSink;
use millrace_plan::model::Retention;
use millrace_plan::model::StoreAddress;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tokio::sync::Semaphore;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::faulty::Fault;
use self::faulty::Faulty;
use crate::archiver::Archiver;
use crate::error::RunArchiveError;
use crate::files::Before;
use crate::files::Files;
use crate::layout::FileNames;
use crate::metrics::Metrics;
use crate::parquet::Content;
use crate::parquet::Shape;
use crate::progress::Intent;
use crate::progress::Progress;
use crate::range;
use crate::range::RangeLimit;
use crate::store::OpenStore;
use crate::store::OpenStores;
use crate::store::UseStoreError;

const PARTITIONS: Partition = 3;
const HOUR: i64 = 3_600_000;

#[async_trait]
impl OpenStores for OpenStore {
    async fn open(&self) -> std::result::Result<Self, UseStoreError> {
        Ok(self.clone())
    }
}

fn stream() -> StreamName {
    "trip".parse().unwrap()
}

fn sink() -> ArchiveSink {
    ArchiveSink {
        store: StoreAddress {
            url: "faulty".into(),
            endpoint: None,
            region: None,
            credentials: None,
        },
        format: ArchiveFormat::Parquet,
        every: Duration::from_mins(5),
        max_events: 20,
    }
}

/// A log with 90 records in three partitions and two hours, and marks between them.
async fn filled_log(folder: &FilePath) -> Arc<dyn Log> {
    let log: Arc<dyn Log> = EmbeddedLog::open(EmbeddedLogOptions::new(folder)).unwrap();
    let config =
        StreamConfig { name: stream(), partitions: PARTITIONS, retention: Retention::default() };
    log.ensure_streams(&[config]).await.unwrap();
    let mut entries = Vec::new();
    for n in 0..30 {
        for partition in 0..PARTITIONS {
            let value = format!(r#"{{"n":{n}}}"#);
            let record = Record {
                key: "k".into(),
                event_time: n % 2 * HOUR + n,
                ingest_time: 0,
                id: EventId::of_content("trip", b"k", value.as_bytes()),
                headers: Headers::default(),
                value: value.into(),
            };
            entries.push((partition, Entry::Record(record)));
            entries.push((partition, Entry::Mark(Mark::Task { task: 0, watermark: n })));
        }
    }
    let append = |(partition, entry)| Append { stream: stream(), partition, entry };
    log.append(entries.into_iter().map(append).collect()).await.unwrap();
    log
}

/// Archives everything in the log.
async fn archive(
    log: &Arc<dyn Log>,
    store: OpenStore,
    max_events: usize,
    observer: &Observer,
    cancel: CancellationToken,
) -> std::result::Result<(), RunArchiveError> {
    let (_finished, upstream_finished) = watch::channel(true);
    let archiver = Archiver {
        sink: Arc::new(ArchiveSink { max_events, ..sink() }),
        name: "archive".into(),
        generation: 0,
        stream: stream(),
        partitions: PARTITIONS,
        shape: Arc::new(Shape::new(Content::Json, Vec::new())),
        log: Arc::clone(log),
        is_ours_alone: true,
        stores: Arc::new(store),
        memory: Arc::new(Semaphore::new(1)),
        component: observer.component(ComponentKind::Sink, "archive", Some("trip"), None),
        metrics: Metrics::register(observer).archive("archive", "trip"),
        upstream_finished: Some(upstream_finished),
    };
    archiver.run(cancel).await
}

fn sound(folder: &FilePath) -> OpenStore {
    let store = LocalFileSystem::new_with_prefix(folder).unwrap();
    OpenStore {
        store: Arc::new(store),
        prefix: Path::default(),
        folder: Some(folder.to_owned()),
        began: std::time::SystemTime::now(),
    }
}

fn faulty(
    folder: &FilePath,
    fault: Fault,
    puts_before: usize,
) -> (OpenStore, watch::Receiver<bool>) {
    let (died, has_died) = watch::channel(false);
    let inner = LocalFileSystem::new_with_prefix(folder).unwrap();
    let puts_before = AtomicUsize::new(puts_before);
    let store = Faulty { folder: folder.to_owned(), inner, fault, puts_before, died };
    (OpenStore { store: Arc::new(store), ..sound(folder) }, has_died)
}

fn files(folder: &FilePath) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(self::files(&path));
        } else {
            files.push(path);
        }
    }
    files
}

/// How often each position is in the files of a folder.
fn positions(folder: &FilePath) -> BTreeMap<(Partition, Offset), usize> {
    let mut positions = BTreeMap::new();
    for file in files(folder) {
        assert_eq!(file.extension().unwrap(), "parquet", "{}", file.display());
        let file = std::fs::File::open(file).unwrap();
        for batch in ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap() {
            let batch = batch.unwrap();
            let column = |name| batch.column_by_name(name).unwrap();
            let partitions = column("_partition").as_primitive::<Int32Type>();
            let offsets = column("_offset").as_primitive::<Int64Type>();
            for (partition, offset) in partitions.values().iter().zip(offsets.values()) {
                *positions.entry((*partition, *offset)).or_default() += 1;
            }
        }
    }
    positions
}

/// Every record once: they have the even offsets, marks the odd ones.
fn every_record_once() -> BTreeMap<(Partition, Offset), usize> {
    (0..PARTITIONS).flat_map(|partition| (0..30).map(move |n| ((partition, n * 2), 1))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_death_at_any_file_leaves_every_event_in_exactly_one_file() {
    let mut deaths = 0;
    for fault in [Fault::DiesBefore, Fault::DiesAfter] {
        for puts_before in 0.. {
            let folder = tempfile::tempdir().unwrap();
            let lake = folder.path().join("lake");
            std::fs::create_dir(&lake).unwrap();
            let log = filled_log(&folder.path().join("log")).await;
            let (store, mut died) = faulty(&lake, fault, puts_before);
            let observer = Observer::default();
            let is_dead = tokio::select! {
                ended = archive(&log, store, 20, &observer, CancellationToken::new()) => {
                    ended.unwrap();
                    false
                }
                _ = died.wait_for(|died| *died) => true,
            };
            if is_dead {
                // Ranges of one hour each: those that were begun end where they were to end.
                archive(&log, sound(&lake), 2, &observer, CancellationToken::new()).await.unwrap();
                deaths += 1;
            }
            assert_eq!(positions(&lake), every_record_once(), "{fault:?} {puts_before}");
            log.close().await;
            if !is_dead {
                break;
            }
        }
    }
    // Five ranges of at most 20 events, each with files of two hours, and both kinds of death.
    assert!(deaths >= 20, "{deaths}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_fails_is_tried_again() {
    for fault in [Fault::Refuses, Fault::AnswerIsLost] {
        let folder = tempfile::tempdir().unwrap();
        let lake = folder.path().join("lake");
        std::fs::create_dir(&lake).unwrap();
        let log = filled_log(&folder.path().join("log")).await;
        let observer = Observer::default();
        let (store, _died) = faulty(&lake, fault, 3);
        archive(&log, store, 20, &observer, CancellationToken::new()).await.unwrap();
        assert_eq!(positions(&lake), every_record_once(), "{fault:?}");
        let metrics = observer.encode().unwrap();
        let errors = r#"millrace_archive_errors_total{sink="archive",stream="trip"} 1"#;
        assert!(metrics.contains(errors), "{metrics}");
        log.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_taken_over_cannot_commit() {
    let folder = tempfile::tempdir().unwrap();
    let log = filled_log(&folder.path().join("log")).await;
    let stream = stream();
    let claim = || Progress::claim(&log, "sink.archive.0.trip".to_owned(), &stream, 3);
    let mut first = claim().await.unwrap();
    let mut second = claim().await.unwrap();
    let intent = Intent { to: vec![4, 4, 4], format: ArchiveFormat::Parquet };
    let refused = first.intend(intent.clone()).await;
    assert!(matches!(refused, Err(CommitTaskError::Fenced { .. })), "{refused:?}");
    second.intend(intent.clone()).await.unwrap();
    let refused = first.finish(vec![4, 4, 4]).await;
    assert!(matches!(refused, Err(CommitTaskError::Fenced { .. })), "{refused:?}");

    let third = claim().await.unwrap();
    assert_eq!((third.range, third.next, third.intent), (0, vec![0, 0, 0], Some(intent)));
    assert_eq!(third.log, second.log);
    second.finish(vec![4, 4, 4]).await.unwrap_err();
    log.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_more_than_the_log_still_has_is_not_written_again() {
    let folder = tempfile::tempdir().unwrap();
    let log = filled_log(&folder.path().join("log")).await;
    let from = [0; 3];
    let limit = RangeLimit { events: usize::MAX, bytes: usize::MAX };
    let range = range::read(&log, &stream(), &from, &[60; 3], limit).await.unwrap();
    let lake = folder.path().join("lake");
    std::fs::create_dir(&lake).unwrap();
    let names = FileNames {
        prefix: Path::default(),
        sink: "archive".into(),
        generation: 0,
        stream: "trip".into(),
        log: 0,
    };
    let shape = Arc::new(Shape::new(Content::Json, Vec::new()));
    let (sink, store) = (sink(), sound(&lake));
    let files = |before| Files {
        address: &sink.store,
        store: &store,
        names: &names,
        shape: &shape,
        range: 0,
        format: ArchiveFormat::Parquet,
        before,
    };
    files(Before::Nothing).write(range.rows.clone()).await.unwrap();
    assert_eq!(files(Before::Attempted).write(range.rows.clone()).await.unwrap().files, 2);
    let some = range.rows[50..].to_vec();
    files(Before::AttemptedFromMore).write(some.clone()).await.unwrap();
    assert_eq!(positions(&lake), every_record_once());
    files(Before::Attempted).write(some).await.unwrap();
    assert_eq!(positions(&lake).len(), 40);
    log.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_is_stopped_says_that_it_has_finished() {
    let folder = tempfile::tempdir().unwrap();
    let lake = folder.path().join("lake");
    std::fs::create_dir(&lake).unwrap();
    let log = filled_log(&folder.path().join("log")).await;
    let (store, mut died) = faulty(&lake, Fault::DiesBefore, 0);
    let observer = Observer::default();
    let cancel = CancellationToken::new();
    let stop = async {
        died.wait_for(|died| *died).await.unwrap();
        cancel.cancel();
    };
    let (ended, ()) = tokio::join!(archive(&log, store, 20, &observer, cancel.clone()), stop);
    ended.unwrap();
    assert_eq!(observer.components()[0].state(), State::Finished);
    log.close().await;
}

#[tokio::test]
async fn an_unfinished_file_that_this_process_may_write_still_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let log = filled_log(&folder.path().join("log")).await;
    let limit = RangeLimit { events: 1, bytes: 1 };
    let range = range::read(&log, &stream(), &[0; 3], &[1; 3], limit).await.unwrap();
    let lake = folder.path().join("lake");
    std::fs::create_dir(&lake).unwrap();
    let names = FileNames {
        prefix: Path::default(),
        sink: "archive".into(),
        generation: 0,
        stream: "trip".into(),
        log: 0,
    };
    let shape = Arc::new(Shape::new(Content::Json, Vec::new()));
    let file = lake.join(names.path(0, 0, ArchiveFormat::Parquet).as_ref());
    let unfinished = PathBuf::from(format!("{}#1", file.display()));
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    let sink = sink();
    for (began, stays) in [
        (std::time::UNIX_EPOCH, true),
        (std::time::SystemTime::now() + Duration::from_hours(1), false),
    ] {
        std::fs::write(&unfinished, "half").unwrap();
        let store = OpenStore { began, ..sound(&lake) };
        let files = Files {
            address: &sink.store,
            store: &store,
            names: &names,
            shape: &shape,
            range: 0,
            format: ArchiveFormat::Parquet,
            before: Before::Attempted,
        };
        files.write(range.rows.clone()).await.unwrap();
        assert_eq!((unfinished.exists(), file.exists()), (stays, true));
    }
    log.close().await;
}

#[tokio::test]
async fn positions_in_another_stream_say_nothing_of_this_one() {
    let folder = tempfile::tempdir().unwrap();
    let log = filled_log(folder.path()).await;
    let other: StreamName = "other".parse().unwrap();
    let (name, partitions) = (other.clone(), PARTITIONS);
    let config = StreamConfig { name, partitions, retention: Retention::default() };
    log.ensure_streams(&[config]).await.unwrap();
    let stage = || "sink.archive.0.trip".to_owned();
    let mut before = Progress::claim(&log, stage(), &other, 3).await.unwrap();
    before.finish(vec![7, 8, 9]).await.unwrap();
    let to = vec![9, 9, 9];
    before.intend(Intent { to, format: ArchiveFormat::Parquet }).await.unwrap();
    let now = Progress::claim(&log, stage(), &stream(), 3).await.unwrap();
    assert_eq!((now.next, now.range, now.intent), (vec![0, 0, 0], 1, None));
    log.close().await;
}
