//! Servers that several test processes share.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers fail as tests do"
)]

use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use millrace_services::Service;
use millrace_services::Status;

/// Makes this test program another process that does one thing: it stands for other tests.
const ROLE: &str = "MILLRACE_SERVICES_TESTS_ROLE";

#[test]
fn one_of_several_processes_starts_a_server_and_it_stays_for_all_until_it_is_ended() {
    if let Ok(role) = std::env::var(ROLE) {
        return play(&role);
    }
    let target = tempfile::tempdir().unwrap();
    let first = start(target.path(), "mosquitto", None);
    let second = start(target.path(), "mosquitto", None);
    let (first, second) = (told(first), told(second));
    assert!(first.starts_with("mqtt://127.0.0.1:"), "{first}");
    assert_eq!(first, second);
    let running = told(start(target.path(), "status", None));
    let (address, process) = running.split_once(' ').unwrap();
    assert_eq!(address, first);
    assert!(runs(process));

    // Who finds a server dead starts another.
    assert!(Command::new("kill").args(["-9", process]).status().unwrap().success());
    until("the server has ended", || !runs(process));
    assert_eq!(told(start(target.path(), "status", None)), "down");
    let third = told(start(target.path(), "mosquitto", None));
    assert_ne!(third, first);
    let running = told(start(target.path(), "status", None));
    let (address, process) = running.split_once(' ').unwrap();
    assert_eq!(address, third);

    told(start(target.path(), "down", None));
    assert!(!runs(process));
    assert_eq!(told(start(target.path(), "status", None)), "down");
    assert!(!target.path().join("services/state.json").exists());
}

#[test]
fn a_server_ends_when_the_file_that_names_it_is_gone() {
    let target = tempfile::tempdir().unwrap();
    told(start(target.path(), "mosquitto", None));
    let running = told(start(target.path(), "status", None));
    let (_, process) = running.split_once(' ').unwrap();
    std::fs::remove_file(target.path().join("services/state.json")).unwrap();
    until("the watchdog has ended it", || !runs(process));
}

#[test]
fn an_address_in_the_environment_comes_first() {
    let target = tempfile::tempdir().unwrap();
    let given = Some("mqtt://broker.example:1883");
    assert_eq!(told(start(target.path(), "mosquitto", given)), "mqtt://broker.example:1883");
    assert_eq!(told(start(target.path(), "status", given)), "given");
    assert!(!target.path().join("services").exists());
}

/// Another process with this role; its state file is in a folder of its own.
fn start(target: &Path, role: &str, given: Option<&str>) -> Child {
    let test = "one_of_several_processes_starts_a_server_and_it_stays_for_all_until_it_is_ended";
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(ROLE, role)
        .env("CARGO_TARGET_DIR", target)
        .env(Service::Mosquitto.variable(), given.unwrap_or_default())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn play(role: &str) {
    let said = match role {
        "mosquitto" => millrace_services::mosquitto().unwrap(),
        "status" => match millrace_services::status(Service::Mosquitto).unwrap() {
            Status::Given(_) => "given".to_owned(),
            Status::Running { address, processes } => format!("{address} {}", processes[0]),
            Status::Down => "down".to_owned(),
        },
        _ => {
            millrace_services::down().unwrap();
            "done".to_owned()
        }
    };
    println!("\nsaid: {said}");
}

/// What a process said; the rest of its output is the test harness'.
fn told(process: Child) -> String {
    let output = process.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let output = String::from_utf8(output.stdout).unwrap();
    let said = output.lines().find_map(|line| line.strip_prefix("said: "));
    said.unwrap_or_else(|| panic!("nothing said: {output}")).to_owned()
}

/// Whether a process runs that has not ended.
fn runs(id: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, fields)| !fields.starts_with('Z'))
}

fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < Duration::from_mins(1), "in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
