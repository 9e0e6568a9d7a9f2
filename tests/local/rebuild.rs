//! The drill: commands over HTTP, the table emptied behind the program's back, and rebuilt from
//! the log alone; also under live traffic, with the process killed in between.
//!
//! `MILLRACE_REBUILD_ROWS` sets the rows of the long one (100,000).

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers fail as tests do")]

#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Output;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::Value;
use support::http::KeepAlive;
use support::process::Pipeline;
use support::process::get;
use support::process::pause;

const HEADERS: &str = "correlationId: 0a3c1d1e-7b1c-4c0e-9c1e-0123456789ab\r\n";

fn resource() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/timestamps.yaml")
}

/// Sends a command; its id, if it was answered.
fn send(connection: &mut KeepAlive, path: &str) -> Option<String> {
    let answer = connection.post(path, HEADERS, "").ok()?;
    assert_eq!(answer.status, 200, "{answer:?}");
    Some(answer.json()["id"].as_str().unwrap().to_owned())
}

/// Statements on the file, as a person makes them; what they print.
fn sqlite(folder: &Path, statements: &str) -> String {
    let output = Command::new("sqlite3")
        .args(["-cmd", ".timeout 10000"])
        .arg(folder.join("data/tables.sqlite"))
        .arg(statements)
        .output()
        .expect("sqlite3 is installed (Debian: sqlite3)");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn count(folder: &Path) -> usize {
    sqlite(folder, "SELECT count(*) FROM timestamp_records").trim().parse().unwrap()
}

/// All rows of the table, by id.
fn rows(folder: &Path) -> BTreeMap<String, String> {
    let text = sqlite(
        folder,
        "SELECT id, event_timestamp, created_at, correlation_id FROM timestamp_records",
    );
    let rows: Vec<(String, String)> = text
        .lines()
        .map(|line| {
            line.split_once('|').map(|(id, rest)| (id.to_owned(), rest.to_owned())).unwrap()
        })
        .collect();
    let by_id: BTreeMap<_, _> = rows.iter().cloned().collect();
    assert_eq!(by_id.len(), rows.len(), "no row is there twice");
    by_id
}

fn rebuild(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_millrace")).arg("rebuild").args(arguments).output().unwrap()
}

fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Sends commands and waits until they are rows.
fn fill(pipeline: &mut Pipeline, folder: &Path, commands: usize) -> BTreeMap<String, String> {
    let mut connection = KeepAlive::connect(&pipeline.http()).unwrap();
    let mut ids = Vec::new();
    for number in 0..commands {
        let path = match number % 3 {
            0 => "/app".to_owned(),
            _ => format!("/api/v1/timestamp/20{:02}-01-01T00:00:00.{number:06}Z", number % 100),
        };
        ids.push(send(&mut connection, &path).unwrap());
    }
    pipeline.until("all commands are rows", |_| count(folder) == commands);
    let rows = rows(folder);
    assert!(ids.iter().all(|id| rows.contains_key(id)));
    rows
}

#[test]
fn an_emptied_table_comes_back_from_the_log_with_every_row_once() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut pipeline = Pipeline::start(&resource(), folder, &[]);
    let before = fill(&mut pipeline, folder, 1001);
    assert_eq!(before.len(), 1001);
    let url = format!("http://{}", pipeline.http());
    let wrong = rebuild(&["timestamp", "--url", &url]);
    assert_eq!(wrong.status.code(), Some(65));
    assert!(text(&wrong).contains("did you mean `timestamps`?"), "{}", text(&wrong));

    // Rows deleted, then the whole table dropped, by someone else.
    for statement in ["DELETE FROM timestamp_records", "DROP TABLE timestamp_records"] {
        sqlite(folder, statement);
        let output = rebuild(&["timestamps", "--url", &url]);
        assert!(output.status.success(), "{}", text(&output));
        assert_eq!(
            text(&output),
            "`timestamps` is rebuilt and served, from 1001 recorded events.\n"
        );
        assert_eq!(rows(folder), before, "{statement}");
    }
    // What comes in later is a row of the rebuilt table.
    let id = send(&mut KeepAlive::connect(&pipeline.http()).unwrap(), "/app").unwrap();
    let http = pipeline.http();
    pipeline.until("the new command is a row", |_| {
        get(&http, &format!("/api/v1/timestamp/{id}")).is_ok_and(|(status, _)| status == 200)
    });
    assert_eq!(count(folder), 1002);
    let left = sqlite(folder, "SELECT count(*) FROM sqlite_master WHERE name LIKE '%@%'");
    assert_eq!(left.trim(), "0", "nothing is left of earlier generations");
}

#[test]
fn a_raised_generation_and_a_wish_while_stopped_rebuild_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut pipeline = Pipeline::start(&resource(), folder, &[]);
    let before = fill(&mut pipeline, folder, 101);
    pipeline.interrupt();
    sqlite(folder, "DELETE FROM timestamp_records");
    let data = folder.join("data");
    let output = rebuild(&["timestamps", "--data", data.to_str().unwrap()]);
    assert!(output.status.success(), "{}", text(&output));
    let mut pipeline = Pipeline::start(&resource(), folder, &[]);
    pipeline.until("the rows are back", |_| count(folder) == 101);
    assert_eq!(rows(folder), before);
    pipeline.interrupt();

    sqlite(folder, "DELETE FROM timestamp_records");
    let text = std::fs::read_to_string(resource()).unwrap();
    let raised = folder.join("raised.yaml");
    let sink = "    - name: timestamps\n      from: [commands]\n";
    assert!(text.contains(sink));
    std::fs::write(&raised, text.replace(sink, &format!("{sink}      generation: 1\n"))).unwrap();
    let mut pipeline = Pipeline::start(&raised, folder, &[]);
    pipeline.until("the rows are back", |_| count(folder) == 101);
    assert_eq!(rows(folder), before);
    pipeline.interrupt();

    // Lower again is refused, with the reason.
    let (status, output) = Pipeline::spawn(&resource(), folder, &[]).wait();
    assert_eq!(status.code(), Some(65), "{output}");
    assert!(
        output.contains(
            "the generation of `timestamps`, or of a processor that it reads, was lowered by 1"
        ),
        "{output}"
    );
}

/// Clients that send commands until they are told to stop, over all deaths of the process.
struct Traffic {
    stop: Arc<AtomicBool>,
    address: Arc<Mutex<String>>,
    threads: Vec<std::thread::JoinHandle<(Vec<String>, usize)>>,
}

impl Traffic {
    fn start(address: &str, clients: usize, pace: Duration) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let address = Arc::new(Mutex::new(address.to_owned()));
        let threads = (0..clients).map(|_| {
            let (stop, address) = (Arc::clone(&stop), Arc::clone(&address));
            std::thread::spawn(move || {
                let (mut ids, mut unanswered) = (Vec::new(), 0);
                let mut connection = None;
                while !stop.load(Ordering::Relaxed) {
                    let at = address.lock().unwrap().clone();
                    let Some(open) = connection.as_mut() else {
                        connection = KeepAlive::connect(&at).ok();
                        pause(Duration::from_millis(5));
                        continue;
                    };
                    if let Some(id) = send(open, "/app") {
                        ids.push(id);
                    } else {
                        unanswered += 1;
                        connection = None;
                    }
                    pause(pace);
                }
                (ids, unanswered)
            })
        });
        let threads = threads.collect();
        Self { stop, address, threads }
    }

    fn goes_to(&self, address: String) {
        *self.address.lock().unwrap() = address;
    }

    /// The ids that were answered, and how many commands were not.
    fn end(self) -> (Vec<String>, usize) {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = (Vec::new(), 0);
        for thread in self.threads {
            let (ids, unanswered) = thread.join().unwrap();
            all.0.extend(ids);
            all.1 += unanswered;
        }
        all
    }
}

fn rebuilds(pipeline: &mut Pipeline) -> Value {
    serde_json::from_str(&pipeline.get("/api/v1/rebuilds").1).unwrap()
}

#[test]
fn a_rebuild_under_live_traffic_survives_three_kills_and_loses_no_row() {
    let wanted: usize =
        std::env::var("MILLRACE_REBUILD_ROWS").map_or(100_000, |text| text.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut pipeline = Pipeline::start(&resource(), folder, &[]);
    let early = Traffic::start(&pipeline.http(), 32, Duration::ZERO);
    while count(folder) < wanted {
        pause(Duration::from_millis(100));
    }
    let (mut ids, mut unanswered) = early.end();
    let known = ids[0].clone();
    let traffic = Traffic::start(&pipeline.http(), 4, Duration::from_millis(2));

    let begun = support::http::post_json(
        &format!("http://{}/api/v1/rebuilds", pipeline.http()),
        r#"{"name": "timestamps"}"#,
    );
    assert_eq!(begun.status, 200, "{begun:?}");
    let mut done = 0;
    for kill in 0..3 {
        let http = pipeline.http();
        let mut progress = Value::Null;
        pipeline.until("the rebuild goes on", |_| {
            let Ok((200, text)) = get(&http, "/api/v1/rebuilds") else { return false };
            progress = serde_json::from_str(&text).unwrap();
            progress["rebuild"]["done"].as_i64().unwrap_or(0) > done || progress["running"] == false
        });
        assert_eq!(progress["running"], true, "kill {kill} comes before the switch");
        // The old rows are served meanwhile.
        assert_eq!(pipeline.get(&format!("/api/v1/timestamp/{known}")).0, 200);
        done = progress["rebuild"]["done"].as_i64().unwrap();
        pipeline.kill();
        pipeline = Pipeline::start(&resource(), folder, &[]);
        traffic.goes_to(pipeline.http());
    }
    let http = pipeline.http();
    pipeline.until("the rebuilt table is served", |_| {
        get(&http, "/api/v1/rebuilds").is_ok_and(|(_, text)| text.contains(r#""running":false"#))
    });
    pause(Duration::from_millis(200));
    let (later, lost) = traffic.end();
    ids.extend(later);
    unanswered += lost;
    assert_eq!(rebuilds(&mut pipeline)["running"], false);
    pipeline.until("every answered command is a row", |_| count(folder) >= ids.len());
    let rows = rows(folder);
    let missing = ids.iter().filter(|id| !rows.contains_key(*id)).count();
    assert_eq!(missing, 0, "of {} answered commands", ids.len());
    assert!(rows.len() <= ids.len() + unanswered, "{} rows of {}", rows.len(), ids.len());
}
