//! Postgres.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use rustix::process::Signal;

use crate::RunServiceError;
use crate::error::file;
use crate::folder::Folder;
use crate::folder::unmount_in;
use crate::ports;
use crate::process;
use crate::process::Launch;
use crate::process::Process;
use crate::program;

/// Where Debian has the programs of its versions.
const VERSIONS: &str = "/usr/lib/postgresql";
const PACKAGE: &str = "postgresql";
const USER: &str = "millrace";
const PASSWORD: &str = "of-the-tests";
const DATABASE: &str = "millrace";
const BALLAST: &str = "ballast";
const SWITCHES: &str = "switches.conf";

/// What a server is like.
#[derive(Debug, Clone, Default)]
pub struct PostgresOptions {
    /// The size in MiB of the disk that its tables are on; its write-ahead log is not on it. Only
    /// root can mount such a disk. Unlimited if none.
    pub disk_mib: Option<u32>,
    /// Lines for `postgresql.conf`.
    pub settings: String,
}

/// A Postgres server with a database of which the tests' user is the owner and superuser.
#[derive(Debug)]
pub struct Postgres {
    // Dropped before the folder: it ends first.
    process: Option<Process>,
    programs: PathBuf,
    port: u16,
    /// As whom it runs, if not as the user of this process: it refuses to run as root.
    user: Option<&'static str>,
    folder: Folder,
}

impl Postgres {
    /// Starts a server and waits until it answers.
    ///
    /// # Errors
    /// If it is not installed or does not start.
    pub fn start() -> Result<Self, RunServiceError> {
        Self::start_with(&PostgresOptions::default())
    }

    /// Starts a server and waits until it answers.
    ///
    /// # Errors
    /// As [`Self::start`], and if a disk is limited by someone who is not root.
    pub fn start_with(options: &PostgresOptions) -> Result<Self, RunServiceError> {
        Self::start_in(Folder::owned()?, options)
    }

    pub(crate) fn start_in(
        folder: Folder,
        options: &PostgresOptions,
    ) -> Result<Self, RunServiceError> {
        let port = ports::free(1)?.into_iter().next().unwrap_or_default();
        let user = rustix::process::geteuid().is_root().then(unprivileged_user);
        let mut postgres = Self { process: None, programs: programs()?, port, user, folder };
        postgres.prepare(options)?;
        postgres.restart()?;
        postgres.run_sql("postgres", &format!("CREATE DATABASE {DATABASE}"))?;
        Ok(postgres)
    }

    /// The address of its database, with user and password.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_of(DATABASE)
    }

    /// The address of another database of it.
    #[must_use]
    pub fn url_of(&self, database: &str) -> String {
        format!("postgres://{USER}:{PASSWORD}@127.0.0.1:{}/{database}", self.port)
    }

    /// Its port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The user of the tests, a superuser.
    #[must_use]
    pub fn user(&self) -> &'static str {
        USER
    }

    /// The user's password.
    #[must_use]
    pub fn password(&self) -> &'static str {
        PASSWORD
    }

    /// The process id of the server; its sessions are children of it.
    #[must_use]
    pub fn process_id(&self) -> Option<u32> {
        self.process.as_ref().map(Process::id)
    }

    /// What it printed since its last start.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.as_ref().map(Process::log).unwrap_or_default()
    }

    /// Whether it runs; a paused one does.
    pub fn is_running(&mut self) -> bool {
        self.process.as_mut().is_some_and(Process::is_running)
    }

    /// Runs SQL in its database by `psql`; the rows, their columns with `|`.
    ///
    /// # Errors
    /// If the server refuses it.
    pub fn sql(&self, sql: &str) -> Result<String, RunServiceError> {
        self.run_sql(DATABASE, sql)
    }

    /// kill -9 of the server and all its sessions.
    pub fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            process.kill();
        }
    }

    /// Ends it gracefully; sessions are cut off.
    ///
    /// # Errors
    /// If it does not run or does not end.
    pub fn stop(&mut self) -> Result<(), RunServiceError> {
        self.process.take().ok_or_else(not_running)?.stop(Signal::INT)
    }

    /// SIGSTOP of the server and its sessions: it keeps its connections and answers nothing.
    ///
    /// # Errors
    /// If it does not run.
    pub fn pause(&mut self) -> Result<(), RunServiceError> {
        self.process.as_mut().ok_or_else(not_running)?.signal_all(Signal::STOP)
    }

    /// SIGCONT.
    ///
    /// # Errors
    /// If it does not run.
    pub fn resume(&mut self) -> Result<(), RunServiceError> {
        self.process.as_mut().ok_or_else(not_running)?.signal_all(Signal::CONT)
    }

    /// Starts it again on its data, if it does not run.
    ///
    /// # Errors
    /// If it does not start.
    pub fn restart(&mut self) -> Result<(), RunServiceError> {
        if self.is_running() {
            return Ok(());
        }
        let data = self.data();
        let arguments = ["-D", &data.display().to_string()].map(str::to_owned);
        let process = self.process.insert(Process::start(Launch {
            name: "Postgres".to_owned(),
            program: &self.programs.join("postgres"),
            arguments: arguments.to_vec(),
            user: self.user,
            log: self.folder.path().join("log.txt"),
            owned: self.folder.is_owned(),
        })?);
        let mut answers = Command::new(self.programs.join("pg_isready"));
        answers.args(["--quiet", "--host=127.0.0.1"]).arg(format!("--port={}", self.port));
        process.until_ready(|_| answers.status().is_ok_and(|status| status.success()))
    }

    /// Refuses every write from now on, in new and in existing sessions, or allows them again.
    ///
    /// # Errors
    /// If it does not run or its configuration cannot be written.
    pub fn set_read_only(&mut self, read_only: bool) -> Result<(), RunServiceError> {
        let switch = if read_only { "on" } else { "off" };
        let path = self.data().join(SWITCHES);
        let text = format!("default_transaction_read_only = {switch}\n");
        fs::write(&path, text).map_err(file(&path))?;
        self.process.as_mut().ok_or_else(not_running)?.signal(Signal::HUP)
    }

    /// Fills a disk of limited size to its last byte.
    ///
    /// # Errors
    /// If the disk is not limited.
    pub fn fill_disk(&mut self) -> Result<(), RunServiceError> {
        use std::io::Write as _;
        let path = self.disk().join(BALLAST);
        if !self.disk().exists() {
            return Err(RunServiceError::NotRoot);
        }
        let mut ballast = fs::File::create(&path).map_err(file(&path))?;
        let block = [0; 4096];
        while ballast.write_all(&block).is_ok() {}
        Ok(())
    }

    /// Frees the disk again.
    ///
    /// # Errors
    /// If it is not full.
    pub fn free_disk(&mut self) -> Result<(), RunServiceError> {
        let path = self.disk().join(BALLAST);
        fs::remove_file(&path).map_err(file(&path))
    }

    fn disk(&self) -> PathBuf {
        self.folder.path().join("disk")
    }

    fn data(&self) -> PathBuf {
        let disk = self.disk();
        if disk.exists() { disk.join("data") } else { self.folder.path().join("data") }
    }

    fn prepare(&self, options: &PostgresOptions) -> Result<(), RunServiceError> {
        let folder = self.folder.path();
        if let Some(size) = options.disk_mib {
            mount(&self.disk(), size)?;
        }
        let data = self.data();
        let log = folder.join("write-ahead");
        let socket = folder.join("socket");
        let password = folder.join("password");
        fs::write(&password, PASSWORD).map_err(file(&password))?;
        for folder in [&data, &log, &socket] {
            fs::create_dir(folder).map_err(file(folder))?;
            self.give(folder)?;
        }
        let mut initdb = process::command_as(self.user)?;
        initdb.current_dir(folder).arg(self.programs.join("initdb"));
        initdb.args(["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]);
        initdb.args(["--username", USER, "--pwfile"]).arg(&password);
        initdb.arg("--pgdata").arg(&data).arg("--waldir").arg(&log);
        program::output(&mut initdb)?;
        let settings = format!(
            "listen_addresses = '127.0.0.1'\n\
             port = {}\n\
             unix_socket_directories = '{}'\n\
             max_connections = 200\n\
             {}\n\
             include_if_exists = '{SWITCHES}'\n",
            self.port,
            socket.display(),
            options.settings,
        );
        let path = data.join("postgresql.conf");
        let before = fs::read_to_string(&path).map_err(file(&path))?;
        fs::write(&path, before + &settings).map_err(file(&path))
    }

    /// Makes its user the owner of a folder.
    fn give(&self, folder: &Path) -> Result<(), RunServiceError> {
        let Some(user) = self.user else { return Ok(()) };
        program::output(Command::new("chown").arg(user).arg(folder)).map(drop)
    }

    fn run_sql(&self, database: &str, sql: &str) -> Result<String, RunServiceError> {
        run_sql(&self.url_of(database), sql)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if self.folder.is_owned() {
            self.kill();
            unmount_in(self.folder.path());
        }
    }
}

/// Runs SQL by `psql` in the database of an address.
pub(crate) fn run_sql(url: &str, sql: &str) -> Result<String, RunServiceError> {
    let mut psql = Command::new(programs()?.join("psql"));
    psql.args(["--no-psqlrc", "--quiet", "--no-align", "--tuples-only"]);
    psql.args(["--set=ON_ERROR_STOP=1", "--command", sql, url]);
    program::output(&mut psql).map(|rows| rows.trim_end().to_owned())
}

/// The folder of the newest version's programs.
fn programs() -> Result<PathBuf, RunServiceError> {
    let versions = fs::read_dir(VERSIONS).into_iter().flatten().flatten();
    let complete = |folder: &PathBuf| {
        ["initdb", "postgres", "psql"].iter().all(|program| folder.join(program).is_file())
    };
    let newest = versions
        .filter_map(|version| {
            let number: u32 = version.file_name().to_str()?.parse().ok()?;
            Some((number, version.path().join("bin")))
        })
        .filter(|(_, folder)| complete(folder))
        .max();
    if let Some((_, folder)) = newest {
        return Ok(folder);
    }
    let initdb = program::find("initdb", PACKAGE)?;
    let folder = initdb.parent().map(Path::to_owned).filter(complete);
    folder.ok_or(RunServiceError::MissingProgram { program: "postgres", package: PACKAGE })
}

/// Who runs the server for root: the user of Debian's package if there is one.
fn unprivileged_user() -> &'static str {
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    if users.lines().any(|line| line.starts_with("postgres:")) { "postgres" } else { "nobody" }
}

fn mount(folder: &Path, size_mib: u32) -> Result<(), RunServiceError> {
    if !rustix::process::geteuid().is_root() {
        return Err(RunServiceError::NotRoot);
    }
    fs::create_dir(folder).map_err(file(folder))?;
    let size = format!("size={size_mib}m,mode=755");
    let mut mount = Command::new("mount");
    program::output(mount.args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder)).map(drop)
}

fn not_running() -> RunServiceError {
    RunServiceError::NotRunning("Postgres".to_owned())
}
