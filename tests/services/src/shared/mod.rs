//! Servers that all tests share: found, or started and left running for those that come after.

mod state;

use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::time::Duration;

use self::state::State;
use crate::Kafka;
use crate::KafkaOptions;
use crate::Mosquitto;
use crate::Postgres;
use crate::PostgresOptions;
use crate::RunServiceError;
use crate::error::file;
use crate::folder;
use crate::folder::Folder;
use crate::postgres::run_sql;
use crate::program;

/// For how long nobody asks before the servers end by themselves.
const IDLE: Duration = Duration::from_hours(1);
const WATCHDOG: &str = include_str!("watchdog.sh");

/// A server that tests share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// Kafka, of one node.
    Kafka,
    /// Postgres.
    Postgres,
    /// Mosquitto, for anyone.
    Mosquitto,
}

impl Service {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Kafka, Self::Postgres, Self::Mosquitto];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Kafka => "kafka",
            Self::Postgres => "postgres",
            Self::Mosquitto => "mosquitto",
        }
    }

    /// The environment variable that gives the address of another server instead.
    #[must_use]
    pub fn variable(self) -> &'static str {
        match self {
            Self::Kafka => "MILLRACE_KAFKA",
            Self::Postgres => "MILLRACE_POSTGRES",
            Self::Mosquitto => "MILLRACE_MOSQUITTO",
        }
    }

    /// Its address, with a start if it does not run.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn address(self) -> Result<String, RunServiceError> {
        if let Some(address) = self.given() {
            return Ok(address);
        }
        let folder = state_folder();
        std::fs::create_dir_all(&folder).map_err(file(&folder))?;
        let _lock = lock(&folder)?;
        let mut state = State::read(&folder)?;
        if state.as_ref().is_some_and(|state| !state.is_watched()) {
            // Its servers may live on without a watchdog: none of them is used any more.
            if let Some(state) = state.take() {
                folder::remove(state.folder());
            }
        }
        let mut state = match state {
            Some(state) => state,
            None => begin(&folder)?,
        };
        let address = if let Some(address) = state.address(self) {
            address
        } else {
            let (address, processes) = self.start(state.folder())?;
            state.add(self, address.clone(), processes);
            address
        };
        // This also tells the watchdog that the servers are used.
        state.write(&folder)?;
        Ok(address)
    }

    fn given(self) -> Option<String> {
        std::env::var(self.variable()).ok().filter(|address| !address.is_empty())
    }

    fn start(self, all: &Path) -> Result<(String, Vec<u32>), RunServiceError> {
        let folder = Folder::shared(all, self.name())?;
        Ok(match self {
            Self::Kafka => {
                let kafka = Kafka::start_in(folder, KafkaOptions::default())?;
                (kafka.bootstrap_servers(), kafka.process_ids())
            }
            Self::Postgres => {
                let postgres = Postgres::start_in(folder, &PostgresOptions::default())?;
                (postgres.url(), postgres.process_id().into_iter().collect())
            }
            Self::Mosquitto => {
                let mosquitto = Mosquitto::start_in(folder, "")?;
                (mosquitto.url(), mosquitto.process_ids())
            }
        })
    }
}

/// The bootstrap servers of the shared Kafka, of `MILLRACE_KAFKA` or started here. Tests share it: each
/// uses topics and groups with a prefix of its own.
///
/// # Errors
/// If it cannot be started.
pub fn kafka() -> Result<String, RunServiceError> {
    Service::Kafka.address()
}

/// The address of the shared Postgres' database, of `MILLRACE_POSTGRES` or started here. The user may make
/// databases and roles: see [`new_database`].
///
/// # Errors
/// If it cannot be started.
pub fn postgres() -> Result<String, RunServiceError> {
    Service::Postgres.address()
}

/// The address of the shared Mosquitto, of `MILLRACE_MOSQUITTO` or started here.
///
/// # Errors
/// If it cannot be started.
pub fn mosquitto() -> Result<String, RunServiceError> {
    Service::Mosquitto.address()
}

/// The address of a new empty database in the shared Postgres.
///
/// # Errors
/// If the server cannot be started or makes no database.
pub fn new_database() -> Result<String, RunServiceError> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let url = postgres()?;
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    // Random, since an earlier process with the same id may have used the same server.
    let name = format!("test_{:08x}_{count}", rand::random::<u32>());
    run_sql(&url, &format!("CREATE DATABASE {name}"))?;
    let (address, parameters) = url.split_once('?').map_or((&*url, None), |(a, p)| (a, Some(p)));
    let server = address.rsplit_once('/').map_or(address, |(server, _)| server);
    let parameters = parameters.map(|parameters| format!("?{parameters}")).unwrap_or_default();
    Ok(format!("{server}/{name}{parameters}"))
}

/// Fetches what has to be fetched from the network before servers can start.
///
/// # Errors
/// If Maven is not installed or fails.
pub fn fetch() -> Result<(), RunServiceError> {
    if Service::Kafka.given().is_some() {
        return Ok(());
    }
    crate::kafka::fetch().map(drop)
}

/// Where a shared server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// At the address that the environment variable gives.
    Given(String),
    /// Running here.
    Running {
        /// Its address.
        address: String,
        /// Its processes.
        processes: Vec<u32>,
    },
    /// Not running.
    Down,
}

/// Where a shared server is; starts nothing.
///
/// # Errors
/// If the state file is damaged.
pub fn status(service: Service) -> Result<Status, RunServiceError> {
    if let Some(address) = service.given() {
        return Ok(Status::Given(address));
    }
    let running = State::read(&state_folder())?.and_then(|state| state.running(service));
    Ok(running.map_or(Status::Down, |(address, processes)| Status::Running { address, processes }))
}

/// Ends the shared servers and removes their data. Servers given by environment variables are left alone.
///
/// # Errors
/// If the state file is damaged or cannot be removed.
pub fn down() -> Result<(), RunServiceError> {
    let folder = state_folder();
    if !folder.exists() {
        return Ok(());
    }
    let _lock = lock(&folder)?;
    if let Some(state) = State::read(&folder)? {
        folder::remove(state.folder());
        State::remove(&folder)?;
    }
    Ok(())
}

/// Makes a folder for servers and starts their watchdog.
fn begin(state_folder: &Path) -> Result<State, RunServiceError> {
    let shell = program::find("sh", "dash")?;
    let folder = folder::make()?;
    let state = State::new(folder.path().to_owned());
    // The watchdog ends when it does not find it.
    state.write(state_folder)?;
    let watchdog = Command::new(shell)
        .args(["-c", WATCHDOG, "watchdog"])
        .arg(State::path(state_folder))
        .arg(folder.path())
        .arg(IDLE.as_secs().to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .map_err(|source| RunServiceError::Run { program: "sh".to_owned(), source })?;
    folder::set_owner(folder.path(), watchdog.id())?;
    let state = state.watched_by(watchdog.id());
    // From here on the watchdog removes it.
    let _kept = folder.keep();
    Ok(state)
}

/// Held by who looks for a server or starts one, so that only one process does.
fn lock(folder: &Path) -> Result<File, RunServiceError> {
    let path = folder.join("lock");
    let lock = File::create(&path).map_err(file(&path))?;
    lock.lock().map_err(file(&path))?;
    Ok(lock)
}

/// The folder of the state file: in the one into which cargo builds.
fn state_folder() -> PathBuf {
    // The package's folder is `<workspace>/tests/services`.
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let workspace = package.ancestors().nth(2).unwrap_or(package);
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    workspace.join(target).join("services")
}
