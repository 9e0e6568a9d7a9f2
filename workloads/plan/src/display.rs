//! The plan as people and programs read it: as text, and as JSON.

use std::fmt;
use std::time::Duration;

use serde_json::Value;
use serde_json::json;

use crate::model::Access;
use crate::model::ExposurePlan;
use crate::model::IngestSource;
use crate::model::OperatorInput;
use crate::model::OperatorPlan;
use crate::model::Plan;
use crate::model::QueryAnswer;
use crate::model::QueryRoute;
use crate::model::RowSelection;
use crate::model::SinkPlan;
use crate::model::SinkTarget;
use crate::model::StreamOrigin;
use crate::model::StreamPlan;
use crate::model::TablePlan;
use crate::model::TlsSource;

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "pipeline {}", self.pipeline)?;
        writeln!(f, "\nstreams")?;
        for stream in &self.streams {
            writeln!(f, "  {}", stream_line(stream))?;
        }
        if !self.ingest.is_empty() {
            writeln!(f, "\ningest")?;
        }
        for ingest in &self.ingest {
            let how = match &ingest.source {
                IngestSource::Http(http) => format!("{} {}", http.method.name(), http.path.text),
                IngestSource::WebSocket(websocket) => format!("WebSocket {}", websocket.path.text),
                IngestSource::MqttListen(listen) => {
                    format!("{} at own endpoint", listen.topics.join(", "))
                }
                IngestSource::MqttConnect(connect) => {
                    format!("{} at {}", connect.topics.join(", "), connect.broker.url)
                }
                IngestSource::Kafka(kafka) => format!("Kafka topic {}", kafka.topic),
            };
            writeln!(f, "  {}: {how} → {}", ingest.name, ingest.to)?;
        }
        for stage in &self.stages {
            let inputs = stage.inputs.iter().map(ToString::to_string).collect::<Vec<_>>();
            writeln!(
                f,
                "\nstage {}: reads {}, {}",
                stage.name,
                inputs.join(", "),
                counted(stage.partitions, "task")
            )?;
            for operator in &stage.operators {
                writeln!(f, "  {}", operator_line(operator, &stage.operators))?;
            }
        }
        if !self.sinks.is_empty() {
            writeln!(f, "\nsinks")?;
        }
        for sink in &self.sinks {
            writeln!(f, "  {}", sink_line(sink))?;
        }
        if !self.query.routes.is_empty() {
            writeln!(f, "\nquery")?;
        }
        for route in &self.query.routes {
            writeln!(f, "  {}", route_line(route))?;
        }
        write_exposure(&self.exposure, f)
    }
}

fn stream_line(stream: &StreamPlan) -> String {
    let mut line = format!("{}: {}", stream.name, counted(stream.partitions, "partition"));
    match &stream.origin {
        StreamOrigin::Ingested(ingested) => {
            line += &format!(", key {}", joined(&ingested.key));
        }
        StreamOrigin::Derived { processor, .. } if *processor != *stream.name.as_str() => {
            line += &format!(", written by {processor}");
        }
        StreamOrigin::Derived { .. } => line.push_str(", derived"),
        StreamOrigin::DeadLetters => line.push_str(", what could not be processed"),
    }
    if stream.generation > 0 {
        line += &format!(", generation {}", stream.generation);
    }
    line
}

fn operator_line(operator: &OperatorPlan, stage: &[OperatorPlan]) -> String {
    let inputs = operator.inputs.iter().map(|input| input_name(input, stage)).collect::<Vec<_>>();
    let mut line =
        format!("{} {} ← {}", operator.operation.kind(), operator.name, inputs.join(", "));
    if !operator.key.is_empty() {
        line += &format!(", key {}", joined(&operator.key));
    }
    if let Some(output) = &operator.output {
        line += &format!(" → {output}");
    }
    line
}

fn sink_line(sink: &SinkPlan) -> String {
    let from = sink.from.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let target = match &sink.target {
        SinkTarget::Mqtt(mqtt) => match &mqtt.broker {
            None => "mqtt at own endpoint".to_owned(),
            Some(broker) => format!("mqtt at {}", broker.url),
        },
        SinkTarget::Webhook(webhook) => format!("webhook {}", webhook.url),
        SinkTarget::Archive(archive) => format!("archive {}", archive.store.url),
        SinkTarget::Table(table) => table_text(table),
    };
    format!("{}: {from} → {target}", sink.name)
}

fn table_text(table: &TablePlan) -> String {
    let mut text = format!("table {}", table.name);
    if !table.primary_key.is_empty() {
        text += &format!(" ({})", table.primary_key.join(", "));
    }
    if let Some(partitions) = &table.partitions {
        text += &format!(", a partition for {} of {}", span(partitions.every), partitions.by);
        if let Some(retention) = partitions.retention {
            text += &format!(", kept for {}", span(retention));
        }
    }
    text
}

/// A duration in its greatest whole unit, as the resource writes it.
fn span(duration: Duration) -> String {
    const UNITS: [(u128, &str); 4] =
        [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s")];
    let millis = duration.as_millis();
    let unit = UNITS.into_iter().find(|(unit, _)| millis.is_multiple_of(*unit));
    unit.map_or_else(|| format!("{millis}ms"), |(unit, name)| format!("{}{name}", millis / unit))
}

fn route_line(route: &QueryRoute) -> String {
    let answer = match &route.answer {
        QueryAnswer::One { rows, .. } => format!("a row of {}", selected(rows)),
        QueryAnswer::List { rows, .. } => format!("rows of {}", selected(rows)),
        QueryAnswer::Constant => "a constant".to_owned(),
    };
    format!("GET {} ← {answer}", route.path.text)
}

fn selected(rows: &RowSelection) -> String {
    let mut text = rows.table.clone();
    if !rows.conditions.is_empty() {
        let columns = rows.conditions.iter().map(|condition| condition.column.as_str());
        text += &format!(" by {}", columns.collect::<Vec<_>>().join(", "));
    }
    if let Some((column, descending)) = &rows.order {
        text += &format!(", {} {column} first", if *descending { "highest" } else { "lowest" });
    }
    text
}

fn write_exposure(exposure: &ExposurePlan, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let is_plain = exposure.tls.is_none() && exposure.mqtt_users.is_none();
    if is_plain && exposure.auth.is_empty() && exposure.origins.is_empty() {
        return Ok(());
    }
    writeln!(f, "\nexposure")?;
    if let Some(tls) = &exposure.tls {
        writeln!(f, "  tls: {}", tls_text(tls))?;
    }
    for rule in &exposure.auth {
        writeln!(f, "  {}: {}", rule.path, access_text(&rule.access))?;
    }
    if exposure.mqtt_users.is_some() {
        writeln!(f, "  mqtt: users with a password")?;
    }
    if !exposure.origins.is_empty() {
        writeln!(f, "  origins: {}", exposure.origins.join(", "))?;
    }
    Ok(())
}

fn tls_text(tls: &TlsSource) -> String {
    match tls {
        TlsSource::Secret(name) => format!("Secret {name}"),
        TlsSource::Files { certificate, .. } => format!("file {}", certificate.display()),
        TlsSource::SelfSigned => "self-signed".to_owned(),
    }
}

const fn access_text(access: &Access) -> &'static str {
    match access {
        Access::Open => "open",
        Access::Basic { .. } => "basic",
        Access::Bearer(_) => "bearer",
    }
}

fn input_name(input: &OperatorInput, stage: &[OperatorPlan]) -> String {
    match input {
        OperatorInput::Stream(name) => name.to_string(),
        OperatorInput::Operator(index) => {
            stage.get(*index).map(|operator| operator.name.clone()).unwrap_or_default()
        }
    }
}

fn joined(paths: &[millrace_core::FieldPath]) -> String {
    let paths = paths.iter().map(ToString::to_string).collect::<Vec<_>>();
    format!("[{}]", paths.join(", "))
}

fn counted(number: i32, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

impl Plan {
    /// The plan as JSON, for programs.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "pipeline": self.pipeline,
            "streams": self.streams.iter().map(stream_json).collect::<Vec<_>>(),
            "ingest": self.ingest.iter().map(|ingest| json!({
                "name": ingest.name,
                "to": ingest.to,
                "method": match &ingest.source {
                    IngestSource::Http(http) => Some(http.method.name()),
                    _ => None,
                },
                "path": match &ingest.source {
                    IngestSource::Http(http) => Some(&http.path.text),
                    IngestSource::WebSocket(websocket) => Some(&websocket.path.text),
                    _ => None,
                },
                "topics": match &ingest.source {
                    IngestSource::MqttListen(listen) => Some(listen.topics.as_slice()),
                    IngestSource::MqttConnect(connect) => Some(connect.topics.as_slice()),
                    IngestSource::Kafka(kafka) => Some(std::slice::from_ref(&kafka.topic)),
                    _ => None,
                },
            })).collect::<Vec<_>>(),
            "stages": self.stages.iter().map(|stage| json!({
                "name": stage.name,
                "inputs": stage.inputs,
                "tasks": stage.partitions,
                "operators": stage.operators.iter().map(|operator| json!({
                    "name": operator.name,
                    "kind": operator.operation.kind(),
                    "from": operator.inputs.iter().map(|input| input_name(input, &stage.operators)).collect::<Vec<_>>(),
                    "key": operator.key.iter().map(ToString::to_string).collect::<Vec<_>>(),
                    "output": operator.output,
                    "generation": operator.generation,
                    "fingerprint": operator.fingerprint,
                })).collect::<Vec<_>>(),
            })).collect::<Vec<_>>(),
            "sinks": self.sinks.iter().map(|sink| json!({
                "name": sink.name,
                "from": sink.from,
                "generation": sink.generation,
                "table": match &sink.target {
                    SinkTarget::Table(table) => Some(&table.name),
                    SinkTarget::Mqtt(_) | SinkTarget::Webhook(_) | SinkTarget::Archive(_) => None,
                },
                "url": match &sink.target {
                    SinkTarget::Webhook(webhook) => Some(&webhook.url),
                    SinkTarget::Archive(archive) => Some(&archive.store.url),
                    SinkTarget::Mqtt(_) | SinkTarget::Table(_) => None,
                },
            })).collect::<Vec<_>>(),
            "routes": self.query.routes.iter().map(|route| json!({
                "path": route.path.text,
                "kind": match &route.answer {
                    QueryAnswer::One { .. } => "one",
                    QueryAnswer::List { .. } => "list",
                    QueryAnswer::Constant => "constant",
                },
                "table": match &route.answer {
                    QueryAnswer::One { rows, .. } | QueryAnswer::List { rows, .. } => {
                        Some(&rows.table)
                    }
                    QueryAnswer::Constant => None,
                },
            })).collect::<Vec<_>>(),
            "exposure": json!({
                "tls": self.exposure.tls.as_ref().map(tls_text),
                "auth": self.exposure.auth.iter().map(|rule| json!({
                    "path": rule.path,
                    "access": access_text(&rule.access),
                })).collect::<Vec<_>>(),
                "origins": self.exposure.origins,
            }),
        })
    }
}

fn stream_json(stream: &StreamPlan) -> Value {
    json!({
        "name": stream.name,
        "kind": match stream.origin {
            StreamOrigin::Ingested(_) => "ingested",
            StreamOrigin::Derived { .. } => "derived",
            StreamOrigin::DeadLetters => "deadLetters",
        },
        "partitions": stream.partitions,
        "generation": stream.generation,
    })
}
