//! `millrace provision`: topics, tables and roles, made before processes need them.

use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use clap::Args;
use millrace_plan::Plan;
use serde_json::json;
use tracing::warn;

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
use crate::process::difference::NeedState;
use crate::process::provision::provision;
use crate::process::separate::process_name;
use crate::process::shared::Shared;

/// Make what a pipeline needs in Kafka and Postgres: topics, changelogs, the schema and its tables.
///
/// What is there stays, so that it can be run again at any time, also while the pipeline runs.
/// Workers, ingest and query wait until it has been run once.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  millrace provision race.yaml --connections /etc/millrace/connections
  millrace provision race.yaml --connections ./connections --wait 300
  millrace provision race.yaml --connections ./connections --dry-run
  millrace provision race.yaml --connections ./connections --begin-anew")]
pub(crate) struct ProvisionArguments {
    /// File with a TelemetryPipeline.
    file: PathBuf,

    /// Folder with `kafka.yaml`, and with `postgres.yaml` where the pipeline has tables. Where it has
    /// `roles.yaml`, too, the roles and users in it are made in the database, with their rights.
    #[arg(long, value_name = "DIR")]
    connections: PathBuf,

    /// Seconds to wait for Kafka and Postgres while they cannot be reached.
    #[arg(long, value_name = "SECONDS", default_value_t = 0,
        value_parser = clap::value_parser!(u64).range(0..=86_400))]
    wait: u64,

    /// Say what is missing, and make nothing.
    #[arg(long)]
    dry_run: bool,

    /// Have all tables read the streams from their beginning; their rows stay. For tables that were
    /// restored beside another Kafka than they were filled from. No worker should run meanwhile: one
    /// that has nothing to write does not see it.
    #[arg(long, conflicts_with = "dry_run")]
    begin_anew: bool,

    #[command(flatten)]
    config_maps: ConfigMaps,
}

/// Between two attempts.
const AGAIN: Duration = Duration::from_secs(1);

/// Runs the command.
pub(crate) async fn run(arguments: ProvisionArguments, output: OutputFormat) -> Outcome {
    let plan = pipeline::load_to_run(&arguments.file, &arguments.config_maps)?;
    let connections = Connections::read(&arguments.connections, has_tables(&plan))?;
    let until = Instant::now() + Duration::from_secs(arguments.wait);
    let (mut needs, roles) = loop {
        let failure = match make(&plan, connections.clone(), &arguments).await {
            Ok(made) => break made,
            Err(failure) if failure.may_pass() && Instant::now() < until => failure,
            Err(failure) => return Err(failure),
        };
        warn!(message = "Something is not there yet; trying again.", error = failure.text());
        tokio::time::sleep(AGAIN).await;
    };
    needs.retain(|need| need.state == NeedState::Missing);
    let verb = if arguments.dry_run { "missing" } else { "made" };
    if roles && output == OutputFormat::Text {
        output::line("Roles and users of the database are as roles.yaml says.")?;
    }
    match output {
        OutputFormat::Json => {
            output::json(&json!({"pipeline": plan.pipeline, verb: needs, "roles": roles}))?;
        }
        OutputFormat::Text if needs.is_empty() => {
            output::line(&format!("{}: everything is there.", plan.pipeline))?;
        }
        OutputFormat::Text => {
            output::line(&format!("{}, {verb}:", plan.pipeline))?;
            let state = if arguments.dry_run { "is missing" } else { "is there now" };
            for line in needs::lines(&needs, state) {
                output::line(&format!("  {line}"))?;
            }
        }
    }
    Ok(())
}

/// Makes what is missing, and says what that was, and whether there are roles now.
async fn make(
    plan: &Plan,
    mut connections: Connections,
    arguments: &ProvisionArguments,
) -> Result<(Vec<Need>, bool), Failure> {
    let dry_run = arguments.dry_run;
    let prefix = connections.prefix(&plan.pipeline);
    let mut roles = false;
    if !dry_run {
        let made = Shared::make_roles(&connections, &plan.pipeline).await;
        roles = made.map_err(Exit::Unavailable.of())?;
    }
    if roles {
        connections.act_as_worker();
    }
    let shared = Shared::connect(connections, &plan.pipeline, &process_name("provision")).await?;
    let work = async {
        let before =
            difference::needs(plan, &shared, &prefix).await.map_err(Exit::Unavailable.of())?;
        needs::check(&before)?;
        if !dry_run {
            provision(plan, &shared, arguments.begin_anew).await?;
        }
        Ok::<_, Failure>(before)
    };
    let result = work.await;
    shared.close().await;
    Ok((result?, roles))
}
