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

/// Runs a command, and returns the code to end with.
pub(crate) fn run(cli: Cli) -> Result<u8, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Exit::Software.because(StartRuntimeError(error)))?;
    let command = async {
        match cli.command {
            Command::Status(passed) => ask(Subcommand::Status, passed).await,
            Command::Tail(passed) => ask(Subcommand::Tail, passed).await,
            Command::Dlq(passed) => ask(Subcommand::Dlq, passed).await,
            Command::Rebuild(passed) => ask(Subcommand::Rebuild, passed).await,
            Command::Replay(passed) => ask(Subcommand::Replay, passed).await,
            Command::Plan(fetched) => read(Subcommand::Plan, fetched).await,
            Command::Validate(fetched) => read(Subcommand::Validate, fetched).await,
            Command::Help => Cli::command()
                .print_long_help()
                .map(|()| 0)
                .map_err(|error| Exit::CannotCreate.because(WriteHelpError(error))),
        }
    };
    let result = runtime.block_on(command);
    // What is still carried ends with the program.
    runtime.shutdown_background();
    result
}

/// Has `millrace` ask a query pod.
async fn ask(subcommand: Subcommand, Passed { cluster, rest }: Passed) -> Result<u8, Failure> {
    let program = program::find()?;
    let Words { pipeline, passed } = subcommand.separate(cluster.pipeline.clone(), rest);
    let mut arguments: Vec<OsString> = vec![subcommand.name().into()];
    if asks_for_help(&passed) {
        arguments.extend(passed);
        return Ok(program::run(&program, &arguments).await?);
    }
    let cluster = Cluster::of(&cluster).await?;
    let pipeline = pipeline::find(&cluster, pipeline.as_deref()).await?;
    let tunnel = Tunnel::open(cluster, pipeline).await?;
    let options = vec!["--url".into(), tunnel.url().into()];
    arguments.extend(with_options(passed, options));
    tokio::select! {
        code = program::run(&program, &arguments) => Ok(code?),
        error = tunnel.serve() => Err(Exit::Unavailable.because(AcceptError(error))),
    }
}

/// Has `millrace` read the resource.
async fn read(
    subcommand: Subcommand,
    Fetched { last_valid, passed }: Fetched,
) -> Result<u8, Failure> {
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
    let document = Document::write(&cluster, &pipeline, last_valid).await?;
    if let Some(remark) = document::remark(&pipeline).filter(|_| !last_valid) {
        note(&remark);
    }
    arguments.push(document.file());
    let options = document.options(&passed);
    arguments.extend(with_options(passed, options));
    Ok(program::run(&program, &arguments).await?)
}
