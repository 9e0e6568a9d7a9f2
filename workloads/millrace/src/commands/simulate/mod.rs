//! `millrace simulate`: devices that are not there.

mod progress;
mod race;
mod requests;

use clap::Args;
use clap::Subcommand;

use crate::exit::Outcome;
use crate::output::OutputFormat;

pub(crate) use race::drive_along;

/// Send what devices would send.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  millrace simulate race
  millrace simulate race --laps 3 --races 12 --to mqtt://127.0.0.1:1883
  millrace simulate cpu --devices 10000 --rate 5000
  millrace simulate hoverboards --rate 200 --for 1m
  millrace simulate http requests.ndjson --rate 1000 --for 30s")]
pub(crate) struct SimulateArguments {
    #[command(subcommand)]
    scenario: Scenario,
}

#[derive(Debug, Subcommand)]
enum Scenario {
    Race(race::RaceArguments),
    Cpu(requests::CpuArguments),
    Hoverboards(requests::HoverboardArguments),
    Http(requests::HttpArguments),
}

/// Runs the command.
pub(crate) async fn run(arguments: SimulateArguments, output: OutputFormat) -> Outcome {
    match arguments.scenario {
        Scenario::Race(arguments) => race::run(arguments, output).await,
        Scenario::Cpu(arguments) => requests::cpu(arguments, output).await,
        Scenario::Hoverboards(arguments) => requests::hoverboards(arguments, output).await,
        Scenario::Http(arguments) => requests::http(arguments, output).await,
    }
}
