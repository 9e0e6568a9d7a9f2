//! Tests of replays.

use std::sync::Arc;

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
use millrace_log::embedded::EmbeddedLog;
use millrace_log::embedded::EmbeddedLogOptions;
use tempfile::TempDir;

use super::replay::Bound;
use super::replay::ReplayRequest;
use super::replay::ReplayState;
use super::replay::Replays;

const RESOURCE: &str = "
apiVersion: millrace.dev/v1alpha1
kind: TelemetryPipeline
metadata: {name: readings}
spec:
  streams:
    - {name: readings, key: [.id], partitions: 1}
    - {name: rooms, key: [.room], partitions: 1, eventTime: {path: .at, format: unixMillis}}
  ingest:
    - name: readings
      http: {path: /readings, accept: [json]}
      to: readings
";

fn name(text: &str) -> StreamName {
    text.parse().unwrap()
}

async fn open(folder: &TempDir) -> (Arc<dyn Log>, Replays) {
    let pipelines = millrace_api::load(RESOURCE, "readings.yaml").unwrap();
    let plan = Arc::new(millrace_plan::plan(&pipelines[0]).unwrap());
    let log: Arc<dyn Log> =
        EmbeddedLog::open(EmbeddedLogOptions::new(folder.path().join("log"))).unwrap();
    for stream in &plan.streams {
        let (name, partitions) = (stream.name.clone(), stream.partitions);
        let config = StreamConfig { name, partitions, retention: stream.retention };
        log.ensure_streams(&[config]).await.unwrap();
    }
    (Arc::clone(&log), Replays::new(plan, log))
}

fn request(from: i64) -> ReplayRequest {
    let (stream, to) = (name("readings"), name("rooms"));
    ReplayRequest { stream, from: Bound::Offset(from), until: None, to }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_another_stream_an_event_has_the_key_and_the_time_that_are_declared_there() {
    let folder = tempfile::tempdir().unwrap();
    let (log, replays) = open(&folder).await;
    for value in [r#"{"id":"a","room":"r1","at":5}"#, r#"{"id":"b"}"#] {
        let record = Record {
            key: Bytes::from_static(b"a"),
            event_time: 1,
            ingest_time: 1,
            id: EventId::from([1; 16]),
            headers: Headers::default(),
            value: Bytes::from_static(value.as_bytes()),
        };
        let entry = Entry::Record(record);
        log.append(vec![Append { stream: name("readings"), partition: 0, entry }]).await.unwrap();
    }
    let id = replays.begin(request(0), false).unwrap().id;
    while replays.progress(&id).unwrap().state == ReplayState::Running {
        tokio::task::yield_now().await;
    }
    let done = replays.progress(&id).unwrap();
    assert_eq!((done.state, done.appended, done.refused), (ReplayState::Done, 1, 1));
    let found = log.read(&name("rooms"), 0, 0, ReadLimit::default()).await.unwrap().entries;
    let [(_, Entry::Record(record))] = &found[..] else { panic!("{found:?}") };
    assert_eq!((&*record.key, record.event_time), (&b"r1"[..], 5));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_replay_is_joined_and_no_more_than_four_run_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let (_log, replays) = open(&folder).await;
    let mut progress = replays.begin(request(0), false).unwrap();
    progress.state = ReplayState::Running;
    let mut entered = Vec::new();
    for number in 1..=5 {
        progress.id = format!("replay{number}");
        entered.push(replays.enter(&progress).is_ok_and(|joined| joined.is_none()));
    }
    assert!(!entered[4], "{entered:?}");
    progress.id = "replay1".to_owned();
    assert_eq!(replays.enter(&progress), Ok(Some(progress)));
}
