//! The command line as a whole. Each subcommand's own arguments are beside its code.

use std::process::ExitCode;

use clap::Parser;
use clap::Subcommand;

use crate::commands::backup;
use crate::commands::dlq;
use crate::commands::dumps;
use crate::commands::hash_password;
use crate::commands::ingest;
use crate::commands::plan;
use crate::commands::provision;
use crate::commands::query;
use crate::commands::rebuild;
use crate::commands::replay;
use crate::commands::restore;
use crate::commands::run;
use crate::commands::simulate;
use crate::commands::sql;
use crate::commands::status;
use crate::commands::tail;
use crate::commands::test;
use crate::commands::validate;
use crate::commands::worker;
use crate::exit::Exit;
use crate::logging::LoggingArguments;
use crate::output;
use crate::output::OutputFormat;

/// Streams of device data, computed, stored and shown: a `TelemetryPipeline` says how.
#[derive(Debug, Parser)]
#[command(name = "millrace", version, max_term_width = 100, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,

    /// Form of the result.
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text")]
    pub(crate) output: OutputFormat,

    #[command(flatten)]
    pub(crate) logging: LoggingArguments,
}

const EXAMPLES: &str = "\
Examples:
  millrace run examples/race.yaml --simulate race   Run a pipeline, with simulated cars
  millrace validate examples/race.yaml              Say what is wrong with a resource
  millrace test examples/race.test.yaml             Run a pipeline's test cases
  millrace status                                   How the running pipeline is
  millrace tail status --follow                     Watch a stream of it";

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Run(run::RunArguments),
    Ingest(ingest::IngestArguments),
    Worker(worker::WorkerArguments),
    Query(query::QueryArguments),
    Provision(provision::ProvisionArguments),
    Validate(validate::ValidateArguments),
    Plan(plan::PlanArguments),
    Test(test::TestArguments),
    Simulate(simulate::SimulateArguments),
    Status(status::StatusArguments),
    Tail(tail::TailArguments),
    Dlq(dlq::DlqArguments),
    Rebuild(rebuild::RebuildArguments),
    Replay(replay::ReplayArguments),
    Backup(backup::BackupArguments),
    Restore(restore::RestoreArguments),
    Dumps(dumps::DumpsArguments),
    Sql(sql::SqlArguments),
    HashPassword(hash_password::HashPasswordArguments),
}

impl Cli {
    /// Reads the program's arguments. Help and mistakes are told here; then there is only a code
    /// to end with.
    pub(crate) fn from_arguments() -> Result<Self, ExitCode> {
        Self::try_parse().map_err(|error| {
            if error.print().is_err() {
                output::note("error: cannot write to standard output");
            }
            if error.use_stderr() { ExitCode::from(Exit::Usage as u8) } else { ExitCode::SUCCESS }
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_help_with_examples() {
        for command in Cli::command().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Examples:"), "{} has no examples", command.get_name());
            assert!(command.get_about().is_some(), "{} has no description", command.get_name());
        }
    }
}
