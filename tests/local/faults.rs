//! Bad input and bad places: what the design says of each happens, nothing confirmed is lost,
//! and memory stays bounded.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers fail as tests do")]

#[path = "../support/mod.rs"]
mod support;

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use support::content;
use support::mqtt::Publisher;
use support::process::Pipeline;
use support::process::run_to_end;
use support::race;

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/race.yaml")
}

fn publish(pipeline: &mut Pipeline, payloads: &[Vec<u8>]) {
    let mut publisher = Publisher::connect(&pipeline.mqtt(), "faults").unwrap();
    for (index, payload) in payloads.iter().enumerate() {
        publisher.send(index, "carCoordinates", payload).unwrap();
        publisher.confirmed().unwrap();
    }
}

fn coordinates(time: i64, car: i64, lat: f64) -> Vec<u8> {
    format!(r#"{{"timestamp":{time},"carIndex":{car},"location":{{"lat":{lat},"long":-1.0}}}}"#)
        .into_bytes()
}

fn resident_mebibytes(pipeline: &Pipeline) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", pipeline.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

#[test]
fn what_is_not_an_event_becomes_a_dead_letter_with_its_bytes_and_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let mut pipeline = Pipeline::start(&example(), folder.path(), &[]);
    let time = 1_541_693_114_862_i64;
    let year_3000 = 32_503_680_000_000_i64;
    let bad: Vec<(Vec<u8>, &str)> = vec![
        (b"not JSON".to_vec(), "JSON"),
        (b"\xff\xfe\x00".to_vec(), "JSON"),
        (br#"{"timestamp":1541693114862}"#.to_vec(), "carIndex"),
        (
            br#"{"timestamp":"now","carIndex":1,"location":{"lat":1,"long":1}}"#.to_vec(),
            "timestamp",
        ),
        (coordinates(time, 1, 91.0), "lat"),
        (
            br#"{"timestamp":1541693114862,"carIndex":1,"location":{"lat":NaN,"long":1}}"#.to_vec(),
            "JSON",
        ),
        (coordinates(year_3000, 1, 52.0), "ahead"),
        (vec![b'['; 100_000], "JSON"),
        (vec![b' '; 10 << 20], "1048576"),
    ];
    let payloads: Vec<_> = bad.iter().map(|(payload, _)| payload.clone()).collect();
    publish(&mut pipeline, &payloads);
    let (code, body) = pipeline.get("/api/v1/dead-letters?limit=100");
    assert_eq!(code, 200);
    let body: Value = serde_json::from_str(&body).unwrap();
    let letters = body["deadLetters"].as_array().unwrap();
    assert_eq!(letters.len(), bad.len());
    for ((payload, reason), letter) in bad.iter().zip(letters) {
        assert_eq!(letter["stage"], "ingest/cars");
        assert_eq!(letter["context"], "carCoordinates");
        assert_eq!(letter["bytes"], payload.len());
        let said = letter["reason"].as_str().unwrap();
        assert!(said.contains(reason), "`{said}` does not speak of `{reason}`");
    }
    // What is right still goes through.
    publish(&mut pipeline, &[coordinates(time, 1, 52.0)]);
    let (_, status) = pipeline.get("/api/v1/streams/coordinates/records?partition=0&from=0");
    let status: Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["records"].as_array().unwrap().len(), 1);
    assert!(resident_mebibytes(&pipeline) < 200);
}

#[test]
fn ten_thousand_cars_cost_bounded_memory_and_those_beyond_the_limit_are_dead_letters() {
    let folder = tempfile::tempdir().unwrap();
    let resource = race::resource(folder.path(), &[("idle: 500ms", "idle: 1h")]);
    let mut pipeline = Pipeline::start(&resource, folder.path(), &[]);
    let time = 1_541_693_114_862;
    let mut publisher = Publisher::connect(&pipeline.mqtt(), "many").unwrap();
    for car in 0..10_000 {
        publisher.send(0, "carCoordinates", &coordinates(time, car, 52.0)).unwrap();
        while publisher.unconfirmed() >= 20 {
            publisher.confirmed().unwrap();
        }
    }
    while publisher.unconfirmed() > 0 {
        publisher.confirmed().unwrap();
    }
    assert!(resident_mebibytes(&pipeline) < 200);
    let (status, _) = pipeline.interrupt();
    assert!(status.success());
    run_to_end(&resource, folder.path(), &[]);
    let outputs = content::outputs(&resource, folder.path());
    let letters = &outputs["stream dead-letters"];
    // The order of a race has at most 1,000 entities.
    assert_eq!(letters.len(), 9000);
    assert_eq!(outputs["stream standings"].len(), 1000);
}

/// A small file system of its own, unmounted at the end.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(folder: &Path, size: &str) -> Self {
        let place = folder.join("disk");
        std::fs::create_dir_all(&place).unwrap();
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(&place)
            .status()
            .unwrap();
        assert!(status.success(), "this test mounts a tmpfs and has to run as root");
        Self(place)
    }

    fn read_only(&self) {
        let status =
            Command::new("mount").args(["-o", "remount,ro"]).arg(&self.0).status().unwrap();
        assert!(status.success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_holds_confirmations_says_so_and_goes_on_when_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let disk = SmallDisk::mount(folder.path(), "512m");
    let mut pipeline = Pipeline::start(&example(), &disk.0, &[]);
    publish(&mut pipeline, &[coordinates(1_541_693_114_862, 0, 52.0)]);
    // All that is left of the disk, until nothing more fits.
    let ballast = disk.0.join("ballast");
    let _ = Command::new("dd")
        .args(["if=/dev/zero", "bs=64k", "status=none"])
        .arg(format!("of={}", ballast.display()))
        .status()
        .unwrap();
    let address = pipeline.mqtt();
    let http = pipeline.http();
    let sender = std::thread::spawn(move || {
        let mut publisher = Publisher::connect(&address, "full").unwrap();
        // More than the log has set aside; each message is waited for.
        let padding = "x".repeat(64 << 10);
        for index in 0..1000_i64 {
            let payload = format!(
                r#"{{"timestamp":{},"carIndex":0,"location":{{"lat":52.0,"long":-1.0}},"padding":"{padding}"}}"#,
                1_541_693_114_862 + index * 200
            );
            publisher.send(0, "carCoordinates", payload.as_bytes()).unwrap();
            // The confirmation is held while the disk is full.
            publisher.confirmed().unwrap();
        }
    });
    pipeline.until("it is no longer ready", |_| {
        support::process::get(&http, "/readyz").is_ok_and(|(code, _)| code == 503)
    });
    let (_, reasons) = pipeline.get("/readyz");
    assert!(reasons.contains("does not accept"), "{reasons}");
    assert!(!sender.is_finished());
    std::fs::remove_file(&ballast).unwrap();
    pipeline.until("it is ready again", |_| {
        support::process::get(&http, "/readyz").is_ok_and(|(code, _)| code == 200)
    });
    sender.join().unwrap();
    let (_, status) = pipeline.get("/api/v1/status");
    let status: Value = serde_json::from_str(&status).unwrap();
    let stream = |stream: &&Value| stream["name"] == "coordinates";
    let coordinates = status["streams"].as_array().unwrap().iter().find(stream).unwrap();
    // Each of the 1,001 messages is there; one that was held may have been sent again.
    assert!(coordinates["records"].as_i64().unwrap() >= 1001, "{coordinates}");
}

#[test]
fn a_read_only_data_folder_is_refused_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let disk = SmallDisk::mount(folder.path(), "16m");
    disk.read_only();
    let data = disk.0.join("data");
    let output = Command::new(env!("CARGO_BIN_EXE_millrace"))
        .arg("run")
        .arg(example())
        .arg("--data")
        .arg(&data)
        .args(["--http-listen", "127.0.0.1:0", "--mqtt-listen", "127.0.0.1:0"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains(data.to_str().unwrap()) && said.contains("--data"), "{said}");
    assert_eq!(output.status.code(), Some(73), "{said}");
}

#[test]
fn a_second_process_on_the_same_folder_and_a_taken_port_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = Pipeline::start(&example(), folder.path(), &[]);
    let second = |data: &Path, http: &str, mqtt: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_millrace"))
            .arg("run")
            .arg(example())
            .arg("--data")
            .arg(data)
            .args(["--http-listen", http, "--mqtt-listen", mqtt])
            .output()
            .unwrap();
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let said = second(&folder.path().join("data"), "127.0.0.1:0", "127.0.0.1:0");
    assert!(said.contains("in use") && said.contains(&first.id().to_string()), "{said}");
    let other = tempfile::tempdir().unwrap();
    let (http, mqtt) = (first.http(), first.mqtt());
    let said = second(other.path(), &http, "127.0.0.1:0");
    assert!(said.contains("--http-listen") && said.contains(&http), "{said}");
    let said = second(other.path(), "127.0.0.1:0", &mqtt);
    assert!(said.contains("--mqtt-listen") && said.contains(&mqtt), "{said}");
}

#[test]
fn an_event_of_the_past_is_counted_as_late_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut pipeline = Pipeline::start(&example(), folder.path(), &[]);
    let time = 1_541_693_114_862;
    let past = 1000;
    let times = [time, time + 5000, past, time + 10_000];
    publish(&mut pipeline, &times.map(|time| coordinates(time, 1, 52.0)));
    // What comes of the last event is committed with or after all that comes of the one before it.
    let mut times = Vec::new();
    let http = pipeline.http();
    pipeline.until("the last event moves event time on", |_| {
        let path = "/api/v1/streams/motion/records?partition=0&from=0";
        let (_, records) = support::process::get(&http, path).unwrap();
        let records: Value = serde_json::from_str(&records).unwrap();
        let records = records["records"].as_array().unwrap();
        times = records.iter().map(|record| record["eventTime"].clone()).collect();
        times.len() > 1
    });
    assert_eq!(times, [time, time + 5000]);
    let (_, metrics) = pipeline.get("/metrics");
    let late = r#"millrace_task_records_late_total{stage="motion",stream="coordinates"} 1"#;
    assert!(metrics.contains(late), "{metrics}");
}

#[test]
fn a_damaged_log_is_refused_at_start_and_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let mut pipeline = Pipeline::start(&example(), folder.path(), &[]);
    let time = 1_541_693_114_862;
    let payloads: Vec<_> = (0..50).map(|n| coordinates(time + 200 * n, 1, 52.0)).collect();
    publish(&mut pipeline, &payloads);
    pipeline.kill();
    let log = folder.path().join("data/log");
    let journals: Vec<PathBuf> = std::fs::read_dir(log.join("database"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "jnl"))
        .collect();
    let [journal] = &journals[..] else { unreachable!("{journals:?}") };
    // Half of what was confirmed is gone.
    let mut bytes = std::fs::read(journal).unwrap();
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    bytes.truncate(used / 2);
    std::fs::write(journal, bytes).unwrap();
    let (status, said) = Pipeline::spawn(&example(), folder.path(), &[]).wait();
    assert_eq!(status.code(), Some(74), "{said}");
    assert!(said.contains("is damaged") && said.contains(log.to_str().unwrap()), "{said}");
    assert!(said.contains("backup"), "{said}");
}
