//! The subcommands, one a file: arguments, and what they do.

pub(crate) mod backup;
pub(crate) mod dlq;
pub(crate) mod dumps;
pub(crate) mod hash_password;
pub(crate) mod ingest;
mod mqtt;
mod needs;
pub(crate) mod plan;
pub(crate) mod provision;
pub(crate) mod query;
pub(crate) mod rebuild;
pub(crate) mod replay;
pub(crate) mod restore;
pub(crate) mod run;
mod run_progress;
mod separate;
pub(crate) mod simulate;
pub(crate) mod sql;
pub(crate) mod status;
pub(crate) mod tail;
pub(crate) mod test;
pub(crate) mod validate;
pub(crate) mod worker;

use std::future::Future;

use crate::cli::Cli;
use crate::cli::Command;
use crate::exit::Exit;
use crate::exit::Outcome;

#[derive(Debug, thiserror::Error)]
#[error("cannot start the runtime")]
struct StartRuntimeError(#[source] std::io::Error);

/// Runs the subcommand.
pub(crate) fn run(cli: Cli) -> Outcome {
    let output = cli.output;
    match cli.command {
        Command::Run(arguments) => with_workers(run::run(arguments, output)),
        Command::Validate(arguments) => validate::run(&arguments, output),
        Command::Ingest(arguments) => with_workers(ingest::run(arguments, output)),
        Command::Worker(arguments) => with_workers(worker::run(arguments, output)),
        Command::Query(arguments) => with_workers(query::run(arguments, output)),
        Command::Provision(arguments) => with_workers(provision::run(arguments, output)),
        Command::Plan(arguments) => with_workers(plan::run(arguments, output)),
        Command::Test(arguments) => with_workers(test::run(arguments, output)),
        Command::Simulate(arguments) => alone(simulate::run(arguments, output)),
        Command::Status(arguments) => alone(status::run(arguments, output)),
        Command::Tail(arguments) => alone(tail::run(arguments, output)),
        Command::HashPassword(arguments) => hash_password::run(&arguments, output),
        Command::Dlq(arguments) => alone(dlq::run(arguments, output)),
        Command::Replay(arguments) => alone(replay::run(arguments, output)),
        Command::Backup(arguments) => alone(backup::run(arguments, output)),
        Command::Restore(arguments) => alone(restore::run(arguments, output)),
        Command::Dumps(arguments) => alone(dumps::run(arguments, output)),
        Command::Rebuild(arguments) => alone(rebuild::run(arguments, output)),
        Command::Sql(arguments) => alone(sql::run(arguments, output)),
    }
}

/// Runs on a few worker threads: one per processor, between 2 and 4.
fn with_workers(command: impl Future<Output = Outcome>) -> Outcome {
    let processors = std::thread::available_parallelism().map_or(2, usize::from);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(processors.clamp(2, 4))
        .thread_name("millrace")
        .enable_all()
        .build()
        .map_err(|error| Exit::Software.because(StartRuntimeError(error)))?
        .block_on(command)
}

/// Runs on this thread alone.
fn alone(command: impl Future<Output = Outcome>) -> Outcome {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Exit::Software.because(StartRuntimeError(error)))?
        .block_on(command)
}
