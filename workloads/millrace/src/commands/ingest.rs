//! `millrace ingest`: a process that takes events in.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use crate::commands::mqtt::MqttArguments;
use crate::commands::separate::SeparateArguments;
use crate::commands::separate::begun;
use crate::commands::separate::reachable;
use crate::exit::Exit;
use crate::exit::Outcome;
use crate::output::OutputFormat;
use crate::pipeline;
use crate::pipeline::ConfigMaps;
use crate::process::ingest::IngestProcess;
use crate::process::signals;
use crate::process::traces::Traces;
use crate::process::traces::TracesOptions;

/// Take events in, as one of several processes over Kafka: HTTP, WebSocket and MQTT.
///
/// What is confirmed is in Kafka. It computes nothing and needs no database. Clients of its MQTT
/// endpoint get what the `mqtt` sinks publish, whichever process computes it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  millrace ingest race.yaml --connections /etc/millrace/connections
  millrace ingest race.yaml --connections ./connections --http-listen 0.0.0.0:8080 --mqtt-listen 0.0.0.0:1883
  millrace ingest race.yaml --connections ./connections --http-listen 127.0.0.1:0 --mqtt-listen 127.0.0.1:0 --output json")]
pub(crate) struct IngestArguments {
    /// File with a TelemetryPipeline.
    file: PathBuf,

    /// Address of the HTTP port: ways in, health and metrics. Port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8081")]
    http_listen: SocketAddr,

    #[command(flatten)]
    mqtt: MqttArguments,

    #[command(flatten)]
    config_maps: ConfigMaps,

    #[command(flatten)]
    separate: SeparateArguments,

    #[command(flatten)]
    traces: TracesOptions,
}

/// Runs the command.
pub(crate) async fn run(arguments: IngestArguments, output: OutputFormat) -> Outcome {
    let IngestArguments { file, http_listen, mqtt, config_maps, separate, traces } = arguments;
    let plan = pipeline::load_to_run(&file, &config_maps)?;
    let pipeline = plan.pipeline.clone();
    let options = separate.options(&plan, http_listen, false, PathBuf::from("."))?;
    let scheme = mqtt.scheme();
    let mqtt = mqtt.settings(&plan, &options.secrets)?;
    let shutdown = signals::shutdown().map_err(Exit::Software.of())?;
    let process = IngestProcess::open(plan, options).await?;
    let traces =
        Traces::start(&traces, &pipeline, process.observer()).map_err(Exit::Config.of())?;
    let result = process.start(mqtt, &shutdown).await;
    if let Some(running) = result? {
        let address = reachable(running.http_address());
        begun(
            "The process takes events in. Ctrl-C stops it; what was confirmed is kept.",
            &[
                ("pipeline", pipeline),
                ("process", running.name().to_owned()),
                ("url", format!("{}://{address}", running.http_scheme())),
                ("mqtt", format!("{scheme}://{}", reachable(running.mqtt_address()))),
            ],
            output,
        )?;
        shutdown.cancelled().await;
        running.stop().await;
    }
    traces.stop().await;
    Ok(())
}
