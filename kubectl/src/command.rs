//! What each command does: finds the pipeline, and has `millrace` ask it.

use std::ffi::OsString;

use clap::CommandFactory as _;

use crate::arguments::Subcommand;
use crate::arguments::Words;
use crate::arguments::asks_for_help;
use crate::arguments::with_options;
use crate::cli::Cli;
use crate::cli::Command;
use crate::cli::Fetched;
use crate::cli::Passed;
use crate::cluster::Cluster;
use crate::cluster::ConnectError;
use crate::document;
use crate::document::Document;
use crate::exit::Exit;
use crate::exit::Failure;
use crate::exit::note;
use crate::pipeline;
use crate::program;
use crate::tunnel::Tunnel;

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        Exit::Config.because(error)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("cannot start the runtime")]
struct StartRuntimeError(#[source] std::io::Error);

#[derive(Debug, thiserror::Error)]
#[error("cannot write to standard output")]
struct WriteHelpError(#[source] std::io::Error);

#[derive(Debug, thiserror::Error)]
#[error("the port on 127.0.0.1 takes no more connections")]
struct AcceptError(#[source] std::io::Error);

/// Whom a command asks.
enum Asks {
    /// The running pipeline.
    QueryPod,
    /// Where the resource is kept: as it is now, or as it was valid last.
    ApiServer { last_valid: bool },
}

/// Runs a command, and returns the code to end with.
pub(crate) fn run(cli: Cli) -> Result<u8, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Exit::Software.because(StartRuntimeError(error)))?;
    let result = runtime.block_on(carry_out(cli.command));
    // What is still carried ends with the program.
    runtime.shutdown_background();
    result
}

async fn carry_out(command: Command) -> Result<u8, Failure> {
    let (subcommand, passed, asks) = match command {
        Command::Status(passed) => (Subcommand::Status, passed, Asks::QueryPod),
        Command::Tail(passed) => (Subcommand::Tail, passed, Asks::QueryPod),
        Command::Dlq(passed) => (Subcommand::Dlq, passed, Asks::QueryPod),
        Command::Rebuild(passed) => (Subcommand::Rebuild, passed, Asks::QueryPod),
        Command::Replay(passed) => (Subcommand::Replay, passed, Asks::QueryPod),
        Command::Plan(Fetched { last_valid, passed }) => {
            (Subcommand::Plan, passed, Asks::ApiServer { last_valid })
        }
        Command::Validate(Fetched { last_valid, passed }) => {
            (Subcommand::Validate, passed, Asks::ApiServer { last_valid })
        }
        Command::Help => {
            return Cli::command()
                .print_long_help()
                .map(|()| 0)
                .map_err(|error| Exit::CannotCreate.because(WriteHelpError(error)));
        }
    };
    let program = program::find()?;
    let Passed { cluster, rest } = passed;
    let Words { pipeline, passed } = subcommand.separate(cluster.pipeline.clone(), rest);
    let mut arguments: Vec<OsString> = vec![subcommand.name().into()];
    if asks_for_help(&passed) {
        arguments.extend(passed);
        return Ok(program::run(&program, &arguments).await?);
    }
    let cluster = Cluster::of(&cluster).await?;
    let pipeline = pipeline::find(&cluster, pipeline.as_deref()).await?;
    match asks {
        Asks::QueryPod => {
            let tunnel = Tunnel::open(cluster, pipeline).await?;
            let options = vec!["--url".into(), tunnel.url().into()];
            arguments.extend(with_options(passed, options));
            tokio::select! {
                code = program::run(&program, &arguments) => Ok(code?),
                error = tunnel.serve() => Err(Exit::Unavailable.because(AcceptError(error))),
            }
        }
        Asks::ApiServer { last_valid } => {
            let document = Document::write(&cluster, &pipeline, last_valid).await?;
            if let Some(remark) = document::remark(&pipeline).filter(|_| !last_valid) {
                note(&remark);
            }
            arguments.push(document.file());
            let options = document.options(&passed);
            arguments.extend(with_options(passed, options));
            Ok(program::run(&program, &arguments).await?)
        }
    }
}
