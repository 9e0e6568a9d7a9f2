//! `kubectl millrace`: parses its arguments, finds the pipeline, runs `millrace` for it, and ends with
//! its exit code.

mod arguments;
mod cli;
mod cluster;
mod command;
mod document;
mod exit;
mod pipeline;
mod program;
mod query_pod;
#[cfg(test)]
mod stand_in;
mod tunnel;

use std::process::ExitCode;

use clap::Parser as _;

use crate::cli::Cli;

fn main() -> ExitCode {
    // The one provider of the tree: another one might be built in by a dependency.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match Cli::try_parse_from(cli::own_first(std::env::args_os())) {
        Ok(cli) => exit::report(command::run(cli)),
        Err(error) => exit::usage(&error),
    }
}
