//! The millrace program: parses its arguments, starts logging, runs a subcommand and ends with
//! its exit code.

mod backup;
mod cases;
mod cli;
mod client;
mod commands;
mod connections;
mod exit;
mod exposed;
mod logging;
mod output;
mod pipeline;
mod process;

use std::process::ExitCode;

use crate::cli::Cli;

fn main() -> ExitCode {
    let cli = match Cli::from_arguments() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let result = logging::start(&cli.logging).and_then(|()| commands::run(cli));
    exit::report(result)
}
