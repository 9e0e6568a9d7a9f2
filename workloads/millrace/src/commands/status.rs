//! `millrace status`: how a running pipeline is.

use clap::Args;
use millrace_core::time::rfc3339;
use serde_json::Value;

use crate::client::ApiAddress;
use crate::client::Client;
use crate::exit::Outcome;
use crate::output;
use crate::output::OutputFormat;

/// Show how a running pipeline is: its parts, their lag, its streams and its log.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  millrace status
  millrace status --url http://127.0.0.1:9090 --output json")]
pub(crate) struct StatusArguments {
    #[command(flatten)]
    api: ApiAddress,
}

/// Runs the command.
pub(crate) async fn run(arguments: StatusArguments, output: OutputFormat) -> Outcome {
    let client = Client::new(&arguments.api)?;
    let pipeline = client.get("/api/v1/pipeline").await?;
    let status = client.get("/api/v1/status").await?;
    match output {
        OutputFormat::Json => output::json(&status)?,
        OutputFormat::Text => {
            for line in describe(&pipeline, &status) {
                output::line(&line)?;
            }
        }
    }
    Ok(())
}

fn describe(pipeline: &Value, status: &Value) -> Vec<String> {
    let readiness = match status["reasons"].as_array().map(Vec::as_slice) {
        Some([]) | None => "ready".to_owned(),
        Some(reasons) => {
            let reasons: Vec<_> = reasons.iter().map(text).collect();
            format!("not ready: {}", reasons.join("; "))
        }
    };
    let mut lines = vec![
        format!(
            "{} (millrace {}) has run for {} and is {readiness}",
            text(&pipeline["name"]),
            text(&pipeline["version"]),
            duration(status["uptimeSeconds"].as_f64().unwrap_or(0.0)),
        ),
        String::new(),
    ];
    lines.extend(components(status));
    lines.push(String::new());
    lines.extend(streams(status));
    lines.push(String::new());
    let log = &status["log"];
    lines.push(format!(
        "log: {} on disk, {} records and {} syncs since the start",
        bytes(log["diskBytes"].as_f64().unwrap_or(0.0)),
        text(&log["records"]),
        text(&log["syncs"]),
    ));
    lines
}

fn components(status: &Value) -> Vec<String> {
    // The last columns, since a reason may be long, and only where there is something in them.
    let all = items(&status["components"]);
    let title = |title: &'static str, any: bool| if any { title } else { "" };
    let watermark = title("WATERMARK", all.iter().any(|part| part["watermark"].is_i64()));
    let reason = title("REASON", all.iter().any(|part| part["reason"].is_string()));
    let mut titles = vec!["PART", "STATE", "LAG", watermark, reason];
    titles.retain(|title| !title.is_empty());
    let mut rows = vec![row(&titles)];
    for component in all {
        let mut name = format!("{} {}", text(&component["kind"]), text(&component["name"]));
        if let Some(stream) = component["stream"].as_str() {
            name.push_str(&format!(" on {stream}"));
        }
        if let Some(partition) = component["partition"].as_i64() {
            name.push_str(&format!(" partition {partition}"));
        }
        let mut cells = vec![name, text(&component["state"]), text(&component["lag"])];
        if !watermark.is_empty() {
            cells.push(component["watermark"].as_i64().map_or_else(|| "-".to_owned(), rfc3339));
        }
        cells.push(component["reason"].as_str().unwrap_or_default().to_owned());
        rows.push(cells);
    }
    output::columns(&rows)
}

fn streams(status: &Value) -> Vec<String> {
    let mut rows = vec![row(&["STREAM", "RECORDS", "PER SECOND", "PARTITIONS"])];
    for stream in items(&status["streams"]) {
        rows.push(vec![
            text(&stream["name"]),
            text(&stream["records"]),
            format!("{:.1}", stream["recordsPerSecond"].as_f64().unwrap_or(0.0)),
            items(&stream["partitions"]).len().to_string(),
        ]);
    }
    output::columns(&rows)
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn row(cells: &[&str]) -> Vec<String> {
    cells.iter().map(|cell| (*cell).to_owned()).collect()
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn duration(seconds: f64) -> String {
    // Uptimes are small and not negative.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let whole = seconds as u64;
    match (whole / 3600, whole / 60 % 60, whole % 60) {
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, seconds) => format!("{minutes}m{seconds}s"),
        (hours, minutes, _) => format!("{hours}h{minutes}m"),
    }
}

/// A number of bytes for people.
fn bytes(number: f64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut number = number;
    let mut unit = 0;
    while number >= 1024.0 && unit < units.len() - 1 {
        number /= 1024.0;
        unit += 1;
    }
    format!("{number:.digits$} {}", units[unit], digits = usize::from(unit > 0))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn watermarks_are_told_where_there_are_some() {
        let status = json!({"components": [
            {"kind": "task", "name": "motion", "partition": 0, "state": "running", "lag": 0,
                "watermark": 1_767_225_600_000_i64},
            {"kind": "sink", "name": "rows", "state": "running", "lag": 2, "watermark": null},
        ]});
        assert_eq!(
            components(&status),
            [
                "PART                     STATE    LAG  WATERMARK",
                "task motion partition 0  running  0    2026-01-01T00:00:00Z",
                "sink rows                running  2    -",
            ]
        );
    }

    #[test]
    fn a_status_is_told_in_lines() {
        let pipeline = json!({"name": "race", "version": "0.1.0"});
        let status = json!({
            "ready": false, "reasons": ["task motion partition 0 is starting"],
            "uptimeSeconds": 75.5,
            "components": [{"kind": "task", "name": "motion", "partition": 0,
                "state": "waiting", "reason": "disk full", "lag": 3, "watermark": null}],
            "streams": [{"name": "coordinates", "records": 1200, "recordsPerSecond": 29.96,
                "partitions": [{}]}],
            "log": {"diskBytes": 1_572_864, "records": 1200, "syncs": 400, "syncSeconds": 0.1},
        });
        assert_eq!(
            describe(&pipeline, &status),
            [
                "race (millrace 0.1.0) has run for 1m15s and is not ready: task motion partition 0 is starting",
                "",
                "PART                     STATE    LAG  REASON",
                "task motion partition 0  waiting  3    disk full",
                "",
                "STREAM       RECORDS  PER SECOND  PARTITIONS",
                "coordinates  1200     30.0        1",
                "",
                "log: 1.5 MiB on disk, 1200 records and 400 syncs since the start",
            ]
        );
    }
}
