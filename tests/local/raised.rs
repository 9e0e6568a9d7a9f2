//! A processor's generation is raised in the resource while a webhook and an archive read what it
//! makes: nothing is sent twice, and the new files have the new stream alone.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers fail as tests do")]

#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Read as _;
use std::io::Write as _;
use std::net::TcpListener;
use std::net::TcpStream;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::Mutex;

use serde_json::Value;
use support::http::KeepAlive;
use support::process::Pipeline;

const RESOURCE: &str = r#"
apiVersion: millrace.dev/v1alpha1
kind: TelemetryPipeline
metadata: {name: readings}
spec:
  streams:
    - {name: readings, key: [.id], partitions: 2, idle: 300ms, heartbeat: true}
  ingest:
    - name: readings
      http: {path: /readings, accept: [json]}
      to: readings
  processors:
    - {name: doubled, from: [readings], map: '.number = int!(.number) * 2'}
  sinks:
    - name: hook
      from: [doubled]
      webhook: {url: "http://RECEIVER/hook"}
    - name: files
      from: [doubled]
      archive: {url: lake, format: ndjson, every: 1s}
"#;

/// What a receiver of webhooks has got: the numbers of each id.
type Received = Arc<Mutex<BTreeMap<String, Vec<i64>>>>;

fn receive(received: &Received) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let received = Arc::clone(received);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let received = Arc::clone(&received);
            std::thread::spawn(move || answer(&stream.unwrap(), &received));
        }
    });
    address
}

fn answer(stream: &TcpStream, received: &Received) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            let line = line.trim_end().to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let event: Value = serde_json::from_slice(&body).unwrap();
        let (id, number) = (event["id"].as_str().unwrap(), event["number"].as_i64().unwrap());
        received.lock().unwrap().entry(id.to_owned()).or_default().push(number);
        let mut out = stream;
        out.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").ok()?;
    }
}

fn post(pipeline: &mut Pipeline, numbers: std::ops::Range<i64>) {
    let mut connection = KeepAlive::connect(&pipeline.http()).unwrap();
    for number in numbers {
        let body = format!(r#"{{"id": "r{number:03}", "number": {number}}}"#);
        let answer =
            connection.post("/readings", "Content-Type: application/json\r\n", &body).unwrap();
        assert!((200..300).contains(&answer.status), "{answer:?}");
    }
}

/// The archive's files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.to_string_lossy().ends_with(".ndjson.gz") {
            found.push(path);
        }
    }
    found
}

/// Lines of the files of the first generation, or of those after it.
fn archived(folder: &Path, is_first: bool) -> Vec<String> {
    let mut lines = Vec::new();
    for file in files(folder) {
        if file.to_string_lossy().contains("files-g0-") == is_first {
            let output = Command::new("gzip").arg("-dc").arg(&file).output().unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            lines.extend(text.lines().map(str::to_owned));
        }
    }
    lines
}

#[test]
fn after_a_raise_a_webhook_goes_on_and_new_files_have_the_new_stream_alone() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let received = Received::default();
    let text = RESOURCE.replace("RECEIVER", &receive(&received));
    let file = folder.join("readings.yaml");
    std::fs::write(&file, &text).unwrap();
    let mut pipeline = Pipeline::start(&file, folder, &[]);
    post(&mut pipeline, 0..60);
    pipeline.until("all is sent", |_| received.lock().unwrap().len() == 60);
    pipeline.until("all is archived", |_| archived(folder, true).len() == 60);
    pipeline.interrupt();

    let raised = text
        .replace("{name: doubled, from", "{name: doubled, generation: 1, from")
        .replace("* 2'", "* 3'");
    std::fs::write(&file, raised).unwrap();
    let mut pipeline = Pipeline::start(&file, folder, &[]);
    post(&mut pipeline, 60..90);
    pipeline.until("the rebuild is served", |_| received.lock().unwrap().len() == 90);
    post(&mut pipeline, 90..100);
    pipeline.until("what comes later is sent", |_| received.lock().unwrap().len() == 100);
    pipeline.until("the new stream is archived", |_| archived(folder, false).len() >= 100);
    pipeline.interrupt();

    let wanted: BTreeMap<String, Vec<i64>> =
        (0..100).map(|n| (format!("r{n:03}"), vec![if n < 60 { n * 2 } else { n * 3 }])).collect();
    assert_eq!(*received.lock().unwrap(), wanted);
    assert_eq!(archived(folder, true).len(), 60);
    let new = archived(folder, false);
    assert_eq!(new.len(), 100);
    for n in 0..100 {
        let (id, number) = (format!("r{n:03}"), format!("\"number\":{}", n * 3));
        let same = new.iter().filter(|line| line.contains(&id) && line.contains(&number));
        assert_eq!(same.count(), 1, "{id}");
    }
}
