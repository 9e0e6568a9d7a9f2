//! Mosquitto, an MQTT broker.

use std::fs;
use std::net::TcpStream;
use std::path::PathBuf;

use rustix::process::Signal;

use crate::RunServiceError;
use crate::error::file;
use crate::folder::Folder;
use crate::ports;
use crate::process::Launch;
use crate::process::Process;
use crate::program;

/// A Mosquitto that keeps its sessions.
#[derive(Debug)]
pub struct Mosquitto {
    // Dropped before the folder: it ends first.
    process: Option<Process>,
    port: u16,
    program: PathBuf,
    folder: Folder,
}

impl Mosquitto {
    /// Starts one that anyone may use, with lines added to its configuration.
    ///
    /// # Errors
    /// If it is not installed or does not start.
    pub fn start(extra: &str) -> Result<Self, RunServiceError> {
        Self::start_in(Folder::owned()?, extra)
    }

    pub(crate) fn start_in(folder: Folder, extra: &str) -> Result<Self, RunServiceError> {
        let program = program::find("mosquitto", "mosquitto")?;
        let port = ports::free(1)?.into_iter().next().unwrap_or_default();
        let path = folder.path().display();
        let config = format!(
            "user root\nlistener {port} 127.0.0.1\nallow_anonymous true\npersistence true\n\
             persistence_location {path}/\nautosave_on_changes true\nautosave_interval 1\n{extra}\n"
        );
        let config_file = folder.path().join("mosquitto.conf");
        fs::write(&config_file, config).map_err(file(&config_file))?;
        let mut mosquitto = Self { process: None, port, program, folder };
        mosquitto.restart()?;
        Ok(mosquitto)
    }

    /// Its port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its address, as in `mqtt://127.0.0.1:1883`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.port)
    }

    /// kill -9.
    pub fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            process.kill();
        }
    }

    /// Ends it gracefully.
    ///
    /// # Errors
    /// If it does not run or does not end.
    pub fn stop(&mut self) -> Result<(), RunServiceError> {
        let process = self.process.take();
        process.ok_or_else(not_running)?.stop(Signal::TERM)
    }

    /// Starts it again with its sessions, if it does not run.
    ///
    /// # Errors
    /// If it does not start.
    pub fn restart(&mut self) -> Result<(), RunServiceError> {
        if self.process.as_mut().is_some_and(Process::is_running) {
            return Ok(());
        }
        let config = self.folder.path().join("mosquitto.conf");
        let process = self.process.insert(Process::start(Launch {
            name: "mosquitto".to_owned(),
            program: &self.program,
            arguments: vec!["-c".to_owned(), config.display().to_string()],
            user: None,
            log: self.folder.path().join("log.txt"),
            owned: self.folder.is_owned(),
        })?);
        let port = self.port;
        process.until_ready(|_| TcpStream::connect(("127.0.0.1", port)).is_ok())
    }

    pub(crate) fn process_ids(&self) -> Vec<u32> {
        self.process.iter().map(Process::id).collect()
    }
}

fn not_running() -> RunServiceError {
    RunServiceError::NotRunning("mosquitto".to_owned())
}
