//! A backup of a running pipeline, restored into an empty folder; events replayed from one stream to
//! another; a processor rebuilt beside what it had made.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers fail as tests do")]

#[path = "../support/mod.rs"]
mod support;

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use support::http::KeepAlive;
use support::process::Pipeline;
use support::process::get;

const RESOURCE: &str = r"
apiVersion: millrace.dev/v1alpha1
kind: TelemetryPipeline
metadata: {name: readings}
spec:
  streams:
    - {name: readings, key: [.id], partitions: 3, idle: 300ms, heartbeat: true}
    - name: even
      schema: {inline: {type: object, properties: {number: {type: integer, multipleOf: 2}}}}
      key: [.id]
      partitions: 2
  ingest:
    - name: readings
      http: {path: /readings, accept: [json]}
      to: readings
  processors:
    - {name: doubled, from: [readings], map: '.number = int!(.number) * 2'}
  sinks:
    - name: doubles
      from: [doubled]
      table:
        primaryKey: [id]
        columns: [{name: id, type: text}, {name: number, type: integer}]
    - name: evens
      from: [even]
      table:
        primaryKey: [id]
        columns: [{name: id, type: text}, {name: number, type: integer}]
";

fn resource(folder: &Path) -> PathBuf {
    let file = folder.join("readings.yaml");
    std::fs::write(&file, RESOURCE).unwrap();
    file
}

fn millrace(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_millrace")).args(arguments).output().unwrap()
}

fn text(output: &Output) -> String {
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("{out}{err}")
}

fn post(connection: &mut KeepAlive, number: usize) {
    let body = format!(r#"{{"id": "r{number:06}", "number": {number}}}"#);
    let answer = connection.post("/readings", "Content-Type: application/json\r\n", &body).unwrap();
    assert!((200..300).contains(&answer.status), "{answer:?}");
}

fn sqlite(data: &Path, statement: &str) -> String {
    let output = Command::new("sqlite3")
        .args(["-cmd", ".timeout 10000"])
        .arg(data.join("tables.sqlite"))
        .arg(statement)
        .output()
        .expect("sqlite3 is installed (Debian: sqlite3)");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn count(data: &Path, table: &str) -> usize {
    sqlite(data, &format!("SELECT count(*) FROM {table}")).trim().parse().unwrap()
}

fn rows(data: &Path, table: &str) -> String {
    sqlite(data, &format!("SELECT id, number FROM {table} ORDER BY id"))
}

#[test]
fn a_backup_under_traffic_has_all_that_was_confirmed_and_is_whole_or_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let resource = resource(folder);
    let mut pipeline = Pipeline::start(&resource, folder, &[]);
    let http = pipeline.http();
    let mut connection = KeepAlive::connect(&http).unwrap();
    (0..500).for_each(|number| post(&mut connection, number));

    let stop = Arc::new(AtomicBool::new(false));
    let stopping = Arc::clone(&stop);
    let traffic = std::thread::spawn(move || {
        let mut number = 500;
        while !stopping.load(Ordering::Relaxed) {
            post(&mut connection, number);
            number += 1;
        }
        number
    });
    let file = folder.join("backup.tar");
    let file_text = file.to_str().unwrap();
    let url = format!("http://{http}");
    let made = millrace(&["backup", file_text, "--url", &url]);
    stop.store(true, Ordering::Relaxed);
    let sent = traffic.join().unwrap();
    assert!(made.status.success(), "{}", text(&made));
    let again = millrace(&["backup", file_text, "--url", &url]);
    assert_eq!(again.status.code(), Some(73), "{}", text(&again));
    pipeline.interrupt();

    // Restored into an empty folder, it goes on from there.
    let restored = folder.join("restored");
    let data = restored.join("data");
    std::fs::create_dir_all(&restored).unwrap();
    let arguments = ["restore", file_text, "--data", data.to_str().unwrap()];
    let output = millrace(&arguments);
    assert!(output.status.success(), "{}", text(&output));
    let refused = millrace(&arguments);
    assert_eq!(refused.status.code(), Some(73), "{}", text(&refused));
    let mut pipeline = Pipeline::start(&resource, &restored, &[]);
    pipeline.until("the confirmed readings are rows", |_| count(&data, "doubles") >= 500);
    let mut connection = KeepAlive::connect(&pipeline.http()).unwrap();
    post(&mut connection, 900_000);
    pipeline
        .until("the new reading is a row", |_| rows(&data, "doubles").contains("r900000|1800000"));
    let rows = rows(&data, "doubles");
    for number in 0..500 {
        let row = format!("r{number:06}|{}\n", number * 2);
        assert!(rows.contains(&row), "{row}");
    }
    assert!(rows.lines().count() <= sent + 1);
    pipeline.interrupt();

    // Of the folder of a pipeline that is stopped.
    let cold = folder.join("cold.tar");
    let output = millrace(&["backup", cold.to_str().unwrap(), "--data", data.to_str().unwrap()]);
    assert!(output.status.success(), "{}", text(&output));

    // A byte changed, and an end cut off: nothing is restored.
    let bytes = std::fs::read(&cold).unwrap();
    let mut changed = bytes.clone();
    let at = changed.len() / 2;
    changed[at] ^= 1;
    let elsewhere = folder.join("elsewhere");
    for (bytes, what) in [(changed.as_slice(), "changed"), (&bytes[..at], "cut")] {
        let damaged = folder.join("damaged.tar");
        std::fs::write(&damaged, bytes).unwrap();
        let output = millrace(&[
            "restore",
            damaged.to_str().unwrap(),
            "--data",
            elsewhere.to_str().unwrap(),
        ]);
        assert!(!output.status.success(), "{what}: {}", text(&output));
        assert!(!elsewhere.exists(), "{what}");
    }
}

#[test]
fn a_replay_appends_each_event_once_and_what_is_not_taken_is_a_dead_letter() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut pipeline = Pipeline::start(&resource(folder), folder, &[]);
    let http = pipeline.http();
    let data = folder.join("data");
    let mut connection = KeepAlive::connect(&http).unwrap();
    (0..100).for_each(|number| post(&mut connection, number));
    let url = format!("http://{http}");
    let replay = |to: &str, more: &[&str]| {
        let arguments =
            ["replay", "--stream", "readings", "--from", "0", "--to", to, "--url", &url];
        millrace(&[&arguments, more].concat())
    };
    let derived = replay("doubled", &[]);
    assert_eq!(derived.status.code(), Some(65), "{}", text(&derived));
    let told = "50 events of `readings` were appended to `even`, 50 became dead letters.\n";
    let first = replay("even", &[]);
    assert_eq!(text(&first), told);
    pipeline.until("the events are rows", |_| count(&data, "evens") == 50);
    // The same again has nothing left; anew, it appends all once more.
    assert_eq!(
        text(&replay("even", &[])),
        "0 events of `readings` were appended to `even`, 0 became dead letters.\n"
    );
    assert_eq!(text(&replay("even", &["--restart"])), told);
    assert_eq!(count(&data, "evens"), 50);
    assert!(rows(&data, "evens").starts_with("r000000|0\nr000002|2\n"));
}

#[test]
fn a_rebuilt_processor_serves_the_same_rows_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let resource = resource(folder);
    let mut pipeline = Pipeline::start(&resource, folder, &[]);
    let http = pipeline.http();
    let data = folder.join("data");
    let mut connection = KeepAlive::connect(&http).unwrap();
    (0..500).for_each(|number| post(&mut connection, number));
    pipeline.until("the readings are rows", |_| count(&data, "doubles") == 500);
    let before = rows(&data, "doubles");
    sqlite(&data, "DELETE FROM doubles WHERE number > 100");
    let url = format!("http://{http}");
    let output = millrace(&["rebuild", "doubled", "--url", &url]);
    assert!(output.status.success(), "{}", text(&output));
    assert_eq!(rows(&data, "doubles"), before);
    post(&mut connection, 500);
    pipeline.until("the new reading is a row", |_| count(&data, "doubles") == 501);
    let records = get(&http, "/api/v1/status").unwrap().1;
    assert!(records.contains(r#""ready":true"#), "{records}");

    // Changed, with its generation raised, and killed on the way.
    pipeline.kill();
    let changed = RESOURCE.replace(
        "{name: doubled, from: [readings], map: '.number = int!(.number) * 2'}",
        "{name: doubled, from: [readings], map: '.number = int!(.number) * 3', generation: 1}",
    );
    std::fs::write(&resource, changed).unwrap();
    for _ in 0..2 {
        Pipeline::start(&resource, folder, &[]).kill();
    }
    let mut pipeline = Pipeline::start(&resource, folder, &[]);
    pipeline.until("the new rows are served", |_| rows(&data, "doubles").contains("r000500|1500"));
    assert_eq!(count(&data, "doubles"), 501);
    assert!(rows(&data, "doubles").starts_with("r000000|0\nr000001|3\n"));
}

#[test]
fn dumps_of_a_database_are_kept_elsewhere_and_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (dumps, store, other) = (path("dumps"), path("store"), path("other"));
    for folder in [&dumps, &other] {
        std::fs::create_dir(folder).unwrap();
    }
    for (name, text) in [("1.dump", "one"), ("2.dump", "two"), ("3.dump", "three")] {
        std::fs::write(Path::new(&dumps).join(name), text).unwrap();
    }
    std::fs::write(Path::new(&dumps).join("4.dump.partial"), "half").unwrap();
    let said = |arguments: &[&str]| {
        let output = millrace(&[&["dumps"], arguments].concat());
        let (out, error) = (String::from_utf8(output.stdout), String::from_utf8(output.stderr));
        (output.status.code().unwrap(), out.unwrap() + &error.unwrap())
    };
    assert_eq!(
        said(&["copy", &dumps, &store, "--keep", "2"]),
        (0, format!("Copied 2.dump, 3 bytes.\nCopied 3.dump, 5 bytes.\nDumps at {store}: 2.\n"))
    );
    std::fs::write(Path::new(&dumps).join("5.dump"), "five").unwrap();
    assert_eq!(
        said(&["copy", &dumps, &store, "--keep", "2"]),
        (0, format!("Copied 5.dump, 4 bytes.\nRemoved 2.dump.\nDumps at {store}: 2.\n"))
    );
    assert_eq!(said(&["list", &store]), (0, "3.dump  5 bytes\n5.dump  4 bytes\n".to_owned()));
    assert_eq!(
        said(&["fetch", &other, &store]),
        (0, format!("{other}/5.dump has the dump, 4 bytes.\n"))
    );
    assert_eq!(std::fs::read(Path::new(&other).join("5.dump")).unwrap(), b"five");
    let (code, error) = said(&["fetch", &other, &store]);
    assert_eq!(code, 73);
    assert!(error.contains("5.dump is there already"), "{error}");
    let (code, error) = said(&["fetch", &other, &store, "--dump", "2.dump"]);
    assert_eq!(code, 66);
    assert!(error.contains("there is no 2.dump at"), "{error}");
    std::fs::write(Path::new(&dumps).join("5.dump"), "another").unwrap();
    let (code, error) = said(&["copy", &dumps, &store]);
    assert_eq!(code, 65);
    assert!(error.contains("has a 5.dump of 4 bytes, the folder one of 7"), "{error}");
}

#[test]
fn dumps_are_not_looked_for_in_a_folder_that_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = folder.path().join("nowhere");
    let address = nowhere.to_str().unwrap();
    for arguments in [&["dumps", "list", address][..], &["dumps", "fetch", ".", address]] {
        let output = millrace(arguments);
        assert_eq!(output.status.code(), Some(66));
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains(&format!("there is no folder {address}: check")), "{error}");
        assert!(!nowhere.exists());
    }
}
