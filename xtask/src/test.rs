//! `cargo xtask test`: every test there is.

use std::error::Error;
use std::io::Write as _;
use std::time::Instant;

use clap::Args;

use crate::command;
use crate::command::Outcome;
use crate::services;
use crate::workspace;

/// Programs that tests use, and the Debian package that has each.
const TOOLS: [(&str, &str); 11] = [
    ("mosquitto", "mosquitto"),
    ("mosquitto_pub", "mosquitto-clients"),
    ("mosquitto_sub", "mosquitto-clients"),
    ("java", "default-jre-headless"),
    ("mvn", "maven"),
    ("psql", "postgresql"),
    ("node", "nodejs"),
    ("npm", "npm"),
    ("chromium", "chromium"),
    ("python3", "python3-venv"),
    ("curl", "curl"),
];

#[derive(Debug, Args)]
pub(crate) struct TestArguments {
    /// Only tests of the crates and of the examples, not those of the dashboard.
    #[arg(long)]
    no_dashboard: bool,
}

#[derive(Debug, thiserror::Error)]
#[error("tests need programs that are not here: {programs}. On Debian: apt-get install {packages}")]
struct MissingTools {
    programs: String,
    packages: String,
}

/// Runs the command.
pub(crate) fn run(arguments: &TestArguments) -> Outcome {
    check_tools()?;
    let ours = !services::any_runs()?;
    step("Starting servers", services::up)?;
    let outcome = test(arguments);
    if ours {
        step("Ending servers", millrace_services::down)?;
    }
    outcome
}

fn test(arguments: &TestArguments) -> Outcome {
    let root = workspace::root();
    // End-to-end tests start the program itself, so it is built first.
    step("Building", command::build)?;
    let dashboard = root.join("workloads/dashboard");
    if arguments.no_dashboard {
        // The test of the page in the program needs the dashboard's packages.
        let crates = ["test", "--workspace", "--no-fail-fast", "--", "--skip", "the_page_"];
        step("Testing the crates", || command::run(&root, "cargo", &crates))?;
    } else {
        step("Installing the dashboard's packages", || {
            command::run(&dashboard, "npm", &["ci", "--no-audit", "--no-fund"])
        })?;
        step("Testing the crates", || {
            // Who mends one failure wants to know of the others.
            command::run(&root, "cargo", &["test", "--workspace", "--no-fail-fast"])
        })?;
    }
    step("Testing the examples from outside, over Kafka and Postgres", || {
        // As part of the workspace: alone the package would be built with other features again.
        let tests = ["cargo", "test", "--workspace", "--test", "examples"];
        command::run(&root, "env", &[&["MILLRACE_TEST_SERVICES=1"], &tests[..]].concat())
    })?;
    let program = workspace::program(false).display().to_string();
    step("Testing the examples by their cases", || {
        let examples = ["race", "timestamps", "hoverboards", "multivac", "cpu"];
        let files = examples.map(|name| format!("examples/{name}.test.yaml"));
        let mut arguments = vec!["test"];
        arguments.extend(files.iter().map(String::as_str));
        command::run(&root, &program, &arguments)
    })?;
    if !arguments.no_dashboard {
        step("Testing the dashboard", || {
            command::run(&dashboard, "npm", &["run", "check"])?;
            command::run(&dashboard, "npm", &["test"])?;
            command::run(&dashboard, "npm", &["run", "build"])?;
            command::run(&dashboard, "npm", &["run", "behaviour"])
        })?;
    }
    say("Every test has passed.");
    Ok(())
}

fn check_tools() -> Outcome {
    let missing: Vec<_> = TOOLS.iter().filter(|(program, _)| !command::exists(program)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let programs: Vec<_> = missing.iter().map(|(program, _)| *program).collect();
    let mut packages: Vec<_> = missing.iter().map(|(_, package)| *package).collect();
    packages.dedup();
    Err(MissingTools { programs: programs.join(", "), packages: packages.join(" ") }.into())
}

fn step<E: Error + 'static>(title: &str, work: impl FnOnce() -> Result<(), E>) -> Outcome {
    say(&format!("== {title}"));
    let begin = Instant::now();
    work()?;
    say(&format!("== {title}: {:.0} s", begin.elapsed().as_secs_f64()));
    Ok(())
}

fn say(text: &str) {
    // What cannot be told is not told.
    let _ = writeln!(std::io::stderr(), "{text}");
}
