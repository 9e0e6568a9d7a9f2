//! `millrace worker`: a process that computes.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use millrace_api::nearest;
use millrace_log::ReadLimit;
use millrace_log::kafka::StandbyOptions;
use millrace_plan::Plan;

use crate::commands::separate::SeparateArguments;
use crate::commands::separate::begun;
use crate::commands::separate::reachable;
use crate::exit::Exit;
use crate::exit::Failure;
use crate::exit::Outcome;
use crate::output::OutputFormat;
use crate::pipeline;
use crate::pipeline::ConfigMaps;
use crate::process::computing_process::WorkerProcess;
use crate::process::separate::SeparateOptions;
use crate::process::signals;
use crate::process::traces::Traces;
use crate::process::traces::TracesOptions;

/// Compute and write results, as one of several processes over Kafka and Postgres.
///
/// Workers share the partitions of what they read, and take over from one another. One of them also
/// runs rebuilds. Each needs a name of its own: two on one machine have different HTTP ports, which
/// are part of their names, or are given names by --process-name.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  millrace worker race.yaml --connections /etc/millrace/connections
  millrace worker race.yaml --connections ./connections --http-listen 127.0.0.1:0
  millrace worker race.yaml --connections ./connections --process-name worker-1 --stage motion --stage laps
  millrace worker race.yaml --connections ./connections --process-name worker-1 --standbys 1")]
pub(crate) struct WorkerArguments {
    /// File with a TelemetryPipeline.
    file: PathBuf,

    /// Name of a stage or sink that is computed here, as `millrace plan` shows them; may be given
    /// several times. Without it all of them are.
    #[arg(long, value_name = "NAME")]
    stage: Vec<String>,

    /// Address of the HTTP port: health and metrics alone. Port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8082")]
    http_listen: SocketAddr,

    /// Most records that a task reads and commits at once. Results do not depend on it.
    #[arg(long, value_name = "RECORDS", default_value_t = 1000,
        value_parser = clap::value_parser!(u32).range(1..=100_000))]
    batch_records: u32,

    /// Workers that may go at once so that every task which moves then finds its state in memory
    /// where it comes to. 0 keeps nothing ready: state is restored as a whole when a task moves.
    ///
    /// It also has a worker that comes read the state of its tasks first, while the others go on
    /// with them. Give it to all workers of the pipeline.
    #[arg(long, value_name = "WORKERS", default_value_t = 0,
        value_parser = clap::value_parser!(u16).range(0..=100))]
    standbys: u16,

    /// Most MiB of memory for the state that `--standbys` keeps ready. What does not fit is restored
    /// as a whole.
    #[arg(long, value_name = "MIB", default_value_t = 1024, requires = "standbys",
        value_parser = clap::value_parser!(u32).range(1..=1_048_576))]
    standby_memory: u32,

    /// Folder that relative paths of archives start from.
    #[arg(long, value_name = "DIR", default_value = ".")]
    archives: PathBuf,

    #[command(flatten)]
    config_maps: ConfigMaps,

    #[command(flatten)]
    separate: SeparateArguments,

    #[command(flatten)]
    traces: TracesOptions,
}

/// A stage that is not there.
#[derive(Debug, thiserror::Error)]
enum SelectStageError {
    #[error("no stage or sink is named `{name}`: did you mean `{nearest}`?")]
    Nearly { name: String, nearest: String },
    #[error("no stage or sink is named `{name}`; there are {known}")]
    Unknown { name: String, known: String },
}

/// Runs the command.
pub(crate) async fn run(arguments: WorkerArguments, output: OutputFormat) -> Outcome {
    let plan = pipeline::load_to_run(&arguments.file, &arguments.config_maps)?;
    let only = select(&plan, &arguments.stage)?;
    let pipeline = plan.pipeline.clone();
    let standbys = StandbyOptions {
        leaving: arguments.standbys.into(),
        max_bytes: arguments.standby_memory as usize * (1 << 20),
    };
    let WorkerArguments { http_listen, archives, separate, traces, batch_records, .. } = arguments;
    let options = separate.options(&plan, http_listen, true, archives)?;
    let options = SeparateOptions { standbys, ..options };
    let shutdown = signals::shutdown().map_err(Exit::Software.of())?;
    let process = WorkerProcess::open(plan, options).await?;
    let traces =
        Traces::start(&traces, &pipeline, process.observer()).map_err(Exit::Config.of())?;
    begun(
        "The worker has begun. Ctrl-C stops it; others take its work over.",
        &[
            ("pipeline", pipeline),
            ("process", process.name().to_owned()),
            ("url", format!("http://{}", reachable(process.http_address()))),
        ],
        output,
    )?;
    let batch = ReadLimit { entries: batch_records as usize, ..ReadLimit::default() };
    let started = process.start(only, batch, &shutdown).await;
    if let Some(running) = started? {
        shutdown.cancelled().await;
        running.stop().await;
    }
    traces.stop().await;
    Ok(())
}

/// The stages and sinks that are named; none if none is.
fn select(plan: &Plan, names: &[String]) -> Result<Option<BTreeSet<String>>, Failure> {
    let stages = plan.stages.iter().map(|stage| stage.name.as_str());
    let known: Vec<&str> = stages.chain(plan.sinks.iter().map(|sink| sink.name.as_str())).collect();
    if let Some(name) = names.iter().find(|name| !known.contains(&name.as_str())).cloned() {
        return Err(Exit::Usage.because(match nearest(&name, known.iter().copied()) {
            Some(nearest) => SelectStageError::Nearly { nearest: nearest.to_owned(), name },
            None => SelectStageError::Unknown { name, known: known.join(", ") },
        }));
    }
    Ok((!names.is_empty()).then(|| names.iter().cloned().collect()))
}
