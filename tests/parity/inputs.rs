//! What the clients of each example send.

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use std::time::Instant;

use serde_json::Value;
use serde_json::json;

use crate::support::http::KeepAlive;
use crate::support::http::curl;
use crate::support::process::Pipeline;
use crate::support::secrets;

/// How long all parts must say that they have nothing left to do.
const SETTLED: Duration = Duration::from_secs(2);

/// An example and its clients.
pub(crate) struct Input {
    /// Its name.
    name: &'static str,
    /// Texts of the resource that a test cannot have, and what is there instead.
    changes: &'static [(&'static str, &'static str)],
    /// Whether it needs Secrets and speaks TLS.
    secured: bool,
    /// Sends everything, confirmed.
    send: fn(&mut Pipeline),
    /// Outputs that there must be, and how many of each at least: equality of nothing is none.
    pub(crate) expects: &'static [(&'static str, usize)],
}

impl Input {
    /// Runs it in one process until all is computed; the resource that was used.
    pub(crate) fn run(&self, folder: &Path) -> PathBuf {
        let resource = self.resource(folder);
        let mut arguments = Vec::new();
        let secrets = folder.join("secrets");
        let given = secrets.display().to_string();
        if self.secured {
            secrets::write_multivac_users(&secrets);
            arguments.extend(["--secrets", &given]);
        }
        let mut pipeline = Pipeline::spawn(&resource, folder, &arguments);
        let status = format!("{}/api/v1/status", self.url(&mut pipeline));
        let asked = ["--insecure", "--user", secrets::ALICE, &status];
        pipeline.until("it is ready", |_| told(&asked)["ready"] == true);
        (self.send)(&mut pipeline);
        // A part knows of what came last a moment later.
        let mut since = Instant::now();
        pipeline.until("everything is computed", |_| {
            let status = told(&asked);
            // Archives write once their time is over.
            let is_done = status["components"].as_array().is_some_and(|components| {
                let mut computing = components.iter().filter(|part| part["name"] != "archive");
                !components.is_empty() && computing.all(|part| part["lag"] == 0)
            });
            if !is_done {
                since = Instant::now();
            }
            since.elapsed() > SETTLED
        });
        let (status, _) = pipeline.interrupt();
        assert!(status.success());
        resource
    }

    fn url(&self, pipeline: &mut Pipeline) -> String {
        if self.secured {
            format!("https://{}", pipeline.https())
        } else {
            format!("http://{}", pipeline.http())
        }
    }

    fn resource(&self, folder: &Path) -> PathBuf {
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
        let mut text =
            std::fs::read_to_string(example.join(format!("{}.yaml", self.name))).unwrap();
        for (old, new) in self.changes {
            assert!(text.contains(old), "{}.yaml does not contain `{old}`", self.name);
            text = text.replace(old, new);
        }
        let path = folder.join(format!("{}.yaml", self.name));
        std::fs::write(&path, text).unwrap();
        path
    }
}

fn told(arguments: &[&str]) -> Value {
    serde_json::from_str(&curl(arguments).body).unwrap_or_default()
}

/// A minute of a race of six cars. Silence does not end it: what is held back stays so in all runs.
pub(crate) const RACE: Input = Input {
    name: "race",
    changes: &[("idle: 500ms", "idle: 1h")],
    secured: false,
    send: |pipeline| {
        let to = format!("mqtt://{}", pipeline.mqtt());
        simulate(&["race", "--to", &to, "--speedup", "max", "--duration", "60s"]);
    },
    expects: &[("stream motion", 1700), ("stream standings", 6), ("table standings", 6)],
};

/// Measurements of two hundred devices in ten minutes: enough of them for all partitions.
pub(crate) const CPU: Input = Input {
    name: "cpu",
    changes: &[("idle: 5s", "idle: 1h")],
    secured: false,
    send: |pipeline| {
        let mut client = KeepAlive::connect(&pipeline.http()).unwrap();
        for second in (0..600).step_by(20) {
            for device in 0..200 {
                send(&mut client, "/telemetry/cpu", &measurement(second, device));
            }
        }
    },
    expects: &[("stream report", 50), ("table reports", 50)],
};

/// Three hundred states of boards, customers and trips, some of them no rows.
pub(crate) const HOVERBOARDS: Input = Input {
    name: "hoverboards",
    changes: &[],
    secured: false,
    send: |pipeline| {
        let to = format!("http://{}", pipeline.http());
        simulate(&["hoverboards", "--to", &to, "--requests", "300", "--rate", "max"]);
        let mut client = KeepAlive::connect(&pipeline.http()).unwrap();
        for id in 0..20 {
            // No row without what the table needs: a dead letter of the sink.
            send(&mut client, "/ingest/hoverboard", &json!({"id": id}).to_string());
        }
    },
    expects: &[("table hoverboard", 50), ("table customer", 30), ("stream dead-letters", 20)],
};

/// Facts, of which the first stays.
pub(crate) const MULTIVAC: Input = Input {
    name: "multivac",
    changes: &[],
    secured: true,
    send: |pipeline| {
        let url = format!("https://{}/multivac/data", pipeline.https());
        for number in 1..=5 {
            let form = format!("data=fact {number}");
            let user = ["--insecure", "--user", secrets::ALICE];
            let answer = curl(&[&user[..], &["--data-urlencode", &form, &url]].concat());
            assert_eq!(answer.status, 200, "{answer:?}");
        }
    },
    expects: &[("table facts", 1)],
};

/// Commands, the time of arrival in their rows included.
pub(crate) const TIMESTAMPS: Input = Input {
    name: "timestamps",
    changes: &[],
    secured: false,
    send: |pipeline| {
        let mut client = KeepAlive::connect(&pipeline.http()).unwrap();
        for second in 0..200 {
            let path = format!("/api/v1/timestamp/2026-01-01T00:00:00.{second:03}Z");
            let answer = client.post(&path, CORRELATION, "").unwrap();
            assert_eq!(answer.status, 200, "{answer:?}");
        }
    },
    expects: &[("table timestamp_records", 200)],
};

const CORRELATION: &str = "correlationId: 0a3c1d1e-7b1c-4c0e-9c1e-0123456789ab\r\n";

fn send(client: &mut KeepAlive, path: &str, body: &str) {
    let answer = client.post(path, "Content-Type: application/json\r\n", body).unwrap();
    assert_eq!(answer.status, 202, "{answer:?}");
}

/// What a device measures, out of order within the stream's disorder.
fn measurement(second: i64, device: i64) -> String {
    let millis = 1_767_225_600_000 + second * 1000 + device * 391 % 9000 - device % 3 * 500;
    let timestamp = jiff::Timestamp::from_millisecond(millis).unwrap();
    let version = format!("v1.{}.0", device % 4);
    let cpu = (second * 7 + device * 13) % 1000;
    json!({
        "timestamp": timestamp.to_string(),
        "deviceId": format!("device-{device}"),
        "clientVersion": version,
        "cpu": f64::from(i32::try_from(cpu).unwrap()) / 10.0,
    })
    .to_string()
}

fn simulate(arguments: &[&str]) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_millrace"));
    let output = command.arg("simulate").args(arguments).output().unwrap();
    let told = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&told));
}
