//! Logging: to standard error, quiet by default.

use std::io::IsTerminal as _;

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

use crate::exit::Exit;
use crate::exit::Outcome;

/// What is logged where `--log` and `RUST_LOG` say nothing. Libraries are heard when they warn;
/// the MQTT endpoint's library warns of every client that leaves without a word, so it is heard
/// when it fails.
const DEFAULT_FILTER: &str = "warn,millrace=info,rmqtt=error,rmqtt_net=error,rmqtt_codec=error";

/// Options of logging.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Logging")]
pub(crate) struct LoggingArguments {
    /// What to log: a level (error, warn, info, debug, trace), or levels by module.
    ///
    /// Without it `RUST_LOG` counts, and without that `info` for Millrace.
    #[arg(long = "log", global = true, value_name = "FILTER")]
    filter: Option<String>,

    /// Form of the log.
    #[arg(long = "log-format", global = true, value_name = "FORMAT", default_value = "human")]
    format: LogFormat,
}

/// Form of the log.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum LogFormat {
    /// A line for people.
    Human,
    /// A JSON object a line.
    Json,
}

#[derive(Debug, thiserror::Error)]
#[error(
    "`{filter}` is not a log filter: write a level such as `debug`, or levels by module such as `warn,millrace_engine=debug`"
)]
struct LogFilterError {
    filter: String,
    source: ParseError,
}

/// Starts logging.
pub(crate) fn start(arguments: &LoggingArguments) -> Outcome {
    let environment = std::env::var("RUST_LOG").ok().filter(|filter| !filter.is_empty());
    let filter = arguments.filter.clone().or(environment);
    let filter = filter.unwrap_or_else(|| DEFAULT_FILTER.to_owned());
    let parsed = EnvFilter::try_new(&filter)
        .map_err(|source| Exit::Usage.because(LogFilterError { filter, source }))?;
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(parsed)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    match arguments.format {
        LogFormat::Human => subscriber.compact().init(),
        LogFormat::Json => subscriber.json().with_target(true).init(),
    }
    Ok(())
}
