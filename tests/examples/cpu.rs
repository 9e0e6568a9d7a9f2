//! `cpu.yaml`: a report every ten seconds.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::json;

use crate::Example;
use crate::support::http::curl;
use crate::support::http::post_json;
use crate::support::kubernetes::over_kubernetes;

const PATH: &str = "/telemetry/cpu";

fn measurement(time: &str, device: &str, version: &str, cpu: f64) -> String {
    json!({"timestamp": time, "deviceId": device, "clientVersion": version, "cpu": cpu}).to_string()
}

/// Sends a measurement that must be taken.
fn send(example: &Example, time: &str, device: &str, version: &str, cpu: f64) {
    let answer = post_json(&example.at(PATH), &measurement(time, device, version, cpu));
    assert_eq!(answer.told(), (202, ""), "{time}");
}

/// Moves event time on in every partition, so that all before `time` less the disorder is over.
fn pass(example: &Example, time: &str) {
    for device in 0..200 {
        send(example, time, &format!("clock-{device}"), "v0.0.1", 1.0);
    }
}

fn reports(example: &mut Example, count: usize) -> Vec<Value> {
    let answer = example.until("/telemetry/cpu/reports", "the reports are there", |answer| {
        answer.json().as_array().is_some_and(|reports| reports.len() >= count)
    });
    answer.json().as_array().unwrap().clone()
}

#[test]
fn a_report_counts_every_version_and_division_of_ten_seconds() {
    let mut example = Example::start("cpu");
    for (device, version, cpu) in [
        ("d1", "v1.2.3", 20.0),
        ("d2", "v1.2.3", 29.9),
        ("d3", "v1.2.3", 100.0),
        ("d4", "v1.10.0", 0.0),
        ("d5", "v1.10.0", 9.99),
    ] {
        send(&example, "2026-01-01T00:00:00.123Z", device, version, cpu);
    }
    // Two periods without data lie between these.
    send(&example, "2026-01-01T00:00:35Z", "d1", "v1.2.3", 50.0);
    pass(&example, "2026-01-01T00:01:00Z");
    let reports = reports(&mut example, 4);
    // The newest first; the last period is not over.
    let times: Vec<_> = reports.iter().map(|report| report["timestamp"].clone()).collect();
    assert_eq!(
        times,
        [
            "2026-01-01T00:00:40Z",
            "2026-01-01T00:00:30Z",
            "2026-01-01T00:00:20Z",
            "2026-01-01T00:00:10Z"
        ]
    );
    for report in &reports {
        assert_eq!(report["period"], "10 seconds");
    }
    assert_eq!(reports[1]["counters"], json!([]));
    assert_eq!(reports[2]["counters"], json!([]));
    let counters = reports[3]["counters"].as_array().unwrap();
    let shown: Vec<_> = counters
        .iter()
        .map(|counter| {
            json!([counter["clientVersion"], counter["count"], counter["countPerDivision"]])
        })
        .collect();
    assert_eq!(shown, [json!(["v1.10.0", 2, {"0": 2}]), json!(["v1.2.3", 3, {"20": 2, "90": 1}])]);
    for (counter, quantile, expected) in [
        (&counters[0], "p99", 9.99),
        (&counters[1], "p50", 29.9),
        (&counters[1], "p95", 100.0),
        (&counters[1], "p99", 100.0),
    ] {
        let found = counter[quantile].as_f64().unwrap();
        assert!((found - expected).abs() <= expected * 0.01, "{quantile}: {found}");
    }
}

#[test]
fn events_out_of_order_count_in_their_period_and_later_ones_as_late() {
    let mut example = Example::start("cpu");
    send(&example, "2026-01-01T00:00:11Z", "d1", "v1.0.0", 1.0);
    // 1.5 s late, within the disorder; the same device, and so the same partition.
    send(&example, "2026-01-01T00:00:09.5Z", "d1", "v1.0.0", 2.0);
    // 8 s late, beyond it.
    send(&example, "2026-01-01T00:00:03Z", "d1", "v1.0.0", 3.0);
    pass(&example, "2026-01-01T00:01:00Z");
    let reports = reports(&mut example, 2);
    let first = reports.last().unwrap();
    assert_eq!(first["timestamp"], "2026-01-01T00:00:10Z");
    assert_eq!(first["counters"][0]["count"], 1);
    let metrics = curl(&[&format!("{}/metrics", example.pipeline.workers_url())]).body;
    let late: f64 = metrics
        .lines()
        .filter(|line| line.starts_with("millrace_task_records_late_total"))
        .filter_map(|line| line.rsplit(' ').next().and_then(|n| n.parse::<f64>().ok()))
        .sum();
    assert!((late - 1.0).abs() < 0.1, "{metrics}");
}

#[test]
fn all_violations_are_told_together() {
    let example = Example::start("cpu");
    let body = json!({"timestamp": "2026-01-01T00:00:00", "deviceId": "  ", "clientVersion": "1.2.3", "cpu": 101});
    let answer = post_json(&example.at(PATH), &body.to_string());
    assert_eq!(answer.problem().0, 400);
    let pointers: std::collections::BTreeSet<_> = answer.json()["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["pointer"].as_str().unwrap().to_owned())
        .collect();
    let expected = ["/clientVersion", "/cpu", "/deviceId", "/timestamp"];
    assert_eq!(pointers.iter().map(String::as_str).collect::<Vec<_>>(), expected);
}

#[test]
fn each_rule_is_kept() {
    let example = Example::start("cpu");
    let right = json!({"timestamp": "2026-01-01T00:00:00.123Z", "deviceId": "d1", "clientVersion": "v1.2.3", "cpu": 42.5});
    assert_eq!(post_json(&example.at(PATH), &right.to_string()).told(), (202, ""));
    let with = |field: &str, value: Value| {
        let mut event = right.clone();
        event[field] = value;
        post_json(&example.at(PATH), &event.to_string()).status
    };
    for (field, value) in [
        ("deviceId", json!("")),
        ("deviceId", json!(" \t")),
        ("deviceId", json!(7)),
        ("clientVersion", json!("1.2.3")),
        ("clientVersion", json!("v1")),
        ("clientVersion", json!("v1.2.3-beta")),
        ("cpu", json!(-0.1)),
        ("cpu", json!(100.1)),
        ("cpu", json!("42")),
        ("cpu", Value::Null),
        ("timestamp", json!("2026-01-01T00:00:00+00:00")),
        ("timestamp", json!("2026-01-01")),
        ("timestamp", json!(1_767_225_600)),
    ] {
        assert_eq!(with(field, value.clone()), 400, "{field}: {value}");
    }
    for (field, value) in [
        ("cpu", json!(0)),
        ("cpu", json!(100)),
        ("clientVersion", json!("v1.2.")),
        ("clientVersion", json!("v1-2.3")),
        ("deviceId", json!("ein Gerät")),
        ("room", json!("unknown fields are ignored")),
    ] {
        assert_eq!(with(field, value.clone()), 202, "{field}: {value}");
    }
    for field in ["timestamp", "deviceId", "clientVersion", "cpu"] {
        let mut event = right.clone();
        event.as_object_mut().unwrap().remove(field);
        assert_eq!(post_json(&example.at(PATH), &event.to_string()).status, 400, "{field}");
    }
}

#[test]
fn what_is_no_json_object_is_refused() {
    let example = Example::start("cpu");
    let right = measurement("2026-01-01T00:00:00Z", "d1", "v1.2.3", 1.0);
    for body in ["", "{", "cpu=1", "[]", "7", &format!("[{right}]"), &format!("{right}\n{right}")] {
        assert_eq!(post_json(&example.at(PATH), body).problem().0, 400, "{body}");
    }
    for header in
        ["Content-Type: text/plain", "Content-Type: application/x-ndjson", "Content-Type:"]
    {
        let answer = curl(&["-H", header, "--data-binary", &right, &example.at(PATH)]);
        assert_eq!(answer.problem().0, 415, "{header}");
    }
    let large = format!("{{\"deviceId\": \"{}\"}}", "x".repeat(1 << 20));
    let file = example.folder.path().join("large.json");
    std::fs::write(&file, large).unwrap();
    let data = format!("@{}", file.display());
    let header = "Content-Type: application/json";
    let answer = curl(&["-H", header, "--data-binary", &data, &example.at(PATH)]);
    assert_eq!(answer.problem().0, 413);
}

#[test]
fn reports_are_asked_for_by_time() {
    let mut example = Example::start("cpu");
    for minute in ["00", "01", "02"] {
        send(&example, &format!("2026-01-01T00:{minute}:05Z"), "d1", "v1.0.0", 1.0);
    }
    pass(&example, "2026-01-01T00:03:00Z");
    reports(&mut example, 13);
    let ask = |query: &str| curl(&[&example.at(&format!("/telemetry/cpu/reports?{query}"))]);
    let times = |query: &str| {
        let answer = ask(query);
        assert_eq!(answer.status, 200, "{answer:?}");
        let reports = answer.json();
        let times = reports.as_array().unwrap().iter().map(|report| report["timestamp"].clone());
        times.collect::<Vec<_>>()
    };
    assert_eq!(
        times("from=2026-01-01T00:01:10Z&to=2026-01-01T00:01:30Z"),
        ["2026-01-01T00:01:20Z", "2026-01-01T00:01:10Z"]
    );
    assert_eq!(times("to=2026-01-01T00:00:11Z"), ["2026-01-01T00:00:10Z"]);
    let first = ask("limit=2");
    let link = first.header("link").unwrap();
    assert!(link.contains("rel=\"next\""), "{link}");
    assert_eq!(ask("from=yesterday").problem().0, 400);
    assert_eq!(ask("limit=0").problem().0, 400);
    assert_eq!(ask("colour=red").problem().0, 400);
}

#[test]
fn an_alert_is_raised_and_resolved_once_by_webhook() {
    let Some(host) = host() else { return };
    let receiver = Receiver::start(&host);
    let folder = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(crate::file("cpu")).unwrap();
    let target = format!("http://{}/alerts", receiver.address);
    let text = text.replace("http://127.0.0.1:9000/alerts", &target);
    assert!(text.contains(&target));
    let resource = folder.path().join("cpu.yaml");
    std::fs::write(&resource, text).unwrap();
    let mut pipeline = crate::support::process::Pipeline::start(&resource, folder.path(), &[]);
    let url = pipeline.url();
    let example = Example { pipeline, folder, url };
    let busy = |second: u32| (30..90).contains(&second);
    for second in (0..180).step_by(5) {
        let cpu = if busy(second) { 99.0 } else { 5.0 };
        let time = format!("2026-01-01T00:{:02}:{:02}Z", second / 60, second % 60);
        send(&example, &time, "d1", "v1.0.0", cpu);
    }
    pass(&example, "2026-01-01T00:05:00Z");
    let alerts = receiver.take(2);
    let told: Vec<_> = alerts
        .iter()
        .map(|alert| (alert["kind"].as_str().unwrap(), alert["timestamp"].as_i64().unwrap()))
        .collect();
    let start = 1_767_225_600_000;
    assert_eq!(told, [("raised", start + 70_000), ("resolved", start + 130_000)]);
    assert_eq!(alerts[0]["event"]["clientVersion"], "v1.0.0");
}

/// The address of this machine as the pipeline sees it; pods see it by the one that
/// `MILLRACE_TEST_HOST` says, if any.
fn host() -> Option<String> {
    if !over_kubernetes() {
        return Some("127.0.0.1".to_owned());
    }
    std::env::var("MILLRACE_TEST_HOST").ok()
}

/// A server that takes every request and keeps its body.
struct Receiver {
    address: std::net::SocketAddr,
    bodies: std::sync::mpsc::Receiver<Value>,
}

impl Receiver {
    fn start(host: &str) -> Self {
        let listener = std::net::TcpListener::bind((host, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, bodies) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let sender = sender.clone();
                let stream = stream.unwrap();
                std::thread::spawn(move || serve(&stream, &sender));
            }
        });
        Self { address, bodies }
    }

    fn take(&self, count: usize) -> Vec<Value> {
        let patience = crate::support::process::PATIENCE;
        (0..count).map(|_| self.bodies.recv_timeout(patience).unwrap()).collect()
    }
}

/// Answers the requests of a connection until it ends.
fn serve(stream: &std::net::TcpStream, bodies: &std::sync::mpsc::Sender<Value>) {
    use std::io::BufRead as _;
    use std::io::Read as _;
    use std::io::Write as _;
    let mut reader = std::io::BufReader::new(stream);
    loop {
        let mut headers = BTreeMap::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if line.trim().is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':') {
                headers.insert(name.to_lowercase(), value.trim().to_owned());
            }
        }
        let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let mut stream = stream;
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
        if bodies.send(serde_json::from_slice(&body).unwrap()).is_err() {
            return;
        }
    }
}
