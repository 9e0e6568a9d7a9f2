//! The real program as a process, and what it needs when nothing happens.

use std::error::Error;
use std::io::BufRead as _;
use std::io::BufReader;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use serde_json::json;
use tempfile::TempDir;

use crate::bench::report::Figure;
use crate::workspace;

/// How long the process is left alone before its memory is read.
const SETTLE: Duration = Duration::from_secs(15);

/// A running pipeline. Dropping it kills it.
pub(super) struct Running {
    child: Child,
    /// What the program said when it was ready.
    pub(super) ready: Value,
    _data: TempDir,
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the program ended before it was ready")]
struct NotReady;

impl Running {
    /// Runs the race's pipeline on free ports with an empty data folder.
    pub(super) fn start() -> Result<Self, Box<dyn Error>> {
        let data = tempfile::tempdir()?;
        let mut child = Command::new(workspace::program(true))
            .args(["run", "examples/race.yaml", "--output", "json"])
            .args(["--http-listen", "127.0.0.1:0", "--mqtt-listen", "127.0.0.1:0"])
            .arg("--data")
            .arg(data.path())
            .current_dir(workspace::root())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        if let Some(output) = child.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        let ready = serde_json::from_str(&line).map_err(|_| NotReady)?;
        Ok(Self { child, ready, _data: data })
    }

    /// A figure of `/proc/<pid>/status` in KiB, such as `VmRSS`.
    pub(super) fn memory_kib(&self, name: &str) -> Result<u64, Box<dyn Error>> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        Ok(line.unwrap_or_default().trim().trim_end_matches(" kB").parse()?)
    }
}

/// Resident memory of a pipeline to which nothing is sent.
pub(super) fn idle_memory() -> Result<Figure, Box<dyn Error>> {
    let running = Running::start()?;
    std::thread::sleep(SETTLE);
    let (resident, peak) = (running.memory_kib("VmRSS")?, running.memory_kib("VmHWM")?);
    // Memory in KiB is far below 2^53.
    #[expect(clippy::cast_precision_loss)]
    let mebibytes = |kibibytes: u64| kibibytes as f64 / 1024.0;
    Ok(Figure {
        what: "idle `millrace run`, resident".to_owned(),
        value: format!("{:.1} MiB", mebibytes(resident)),
        target: "< 40 MiB".to_owned(),
        method: format!("VmRSS of the release program {} s after its start", SETTLE.as_secs()),
        details: json!({"residentKib": resident, "peakKib": peak}),
    })
}
