//! The file that says which shared servers run and where.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

use serde::Deserialize;
use serde::Serialize;

use super::Service;
use crate::RunServiceError;
use crate::error::file;
use crate::process;

/// What the file holds.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct State {
    /// The folder of all shared servers.
    folder: PathBuf,
    /// The process id of the watchdog.
    watchdog: Option<u32>,
    servers: BTreeMap<String, Running>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Running {
    address: String,
    processes: Vec<u32>,
}

impl State {
    /// No server yet.
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder, watchdog: None, servers: BTreeMap::new() }
    }

    pub(super) fn watched_by(self, watchdog: u32) -> Self {
        Self { watchdog: Some(watchdog), ..self }
    }

    pub(super) fn path(state_folder: &Path) -> PathBuf {
        state_folder.join("state.json")
    }

    /// What the file says, if there is one.
    pub(super) fn read(state_folder: &Path) -> Result<Option<Self>, RunServiceError> {
        let path = Self::path(state_folder);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(file(&path)(error)),
        };
        let state = serde_json::from_slice(&text);
        state.map(Some).map_err(|source| RunServiceError::State { path, source })
    }

    pub(super) fn write(&self, state_folder: &Path) -> Result<(), RunServiceError> {
        let path = Self::path(state_folder);
        // Whole or not at all: others read it without the lock.
        let new = path.with_extension("new");
        let text = serde_json::to_vec_pretty(self)
            .map_err(|source| RunServiceError::State { path: path.clone(), source })?;
        fs::write(&new, text).map_err(file(&new))?;
        fs::rename(&new, &path).map_err(file(&path))
    }

    pub(super) fn remove(state_folder: &Path) -> Result<(), RunServiceError> {
        let path = Self::path(state_folder);
        fs::remove_file(&path).map_err(file(&path))
    }

    /// The folder of all shared servers.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether the watchdog lives, without which nothing would end the servers.
    pub(super) fn is_watched(&self) -> bool {
        self.watchdog.is_some_and(|id| process::is_server_in(id, &self.folder))
    }

    /// The address of a server that runs.
    pub(super) fn address(&self, service: Service) -> Option<String> {
        self.running(service).map(|(address, _)| address)
    }

    /// The address and the processes of a server, all of which run.
    pub(super) fn running(&self, service: Service) -> Option<(String, Vec<u32>)> {
        let Running { address, processes } = self.servers.get(service.name())?.clone();
        let folder = self.folder.join(service.name());
        let runs = processes.iter().all(|id| process::is_server_in(*id, &folder));
        (runs && !processes.is_empty()).then_some((address, processes))
    }

    pub(super) fn add(&mut self, service: Service, address: String, processes: Vec<u32>) {
        self.servers.insert(service.name().to_owned(), Running { address, processes });
    }
}
