//! `millrace run`: a pipeline in one process.

use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use clap::ValueEnum;
use millrace_archive::Folders;
use millrace_http::Clients;
use millrace_log::ReadLimit;
use millrace_log::kafka::StandbyOptions;
use millrace_plan::Plan;
use millrace_simulate::send::BrokerAddress;
use serde_json::json;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::commands::mqtt::MqttArguments;
use crate::commands::mqtt::MqttArgumentsError;
use crate::commands::run_progress;
use crate::commands::separate::begun;
use crate::commands::separate::reachable;
use crate::commands::simulate;
use crate::connections::Connections;
use crate::connections::has_tables;
use crate::exit::Exit;
use crate::exit::Outcome;
use crate::exposed;
use crate::output;
use crate::output::OutputFormat;
use crate::pipeline;
use crate::pipeline::ConfigMaps;
use crate::process::live::Live;
use crate::process::live::LiveOptions;
use crate::process::separate::SeparateOptions;
use crate::process::signals;
use crate::process::storage::Storage;
use crate::process::together::WholeProcess;
use crate::process::traces::Traces;
use crate::process::traces::TracesOptions;
use crate::process::until_end;
use crate::process::until_end::EndProgress;
use crate::process::until_end::RecordedInput;

/// Folder of the data folders of pipelines for which --data names none.
const DATA_FOLDER: &str = ".millrace";

/// How long a process over Kafka may take to end.
const GRACE: Duration = Duration::from_secs(25);

/// Run a pipeline: take messages in, compute, store, publish and show.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  millrace run examples/race.yaml --simulate race
  millrace run race.yaml --data /var/lib/race --http-listen 0.0.0.0:8080
  millrace run multivac.yaml --secrets /run/secrets/multivac
  millrace run race.yaml --connections ./connections
  millrace run race.yaml --data /tmp/replay --until-end --input cars=race.ndjson")]
pub(crate) struct RunArguments {
    /// File with a TelemetryPipeline.
    file: PathBuf,

    /// Folder for the log and the tables; made if it is not there.
    ///
    /// Without it `.millrace/` and the pipeline's name, in the current folder.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// Folder of Secrets: a folder for each, with a file for each of its keys, such as
    /// `secrets/multivac-users/users`. Files are read again when they change.
    #[arg(long, value_name = "DIR", default_value = "secrets")]
    secrets: PathBuf,

    #[command(flatten)]
    config_maps: ConfigMaps,

    /// Address of the HTTP port: the dashboard, the API, health and metrics.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    http_listen: SocketAddr,

    #[command(flatten)]
    mqtt: MqttArguments,

    /// Folder with `kafka.yaml` and `postgres.yaml`: the log is in Kafka and the tables are in
    /// Postgres instead of a folder. What is missing there is made.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["data", "until_end"])]
    connections: Option<PathBuf>,

    /// With --connections: name of this process, which no other one of the pipeline may have at the
    /// same time. Without it the machine's name and the number of the HTTP port.
    #[arg(long, value_name = "NAME", requires = "connections")]
    process_name: Option<String>,

    /// Most records that a task reads and commits at once. Results do not depend on it: more is
    /// faster on long replays, fewer take less memory.
    #[arg(long, value_name = "RECORDS", default_value_t = 1000,
        value_parser = clap::value_parser!(u32).range(1..=100_000))]
    batch_records: u32,

    /// Compute everything that is recorded, fill the tables, and end. Nothing listens.
    #[arg(long, conflicts_with_all = ["simulate", "http_listen", "mqtt_listen"])]
    until_end: bool,

    /// With --until-end: recorded messages for a way in, as lines of
    /// `{"topic": …, "payload": …}`.
    #[arg(long, value_name = "ROUTE=FILE", requires = "until_end")]
    input: Vec<Input>,

    /// Drive simulated devices along, in real time.
    #[arg(long, value_name = "SCENARIO", conflicts_with_all = ["mqtt_users", "mqtt_tls_cert"])]
    simulate: Option<SimulatedScenario>,

    #[command(flatten)]
    traces: TracesOptions,
}

#[derive(Debug, Clone)]
struct Input(RecordedInput);

impl FromStr for Input {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('=') {
            Some((route, file)) if !route.is_empty() && !file.is_empty() => {
                Ok(Self(RecordedInput { route: route.to_owned(), file: file.into() }))
            }
            _ => Err("write the name of a way in, `=` and a file, such as `cars=race.ndjson`"),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SimulatedScenario {
    /// Six cars on a lap of Silverstone.
    Race,
}

/// Runs the command.
pub(crate) async fn run(arguments: RunArguments, output: OutputFormat) -> Outcome {
    let plan = pipeline::load_to_run(&arguments.file, &arguments.config_maps)?;
    if let Some(warning) = exposed::warning(&plan) {
        output::note(&warning);
    }
    if arguments.simulate.is_some() && plan.exposure.mqtt_users.is_some() {
        return Err(Exit::Usage.because(MqttArgumentsError::SimulatedWithoutPassword));
    }
    if let Some(folder) = arguments.connections.clone() {
        let shutdown = signals::shutdown().map_err(Exit::Software.of())?;
        return Box::pin(serve_shared(plan, &folder, arguments, &shutdown, output)).await;
    }
    let folder =
        arguments.data.clone().unwrap_or_else(|| Path::new(DATA_FOLDER).join(&plan.pipeline));
    let shutdown = signals::shutdown().map_err(Exit::Software.of())?;
    let storage = Storage::open(plan, &folder).await?;
    let folders = Folders { data: folder, secrets: Some(arguments.secrets.clone()) };
    let traces = Traces::start(&arguments.traces, &storage.plan.pipeline, &storage.observer)
        .map_err(Exit::Config.of())?;
    let result = if arguments.until_end {
        compute(storage, arguments, &folders, &shutdown, output).await
    } else {
        serve(storage, arguments, folders, &shutdown, output).await
    };
    traces.stop().await;
    result
}

async fn serve(
    storage: Storage,
    arguments: RunArguments,
    folders: Folders,
    shutdown: &CancellationToken,
    output: OutputFormat,
) -> Outcome {
    let pipeline = storage.plan.pipeline.clone();
    let folder = folders.data.clone();
    let scheme = arguments.mqtt.scheme();
    let options = LiveOptions {
        batch: batch(arguments.batch_records),
        http: arguments.http_listen,
        mqtt: arguments.mqtt.settings(&storage.plan, &arguments.secrets)?,
        folders,
    };
    let live = Live::start(storage, options).await?;
    let page = format!("{}://{}", live.http_scheme(), reachable(live.http_address()));
    let mqtt = format!("{scheme}://{}", reachable(live.mqtt_address()));
    match output {
        OutputFormat::Json => output::json_line(&json!({
            "pipeline": pipeline, "url": page, "mqtt": mqtt, "data": folder,
        }))?,
        OutputFormat::Text => {
            output::line(&format!("The pipeline {pipeline} runs."))?;
            output::line(&format!("  Dashboard  {page}"))?;
            output::line(&format!("  MQTT       {mqtt}"))?;
            output::line(&format!("  Data       {}", folder.display()))?;
            output::line("Ctrl-C stops it; what was confirmed is kept.")?;
        }
    }
    drive_along(arguments.simulate, live.mqtt_address(), shutdown, output).await;
    live.stop().await;
    Ok(())
}

/// Waits for the end, with simulated devices where they are wanted.
async fn drive_along(
    scenario: Option<SimulatedScenario>,
    mqtt: SocketAddr,
    shutdown: &CancellationToken,
    output: OutputFormat,
) {
    let address = reachable(mqtt);
    let simulation = scenario.map(|SimulatedScenario::Race| {
        let address =
            BrokerAddress { host: address.ip().to_string(), port: address.port(), tls: false };
        let shutdown = shutdown.clone();
        tokio::spawn(async move { simulate::drive_along(address, &shutdown).await })
    });
    shutdown.cancelled().await;
    if output == OutputFormat::Text {
        output::note("Stopping…");
    }
    if let Some(simulation) = simulation {
        // The cars leave before the endpoint does; they are not waited for if they do not.
        let _ = tokio::time::timeout(Duration::from_millis(500), simulation).await;
    }
}

/// Everything in this process, over Kafka and Postgres.
async fn serve_shared(
    plan: Plan,
    folder: &Path,
    arguments: RunArguments,
    shutdown: &CancellationToken,
    output: OutputFormat,
) -> Outcome {
    let scheme = arguments.mqtt.scheme();
    let mqtt = arguments.mqtt.settings(&plan, &arguments.secrets)?;
    let options = SeparateOptions {
        http: arguments.http_listen,
        name: arguments.process_name,
        grace: GRACE,
        connections: Connections::read(folder, has_tables(&plan))?,
        secrets: arguments.secrets,
        data: PathBuf::from("."),
        clients: Clients::Direct,
        standbys: StandbyOptions::default(),
    };
    let pipeline = plan.pipeline.clone();
    let process = WholeProcess::open(plan, options).await?;
    let traces = Traces::start(&arguments.traces, &pipeline, process.observer())
        .map_err(Exit::Config.of())?;
    let batch = batch(arguments.batch_records);
    if let Some(running) = Box::pin(process.start(mqtt, batch, shutdown)).await? {
        let address = reachable(running.http_address());
        begun(
            "The pipeline runs over Kafka. Ctrl-C stops it; what was confirmed is kept.",
            &[
                ("pipeline", pipeline),
                ("process", running.name().to_owned()),
                ("url", format!("{}://{address}", running.http_scheme())),
                ("mqtt", format!("{scheme}://{}", reachable(running.mqtt_address()))),
            ],
            output,
        )?;
        drive_along(arguments.simulate, running.mqtt_address(), shutdown, output).await;
        running.stop().await;
    }
    traces.stop().await;
    Ok(())
}

/// What a task reads at once.
fn batch(records: u32) -> ReadLimit {
    ReadLimit { entries: records as usize, ..ReadLimit::default() }
}

async fn compute(
    storage: Storage,
    arguments: RunArguments,
    folders: &Folders,
    shutdown: &CancellationToken,
    output: OutputFormat,
) -> Outcome {
    let batch = batch(arguments.batch_records);
    let inputs: Vec<_> = arguments.input.into_iter().map(|Input(input)| input).collect();
    let (sender, receiver) = watch::channel(EndProgress::default());
    let showing = tokio::spawn(run_progress::show(receiver));
    let begin = tokio::time::Instant::now();
    let result = until_end::run(&storage, &inputs, batch, Some(folders), &sender, shutdown).await;
    let fed = sender.borrow().fed;
    // Without a sender the display ends.
    drop(sender);
    let _ = showing.await;
    let summary = run_progress::Summary::of(&storage, fed, begin.elapsed());
    storage.close().await;
    result?;
    match output {
        OutputFormat::Json => output::json(&summary)?,
        OutputFormat::Text => {
            for line in summary.lines() {
                output::line(&line)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_is_a_way_in_and_a_file() {
        let input: Input = "cars=a=b.ndjson".parse().unwrap();
        assert_eq!((input.0.route.as_str(), input.0.file), ("cars", "a=b.ndjson".into()));
        assert!("cars".parse::<Input>().is_err());
        assert!("=x".parse::<Input>().is_err());
    }
}
