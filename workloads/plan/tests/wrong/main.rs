//! Wrong resources, each with the errors that its author reads, literally.

mod access;
mod cases;
mod clusters;
mod computing;
mod partitions;
mod reach;

use std::time::Duration;

use access::ACCESS_CASES;
use cases::CASES;
use clusters::CLUSTER_CASES;
use computing::COMPUTING_CASES;
use partitions::PARTITION_CASES;
use reach::REACH_CASES;

const BASE: &str = r#"apiVersion: millrace.dev/v1alpha1
kind: TelemetryPipeline
metadata: {name: base}
spec:
  streams:
    - name: cars
      schema: {inline: {type: object}}
      key: [.race]
      eventTime: {path: .t, format: unixMillis}
      disorder: 50ms
      idle: 500ms
      heartbeat: true
  ingest:
    - name: in
      mqtt: {listen: {topics: [cars/+]}}
      map: .race = %topic
      to: cars
  processors:
    - name: motion
      from: [cars]
      motion: {entity: .car, latitude: .lat, longitude: .long}
    - name: order
      from: [motion]
      rank: {group: .race, entity: .car, by: .totalDistance}
    - name: laps
      from: [motion]
      laps: {entity: .car, length: 5km}
    - name: texts
      from: [order, laps]
      map: .text = "x"
  sinks:
    - name: out
      from: [texts]
      mqtt: {topic: out}
    - name: rows
      from: [order]
      table:
        keep: latest
        primaryKey: [race, car]
        columns:
          - {name: race, type: text, path: .group}
          - {name: car, type: integer, path: .entity}
  query:
    dashboard:
      feed: {from: texts, text: .text}
"#;

/// What is wrong with a text, from loading it or from planning it.
fn errors(text: &str) -> Vec<String> {
    match millrace_api::load(text, "a.yaml") {
        Err(errors) => errors.iter().map(ToString::to_string).collect(),
        Ok(pipelines) => match millrace_plan::plan(&pipelines[0]) {
            Err(errors) => errors.iter().map(ToString::to_string).collect(),
            Ok(_) => Vec::new(),
        },
    }
}

#[test]
fn the_base_is_right() {
    assert_eq!(errors(BASE), Vec::<String>::new());
}

#[test]
fn a_table_is_divided_by_a_time_of_its_key() {
    let text = BASE
        .replace("primaryKey: [race, car]", "primaryKey: [race, car, at]")
        .replace(
            "          - {name: race, type: text, path: .group}\n",
            "          - {name: race, type: text, path: .group}\n          - {name: at, type: timestamp}\n",
        )
        .replace("keep: latest", "keep: latest\n        partitions: {by: at, every: 1h30m, retention: 36h}");
    let pipelines = millrace_api::load(&text, "a.yaml").unwrap();
    let plan = millrace_plan::plan(&pipelines[0]).unwrap();
    let (_, table) = plan.table("rows").unwrap();
    let partitions = table.partitions.as_ref().unwrap();
    assert_eq!(partitions.by, "at");
    assert_eq!(partitions.every, Duration::from_mins(90));
    assert_eq!(partitions.retention, Some(Duration::from_hours(36)));
    let shown = plan.to_string();
    let line =
        "rows: order → table rows (race, car, at), a partition for 90m of at, kept for 36h\n";
    assert!(shown.contains(line), "{shown}");
}

#[test]
fn every_wrong_resource_is_refused_in_words() {
    let cases = CLUSTER_CASES
        .iter()
        .chain(PARTITION_CASES)
        .chain(CASES)
        .chain(REACH_CASES)
        .chain(ACCESS_CASES)
        .chain(COMPUTING_CASES);
    for (name, changes, expected) in cases {
        let mut text = BASE.to_owned();
        for (from, to) in *changes {
            assert!(text.contains(from), "{name}: the base has no {from:?}");
            text = text.replacen(from, to, 1);
        }
        let found = errors(&text);
        assert_eq!(found, *expected, "{name}");
    }
}
