//! `cargo xtask services`: the servers that tests share.

use std::io::Write as _;
use std::time::Instant;

use clap::Args;
use clap::Subcommand;
use millrace_services::RunServiceError;
use millrace_services::Service;
use millrace_services::Status;

use crate::command::Outcome;

const EXAMPLES: &str = "\
Examples:
  cargo xtask services up              start what does not run, and print the addresses
  cargo test -p millrace-log           its tests use them (and would have started them)
  cargo xtask services status
  cargo xtask services down            end them and remove their data

  MILLRACE_KAFKA=broker:9092 cargo xtask test
                                       use another Kafka (likewise MILLRACE_POSTGRES with a
                                       postgres:// address, MILLRACE_MOSQUITTO with an mqtt:// one)

Kafka's jars come from Maven Central and are kept in the user's cache. Servers that nobody asks
for during an hour end by themselves.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ServicesArguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum Action {
    /// Start Kafka, Postgres and Mosquitto, those that do not run yet.
    Up,
    /// End them and remove their data.
    Down,
    /// Say which run, and where.
    Status,
}

/// Runs the command.
pub(crate) fn run(arguments: &ServicesArguments) -> Outcome {
    match arguments.action {
        Action::Up => {
            up()?;
            print_status()?;
        }
        Action::Down => {
            millrace_services::down()?;
            say("No servers run.");
        }
        Action::Status => print_status()?,
    }
    Ok(())
}

/// Starts the servers that do not run, and says so meanwhile.
pub(crate) fn up() -> Result<(), RunServiceError> {
    say("Fetching what is not here yet (the first time takes some minutes)");
    millrace_services::fetch()?;
    for service in Service::ALL {
        let begin = Instant::now();
        let address = service.address()?;
        let seconds = begin.elapsed().as_secs_f64();
        say(&format!("{} is at {address} ({seconds:.1} s)", service.name()));
    }
    Ok(())
}

/// Whether any of them runs here.
pub(crate) fn any_runs() -> Result<bool, RunServiceError> {
    for service in Service::ALL {
        if matches!(millrace_services::status(service)?, Status::Running { .. }) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn print_status() -> Result<(), RunServiceError> {
    for service in Service::ALL {
        let text = match millrace_services::status(service)? {
            Status::Given(address) => format!("{address} (given by {})", service.variable()),
            Status::Running { address, processes } => {
                let processes: Vec<_> = processes.iter().map(u32::to_string).collect();
                format!("{address} (process {})", processes.join(", "))
            }
            Status::Down => "down".to_owned(),
        };
        // What cannot be told is not told.
        let _ = writeln!(std::io::stdout(), "{:<10} {text}", service.name());
    }
    Ok(())
}

fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
