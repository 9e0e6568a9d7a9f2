//! Logging: to standard error.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

use crate::cli::LogFormat;
use crate::cli::LoggingArguments;

/// The filter cannot be understood.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{filter}` is not a log filter: write a level such as `debug`, or levels by module such as `warn,millrace_operator=debug`"
)]
pub struct LogFilterError {
    filter: String,
    source: ParseError,
}

/// Starts logging.
///
/// # Errors
/// The filter cannot be understood.
pub fn start(arguments: &LoggingArguments) -> Result<(), LogFilterError> {
    let filter = EnvFilter::try_new(&arguments.filter)
        .map_err(|source| LogFilterError { filter: arguments.filter.clone(), source })?;
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    match arguments.format {
        LogFormat::Human => subscriber.compact().init(),
        LogFormat::Json => subscriber.json().with_target(true).init(),
    }
    Ok(())
}
