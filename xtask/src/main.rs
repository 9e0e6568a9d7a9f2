//! Commands for developers, run as `cargo xtask`.

mod bench;
mod command;
mod e2e;
mod generate;
mod image;
mod reference;
mod services;
mod test;
mod workspace;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser;

/// Commands for developers.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask")]
enum Xtask {
    /// Run every test: of the crates, of the examples, of the dashboard, and end to end.
    Test(test::TestArguments),
    /// Start, end and show the servers that tests share: Kafka, Postgres, Mosquitto.
    Services(services::ServicesArguments),
    /// Measure, and print the figures as a table and as JSON.
    Bench(bench::BenchArguments),
    /// Test the operator and the examples on the cluster of a kubeconfig.
    E2e(e2e::EndToEndArguments),
    /// Make the image of both programs, without a container engine.
    Image(image::ImageArguments),
    /// Write generated files, or check that they are current.
    Generate(generate::GenerateArguments),
}

fn main() -> ExitCode {
    let result = match Xtask::parse() {
        Xtask::Test(arguments) => test::run(&arguments),
        Xtask::Services(arguments) => services::run(&arguments),
        Xtask::Bench(arguments) => bench::run(&arguments),
        Xtask::E2e(arguments) => e2e::run(&arguments),
        Xtask::Image(arguments) => image::run(&arguments),
        Xtask::Generate(arguments) => generate::run(&arguments),
    };
    let Err(error) = result else { return ExitCode::SUCCESS };
    let mut text = format!("error: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!("\n  because: {error}"));
        cause = error.source();
    }
    let _ = writeln!(std::io::stderr(), "{text}");
    ExitCode::FAILURE
}
