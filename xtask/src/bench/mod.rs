//! `cargo xtask bench`: the figures that the project measures itself by.
//!
//! Nothing is asserted here: figures depend on the machine, which is named beside them.

mod examples;
mod machine;
mod process;
mod race;
mod report;

use std::io::Write as _;

use clap::Args;

use crate::bench::machine::Machine;
use crate::bench::report::Figure;
use crate::command;
use crate::command::Outcome;
use crate::workspace;

#[derive(Debug, Args)]
pub(crate) struct BenchArguments {
    /// Only figures whose names contain this.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,

    /// Seconds of the race of which latencies are taken.
    #[arg(long, value_name = "N", default_value_t = 30)]
    race_seconds: u64,
}

/// Runs the command.
pub(crate) fn run(arguments: &BenchArguments) -> Outcome {
    let root = workspace::root();
    command::run(&root, "cargo", &["build", "--release", "--package", "millrace"])?;
    let is_wanted =
        |name: &str| arguments.only.as_ref().is_none_or(|only| name.contains(only.as_str()));
    let mut figures = Vec::new();
    for example in examples::ALL {
        if is_wanted(example.name) {
            say(&format!("== {}", example.name));
            figures.extend(example.measure()?);
        }
    }
    if is_wanted("race") {
        say("== race");
        figures.push(race::measure(arguments.race_seconds)?);
    }
    if is_wanted("idle") {
        say("== idle");
        figures.push(process::idle_memory()?);
    }
    print(&figures)
}

fn print(figures: &[Figure]) -> Outcome {
    let machine = Machine::here();
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", machine.describe())?;
    for line in report::table(figures) {
        writeln!(out, "{line}")?;
    }
    let report = serde_json::json!({"machine": machine, "figures": figures});
    writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?;
    Ok(())
}

fn say(text: &str) {
    // What cannot be told is not told.
    let _ = writeln!(std::io::stderr(), "{text}");
}
