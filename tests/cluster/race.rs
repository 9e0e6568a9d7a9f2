//! The race through the edge, over MQTT with TLS.

use std::path::Path;
use std::process::Command;

use crate::example;
use crate::support::http::curl;
use crate::support::kubernetes::Deployed;
use crate::support::kubernetes::Forward;
use crate::support::kubernetes::over_kubernetes;
use crate::support::process::Pipeline;

/// What is computed of a race, without what depends on when silence was noticed.
const STREAMS: [&str; 4] = ["motion", "overtakes", "lapTimes", "commentary"];

/// Three laps of six cars, the same each time.
fn drive(to: &str, authority: Option<&Path>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_millrace"));
    command.args(["simulate", "race", "--laps", "3", "--seed", "7", "--speedup", "max"]);
    command.args(["--start", "1541693114862", "--to", to]);
    if let Some(authority) = authority {
        command.arg("--ca-file").arg(authority);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The values of a stream's records, sorted.
fn values(url: &str, stream: &str) -> Vec<String> {
    let mut values = Vec::new();
    for partition in 0.. {
        let mut from = 0;
        loop {
            let path = format!("api/v1/streams/{stream}/records?limit=1000&partition={partition}");
            let answer = curl(&[&format!("{url}/{path}&from={from}")]);
            if answer.status == 404 {
                // There are no more partitions.
                values.sort();
                return values;
            }
            let page = answer.json();
            let records = page["records"].as_array().unwrap();
            values.extend(records.iter().map(|record| record["value"].to_string()));
            if records.is_empty() {
                break;
            }
            from = page["next"].as_i64().unwrap();
        }
    }
    unreachable!("a stream has an end of partitions")
}

#[test]
fn the_race_over_mqtt_with_tls_is_that_of_one_process() {
    if !over_kubernetes() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut here = Pipeline::here(&example("race"), folder.path(), &[]);
    drive(&format!("mqtt://{}", here.mqtt()), None);

    let there = Deployed::start(&example("race"), None);
    let trust = there.namespace.get("configmap", "race-trust");
    let authority = folder.path().join("ca.crt");
    std::fs::write(&authority, trust["data"]["ca.crt"].as_str().unwrap()).unwrap();
    let mqtt = Forward::to(there.namespace.name(), "service/race-edge", 8883);
    let port = mqtt.address.rsplit_once(':').unwrap().1;
    drive(&format!("mqtts://localhost:{port}"), Some(&authority));

    let here_url = format!("http://{}", here.http());
    let there_url = format!("https://{}", there.address());
    for stream in STREAMS {
        let expected = values(&here_url, stream);
        assert!(!expected.is_empty(), "{stream}");
        there.namespace.until(stream, |_| values(&there_url, stream).len() >= expected.len());
        assert_eq!(values(&there_url, stream), expected, "{stream}");
    }
}
