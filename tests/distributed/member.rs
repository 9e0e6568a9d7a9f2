//! A process of the pipeline that is killed and started again under the same name.

use std::fs::File;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use std::time::Instant;

use crate::support::cluster::Connections;
use crate::support::process::PATIENCE;
use crate::support::process::pause;

/// A process of the pipeline.
pub(crate) struct Member {
    pub(crate) name: String,
    role: &'static str,
    running: Option<Child>,
    start: u32,
    folder: PathBuf,
}

/// Numbers the outputs of all processes.
static STARTS: AtomicU32 = AtomicU32::new(0);

impl Member {
    /// One that is not started yet.
    pub(crate) fn new(role: &'static str, number: usize, folder: &Path) -> Self {
        let name = format!("{role}-{number}");
        Self { name, role, running: None, start: 0, folder: folder.to_owned() }
    }

    /// Starts it without waiting for it, unless it runs.
    pub(crate) fn start(&mut self, resource: &Path, connections: &Connections) {
        if self.running.is_some() {
            return;
        }
        self.start = STARTS.fetch_add(1, Relaxed);
        let output = File::create(self.output()).unwrap();
        let program = std::env::var_os("MILLRACE_PROGRAM");
        let program = program.unwrap_or_else(|| env!("CARGO_BIN_EXE_millrace").into());
        let mut command = Command::new(program);
        command.arg(self.role).arg(resource).arg("--connections").arg(&connections.folder);
        command.args(["--process-name", &self.name, "--http-listen", "127.0.0.1:0"]);
        if self.role == "ingest" {
            command.args(["--mqtt-listen", "127.0.0.1:0"]);
        }
        command.args(["--output", "json"]);
        command.stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output);
        self.running = Some(command.spawn().unwrap());
    }

    /// Where this run's output is.
    pub(crate) fn output(&self) -> PathBuf {
        self.folder.join(format!("{}.{}.txt", self.name, self.start))
    }

    /// kill -9.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.running.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Sends a signal, such as `STOP`.
    pub(crate) fn signal(&self, signal: &str) {
        let Some(child) = &self.running else { return };
        let id = child.id().to_string();
        assert!(
            Command::new("kill").args([&format!("-{signal}"), &id]).status().unwrap().success()
        );
    }

    /// SIGTERM; waits for the end, which must be a good one.
    pub(crate) fn stop(&mut self) {
        self.signal("TERM");
        let Some(mut child) = self.running.take() else { return };
        let begun = Instant::now();
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                // Before it says that it has begun, the signal just ends it.
                let early = http_address(&self.output()).is_none();
                assert!(
                    status.success() || early,
                    "{}: {status}, {}",
                    self.name,
                    self.output().display()
                );
                return;
            }
            if begun.elapsed() > PATIENCE {
                let _ = child.kill();
                panic!("{} does not end: {}", self.name, self.output().display());
            }
            pause(Duration::from_millis(20));
        }
    }

    /// How it ended, if it did so by itself.
    pub(crate) fn ended(&mut self) -> Option<String> {
        let status = self.running.as_mut()?.try_wait().unwrap()?;
        self.running = None;
        Some(format!("{}: {status}, {}", self.name, self.output().display()))
    }

    /// Its resident memory in MiB; none while it does not run.
    pub(crate) fn resident_mib(&self) -> Option<u64> {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.running.as_ref()?.id()))
                .ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
        Some(kib / 1024)
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The address of the HTTP port that a process has told in its output.
pub(crate) fn http_address(output: &Path) -> Option<String> {
    let output = std::fs::read_to_string(output).ok()?;
    let (_, rest) = output.split_once(r#""url":"http://"#)?;
    let (address, _) = rest.split_once('"')?;
    Some(address.to_owned())
}
