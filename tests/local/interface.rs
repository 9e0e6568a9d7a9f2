//! The description of each example's HTTP interface holds: Schemathesis makes requests of it, right
//! and wrong ones, and compares what is answered.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers fail as tests do")]

#[path = "../support/mod.rs"]
mod support;

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use support::http::curl;
use support::process::Pipeline;
use support::secrets::ALICE;
use support::secrets::write_multivac_users;

/// The version whose findings the examples are free of.
const SCHEMATHESIS: &str = "schemathesis==4.32.5";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Installs the program once, beside the build.
fn schemathesis() -> PathBuf {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM
        .get_or_init(|| {
            let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("schemathesis");
            let program = folder.join("bin/schemathesis");
            if !program.exists() {
                run(Command::new("python3").args(["-m", "venv"]).arg(&folder));
                let pip = folder.join("bin/pip");
                run(Command::new(pip).args(["install", "--quiet", SCHEMATHESIS]));
            }
            program
        })
        .clone()
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| {
        panic!("cannot run {command:?} (on Debian: apt-get install python3-venv): {error}")
    });
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{command:?}\n{text}");
    text
}

fn example(name: &str) -> PathBuf {
    root().join("examples").join(format!("{name}.yaml"))
}

/// Has requests made of a running example by what it says of its interface.
fn examine(name: &str) {
    let folder = tempfile::tempdir().unwrap();
    let mut pipeline = Pipeline::start(&example(name), folder.path(), &[]);
    let url = format!("http://{}/openapi.json", pipeline.http());
    ask(folder.path(), &url, &[]);
}

/// Has requests made by the description at an address.
fn ask(folder: &Path, url: &str, arguments: &[&str]) {
    let told = run(Command::new(schemathesis())
        .arg("--config-file")
        .arg(root().join("tests/local/schemathesis.toml"))
        .args(["run", url, "--seed", "1", "--max-examples", "15", "--request-timeout", "20"])
        // Streams of events do not end.
        .args(["--exclude-tag", "live", "--no-color"])
        .args(arguments)
        .env("PYTHONUTF8", "1")
        .current_dir(folder));
    assert!(told.contains("Test cases:"), "{told}");
}

#[test]
fn the_race_answers_as_it_says() {
    examine("race");
}

#[test]
fn the_timestamps_answer_as_they_say() {
    examine("timestamps");
}

#[test]
fn the_hoverboards_answer_as_they_say() {
    examine("hoverboards");
}

#[test]
fn the_reports_answer_as_they_say() {
    examine("cpu");
}

#[test]
fn multivac_answers_as_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let secrets = folder.path().join("secrets");
    write_multivac_users(&secrets);
    let secrets = secrets.display().to_string();
    let mut pipeline =
        Pipeline::spawn(&example("multivac"), folder.path(), &["--secrets", &secrets]);
    let host = pipeline.https();
    let ready = format!("https://{host}/readyz");
    pipeline.until("it is ready", |_| curl(&["--insecure", &ready]).status == 200);
    let url = format!("https://{host}/openapi.json");
    // The certificate is signed by itself.
    ask(folder.path(), &url, &["--tls-verify", "false", "--auth", ALICE]);
}
