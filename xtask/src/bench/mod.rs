//! `cargo xtask bench`: the figures that the project measures itself by.
//!
//! Nothing is asserted here: figures depend on the machine, which is named beside them.

#![expect(clippy::cast_precision_loss, reason = "what is counted here is far below 2^52")]

mod examples;
mod kafka;
mod machine;
mod process;
mod race;
mod replay;
mod report;
mod usage;

use std::io::Write as _;

use clap::Args;

use crate::bench::kafka::Extent;
use crate::bench::machine::Machine;
use crate::bench::report::Figure;
use crate::command;
use crate::command::Outcome;
use crate::workspace;

#[derive(Debug, Args)]
pub(crate) struct BenchArguments {
    /// Only figures whose names contain this: log, operators, window, log-to-log, http-batches,
    /// http-single, mqtt, mqtt-map, replay, race, idle, and over Kafka and Postgres kafka-idle,
    /// kafka-http, kafka-postgres, kafka-window, kafka-race, kafka-restore.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,

    /// How often everything but the race and the idle process is measured; the middle counts.
    #[arg(long, value_name = "N", default_value_t = 3)]
    repetitions: usize,

    /// Seconds of the race of which latencies are taken.
    #[arg(long, value_name = "N", default_value_t = 120)]
    race_seconds: u64,

    /// Measure the programs that are built already.
    #[arg(long)]
    no_build: bool,
}

/// Runs the command.
pub(crate) fn run(arguments: &BenchArguments) -> Outcome {
    let is_wanted =
        |name: &str| arguments.only.as_ref().is_none_or(|only| name.contains(only.as_str()));
    if !arguments.no_build {
        build()?;
    }
    let mut figures = Vec::new();
    for example in examples::ALL.iter().filter(|example| is_wanted(example.name)) {
        say(&format!("== {}", example.name));
        figures.extend(example.measure(arguments.repetitions)?);
    }
    if is_wanted("replay") {
        say("== replay");
        figures.push(replay::measure(arguments.repetitions)?);
    }
    if is_wanted("race") {
        say("== race");
        figures.extend(race::measure(arguments.race_seconds)?);
    }
    if is_wanted("idle") {
        say("== idle");
        figures.push(process::idle_memory()?);
    }
    let extent =
        Extent { repetitions: arguments.repetitions, race_seconds: arguments.race_seconds };
    for target in kafka::ALL.iter().filter(|target| is_wanted(target.name)) {
        say(&format!("== {}", target.name));
        figures.extend(target.measure(&extent)?);
    }
    print(&figures)
}

/// Builds the program and the examples at once: built one after the other, they would want
/// different features of the same dependencies.
fn build() -> Outcome {
    let mut arguments = vec!["build", "--release", "--bins", "--examples"];
    for package in std::iter::once("millrace").chain(examples::ALL.iter().map(|e| e.package)) {
        arguments.extend(["--package", package]);
    }
    Ok(command::run(&workspace::root(), "cargo", &arguments)?)
}

fn print(figures: &[Figure]) -> Outcome {
    let machine = Machine::here();
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", machine.describe())?;
    for line in report::table(figures) {
        writeln!(out, "{line}")?;
    }
    writeln!(out)?;
    for line in report::processes(figures) {
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
