//! `millrace-operator`: the controller of `TelemetryPipeline`s.

use std::process::ExitCode;

use clap::Parser as _;
use millrace_core::with_causes;
use millrace_operator::cli::Arguments;
use millrace_operator::logging;
use millrace_operator::run;
use tracing::error;

/// Exit code of wrong use, as sysexits has it.
const USAGE: u8 = 64;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Err(error) = logging::start(&arguments.logging) {
        #[allow(clippy::print_stderr, reason = "there is no log yet")]
        {
            eprintln!("{}", with_causes(&error));
        }
        return ExitCode::from(USAGE);
    }
    match run::run(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!(message = "The operator ended.", error = with_causes(&error));
            ExitCode::FAILURE
        }
    }
}
