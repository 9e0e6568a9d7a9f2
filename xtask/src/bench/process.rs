//! The real program as a process: what it uses, and what it needs when nothing happens.

use std::error::Error;
use std::io::BufRead as _;
use std::io::BufReader;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::bench::report::Figure;
use crate::bench::report::Measurement;
use crate::bench::usage;
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
        Ok(usage::field(&status, name).ok_or("the process has ended")?)
    }

    /// CPU time that the process has used so far, by the kernel's ticks of 10 ms.
    pub(super) fn cpu_seconds(&self) -> Result<f64, Box<dyn Error>> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        Ok(own_ticks(&stat) / 100.0)
    }
}

/// Ticks in user and kernel mode of a process, from its `/proc/<pid>/stat`.
pub(super) fn own_ticks(stat: &str) -> f64 {
    // Fields 14 and 15 of proc(5); the first two are before the last `)`.
    ticks(stat, 11) + ticks(stat, 12)
}

pub(super) fn ticks(stat: &str, field_after_name: usize) -> f64 {
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let field = after_name.split_whitespace().nth(field_after_name);
    field.and_then(|ticks| ticks.parse().ok()).unwrap_or_default()
}

/// CPU seconds of the children of this process that have ended.
pub(super) fn children_cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    (ticks(&stat, 13) + ticks(&stat, 14)) / 100.0
}

/// Memory of a pipeline to which nothing is sent.
pub(super) fn idle_memory() -> Result<Figure, Box<dyn Error>> {
    let running = Running::start()?;
    std::thread::sleep(SETTLE);
    Ok(Figure {
        target: "< 40 MiB",
        method: format!("VmRSS of the release program {} s after its start", SETTLE.as_secs()),
        measurement: Measurement {
            what: "`millrace run examples/race.yaml`, idle".to_owned(),
            resident_kib: Some(running.memory_kib("VmRSS")?),
            peak_kib: Some(running.memory_kib("VmHWM")?),
            ..Measurement::default()
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_found_behind_any_name() {
        let stat = "77 (a) b) S 1 2 3 4 5 6 7 8 9 10 30 12 5 6 20";
        assert_eq!((own_ticks(stat), ticks(stat, 13)), (42.0, 5.0));
    }
}
