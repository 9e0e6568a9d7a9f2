//! `millrace plan`: what a resource turns into.

use std::path::Path;
use std::path::PathBuf;

use clap::Args;
use millrace_plan::Plan;
use millrace_plan::model::IngestSource;
use millrace_plan::model::OperatorInput;
use millrace_plan::model::OperatorPlan;
use millrace_plan::model::SinkTarget;
use millrace_plan::model::StagePlan;
use millrace_plan::model::StreamOrigin;
use serde_json::Value;
use serde_json::json;

use crate::commands::needs;
use crate::connections::Connections;
use crate::connections::has_tables;
use crate::exit::Exit;
use crate::exit::Failure;
use crate::exit::Outcome;
use crate::output;
use crate::output::OutputFormat;
use crate::pipeline;
use crate::pipeline::ConfigMaps;
use crate::process::difference;
use crate::process::difference::Need;
use crate::process::separate::process_name;
use crate::process::shared::Shared;

/// Show what a resource turns into: streams, ways in, stages, sinks and tables.
///
/// With --connections, also what that is in Kafka and Postgres, and what of it is there.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  millrace plan examples/race.yaml
  millrace plan examples/race.yaml --output json
  millrace plan examples/race.yaml --connections ./connections")]
pub(crate) struct PlanArguments {
    /// File with a TelemetryPipeline.
    file: PathBuf,

    /// Folder with `kafka.yaml`, and with `postgres.yaml` where the pipeline has tables: compares
    /// with what is there. A difference that cannot be made good is refused.
    #[arg(long, value_name = "DIR")]
    connections: Option<PathBuf>,

    #[command(flatten)]
    config_maps: ConfigMaps,
}

/// Runs the command.
pub(crate) async fn run(arguments: PlanArguments, output: OutputFormat) -> Outcome {
    let plan = pipeline::load(&arguments.file, &arguments.config_maps)?;
    let needs = match &arguments.connections {
        Some(folder) => Some(compare(&plan, folder).await?),
        None => None,
    };
    let mut described = describe(&plan);
    match output {
        OutputFormat::Json => {
            if let Some(needs) = &needs {
                described["needs"] = json!(needs);
            }
            output::json(&described)?;
        }
        OutputFormat::Text => {
            for line in lines(&described) {
                output::line(&line)?;
            }
            if let Some(needs) = &needs {
                output::line("\nKafka and Postgres")?;
                for line in needs::lines(needs, "is missing") {
                    output::line(&format!("  {line}"))?;
                }
            }
        }
    }
    needs.as_deref().map_or(Ok(()), needs::check)
}

/// What the pipeline needs of Kafka and Postgres, and what of it is there.
async fn compare(plan: &Plan, folder: &Path) -> Result<Vec<Need>, Failure> {
    let connections = Connections::read(folder, has_tables(plan))?;
    let prefix = connections.prefix(&plan.pipeline);
    let shared = Shared::connect(connections, &plan.pipeline, &process_name("plan")).await?;
    let needs = difference::needs(plan, &shared, &prefix).await;
    shared.close().await;
    needs.map_err(Exit::Unavailable.of())
}

fn describe(plan: &Plan) -> Value {
    json!({
        "pipeline": plan.pipeline,
        "streams": plan.streams.iter().map(|stream| json!({
            "name": stream.name.as_str(),
            "partitions": stream.partitions,
            "generation": stream.generation,
            "writtenBy": match &stream.origin {
                StreamOrigin::Ingested(_) => "ingest".to_owned(),
                StreamOrigin::Derived { processor, .. } => format!("processor {processor}"),
                StreamOrigin::DeadLetters => "whoever refuses".to_owned(),
            },
        })).collect::<Vec<_>>(),
        "ingest": plan.ingest.iter().map(|ingest| json!({
            "name": ingest.name,
            "to": ingest.to.as_str(),
            "from": match &ingest.source {
                IngestSource::Http(http) => format!("{} {}", http.method.name(), http.path.text),
                IngestSource::WebSocket(websocket) => format!("WebSocket {}", websocket.path.text),
                IngestSource::MqttListen(listen) =>
                    format!("our MQTT endpoint, {}", listen.topics.join(", ")),
                IngestSource::MqttConnect(connect) =>
                    format!("{}, {}", connect.broker.url, connect.topics.join(", ")),
                IngestSource::Kafka(kafka) => format!("Kafka, {}", kafka.topic),
            },
        })).collect::<Vec<_>>(),
        "stages": plan.stages.iter().map(stage).collect::<Vec<_>>(),
        "sinks": plan.sinks.iter().map(|sink| json!({
            "name": sink.name,
            "generation": sink.generation,
            "from": sink.from.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "to": match &sink.target {
                SinkTarget::Mqtt(mqtt) => match &mqtt.broker {
                    Some(broker) => format!("MQTT, {}", broker.url),
                    None => "our MQTT endpoint".to_owned(),
                },
                SinkTarget::Table(table) => format!("table {}", table.name),
                SinkTarget::Webhook(webhook) => webhook.url.clone(),
                SinkTarget::Archive(archive) => archive.store.url.clone(),
            },
        })).collect::<Vec<_>>(),
    })
}

fn stage(stage: &StagePlan) -> Value {
    json!({
        "name": stage.name,
        "tasks": stage.partitions,
        "inputs": stage.inputs.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "operators": stage.operators.iter().map(|operator| json!({
            "name": operator.name,
            "kind": operator.operation.kind(),
            "from": inputs(stage, operator),
            "writes": operator.output.as_ref().map(ToString::to_string),
        })).collect::<Vec<_>>(),
    })
}

fn inputs(stage: &StagePlan, operator: &OperatorPlan) -> Vec<String> {
    let name = |input: &OperatorInput| match input {
        OperatorInput::Stream(stream) => stream.to_string(),
        OperatorInput::Operator(index) => stage.operators[*index].name.clone(),
    };
    operator.inputs.iter().map(name).collect()
}

fn lines(plan: &Value) -> Vec<String> {
    let mut lines = vec![format!("pipeline {}", text(&plan["pipeline"]))];
    let mut section = |title: &str, rows: Vec<Vec<String>>| {
        lines.push(String::new());
        lines.push(title.to_owned());
        lines.extend(output::columns(&rows).into_iter().map(|row| format!("  {row}")));
    };
    let cells = |item: &Value, names: &[&str]| names.iter().map(|name| text(&item[name])).collect();
    let rows = |items: &Value, names: &[&str]| -> Vec<Vec<String>> {
        items.as_array().into_iter().flatten().map(|item| cells(item, names)).collect()
    };
    let mut streams = vec![["NAME", "PARTITIONS", "WRITTEN BY"].map(str::to_owned).to_vec()];
    streams.extend(rows(&plan["streams"], &["name", "partitions", "writtenBy"]));
    section("streams", streams);
    let mut ingest = vec![["NAME", "TO", "FROM"].map(str::to_owned).to_vec()];
    ingest.extend(rows(&plan["ingest"], &["name", "to", "from"]));
    section("ingest", ingest);
    for stage in plan["stages"].as_array().into_iter().flatten() {
        let title = format!(
            "stage {}: {} {} on {}",
            text(&stage["name"]),
            text(&stage["tasks"]),
            if stage["tasks"] == 1 { "task" } else { "tasks" },
            text(&stage["inputs"])
        );
        let mut operators = vec![["NAME", "KIND", "FROM", "WRITES"].map(str::to_owned).to_vec()];
        operators.extend(rows(&stage["operators"], &["name", "kind", "from", "writes"]));
        section(&title, operators);
    }
    let mut sinks = vec![["NAME", "FROM", "TO"].map(str::to_owned).to_vec()];
    sinks.extend(rows(&plan["sinks"], &["name", "from", "to"]));
    section("sinks", sinks);
    lines
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(", "),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}
