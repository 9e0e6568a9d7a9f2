//! The metrics of running pipelines, and the page that lists them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers fail as tests do")]

#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;
use std::path::PathBuf;

use support::http::curl;
use support::process::Pipeline;
use support::process::get;

/// Kind and labels of a metric.
type Metrics = BTreeMap<String, (String, BTreeSet<String>)>;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// What the page lists.
fn listed() -> Metrics {
    let page = std::fs::read_to_string(root().join("docs/reference/metrics.md")).unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.map(|row| {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let [name, kind, labels, _, ""] = &cells[..] else { panic!("{row}") };
        let labels = labels.split(", ").map(|label| label.trim_matches('`'));
        let labels = labels.filter(|label| !label.is_empty()).map(str::to_owned).collect();
        (name.trim_end_matches('`').to_owned(), ((*kind).to_owned(), labels))
    })
    .collect()
}

/// What a pipeline exposes.
fn exposed(text: &str) -> Metrics {
    let mut metrics = Metrics::new();
    let mut current = String::new();
    for line in text.lines().filter(|line| *line != "# EOF") {
        if let Some(rest) = line.strip_prefix("# TYPE millrace_") {
            let (name, kind) = rest.split_once(' ').unwrap();
            name.clone_into(&mut current);
            metrics.insert(current.clone(), (kind.to_owned(), BTreeSet::new()));
        } else if !line.starts_with('#') {
            let (kind, labels) = metrics.get_mut(&current).unwrap();
            let (name, rest) = line.split_once(['{', ' ']).unwrap();
            if kind == "counter" {
                assert_eq!(name, format!("millrace_{current}_total"), "{line}");
            }
            let inner = rest.rsplit_once("} ").map_or("", |(inner, _)| inner);
            let names = inner.split("\",").filter_map(|label| label.split_once('='));
            labels.extend(names.map(|(name, _)| name.to_owned()).filter(|name| name != "le"));
        }
    }
    metrics
}

/// Names that sources register.
fn registered(folder: &Path, names: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            registered(&path, names);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let calls = text.split("register(").skip(1);
            let literals = calls.filter_map(|call| call.trim_start().strip_prefix('"'));
            names.extend(literals.map(|literal| literal.split('"').next().unwrap().to_owned()));
        }
    }
}

#[test]
fn every_metric_of_the_program_is_listed_and_no_other() {
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(root().join("workloads")).unwrap() {
        registered(&entry.unwrap().path().join("src"), &mut names);
    }
    assert_eq!(listed().into_keys().collect::<BTreeSet<_>>(), names);
}

#[test]
fn names_say_units_and_kinds_as_prometheus_has_them() {
    for (name, (kind, _)) in listed() {
        let valid = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
        assert!(name.bytes().all(valid), "{name}");
        assert!(!name.ends_with("_total") && !name.starts_with("millrace_"), "{name}");
        for unit in ["_millis", "_milliseconds", "_ms", "_minutes", "_kilobytes", "_mb"] {
            assert!(!name.ends_with(unit), "{name}");
        }
        if kind == "histogram" {
            assert!(name.ends_with("_seconds"), "{name}");
        }
    }
}

#[test]
fn running_pipelines_expose_what_is_listed_with_its_kind_and_labels() {
    let listed = listed();
    let mut seen = BTreeSet::new();
    let folder = tempfile::tempdir().unwrap();
    for (example, arguments, sign) in [
        ("race", &["--simulate", "race"][..], "\nmillrace_table_latency_seconds_bucket"),
        ("timestamps", &[][..], "\nmillrace_table_rows_written_total{sink=\"timestamps\"} 1\n"),
    ] {
        let resource = root().join(format!("examples/{example}.yaml"));
        let mut pipeline = Pipeline::start(&resource, &folder.path().join(example), arguments);
        let http = pipeline.http();
        if example == "timestamps" {
            let id = "correlationId: 0b0c3d1e-0000-4000-8000-00000000000a";
            let app = format!("http://{http}/app");
            assert_eq!(curl(&["-X", "POST", "-H", id, &app]).status, 200);
        }
        let mut text = String::new();
        pipeline.until(sign, |_| {
            text = get(&http, "/metrics").unwrap().1;
            // Sizes of state are told from time to time.
            let sizes = text.contains("\nmillrace_processor_state_entries{");
            text.contains(sign) && (sizes || example != "race")
        });
        for (name, (kind, labels)) in exposed(&text) {
            let (listed_kind, listed_labels) =
                listed.get(&name).unwrap_or_else(|| panic!("{name} is not listed"));
            assert_eq!(*listed_kind, kind, "{name}");
            // Without labels nothing was counted yet.
            assert!(labels.is_empty() || labels == *listed_labels, "{name}: {labels:?}");
            seen.insert(name);
        }
    }
    for name in [
        "task_outputs",
        "task_read_bytes",
        "task_latency_seconds",
        "component_lag_records",
        "component_watermark_delay_seconds",
        "http_ingest_request_seconds",
        "dead_letters",
        "table_event_bytes",
        "processor_state_entries",
    ] {
        assert!(seen.contains(name), "{name} is not exposed");
    }
}
