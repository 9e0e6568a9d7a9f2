//! Processes of servers: their start, their signals and their certain end.

use std::fs;
use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::OnceLock;
use std::sync::mpsc;
use std::time::Duration;
use std::time::Instant;

use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process;

use crate::RunServiceError;
use crate::error::file;
use crate::program;

/// Programs that are servers here, by the name that the kernel has of them.
const SERVERS: [&str; 4] = ["java", "postgres", "mosquitto", "sh"];
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// How long a server may take to be ready on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);

/// How a server's process is started.
#[derive(Debug)]
pub(crate) struct Launch<'a> {
    /// What it is called in errors.
    pub(crate) name: String,
    pub(crate) program: &'a Path,
    pub(crate) arguments: Vec<String>,
    /// As whom, if not as the user of this process.
    pub(crate) user: Option<&'a str>,
    /// Where its output is added.
    pub(crate) log: PathBuf,
    /// Whether it dies with this process.
    pub(crate) owned: bool,
}

/// The process of a server.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    /// Where in the log this run begins.
    log_start: usize,
    owned: bool,
}

impl Process {
    /// Starts it without waiting for anything.
    pub(crate) fn start(launch: Launch<'_>) -> Result<Self, RunServiceError> {
        let Launch { name, program, arguments, user, log, owned } = launch;
        let output = File::options().create(true).append(true).open(&log).map_err(file(&log))?;
        let log_start = output.metadata().map_err(file(&log))?.len();
        let errors = output.try_clone().map_err(file(&log))?;
        let mut command = as_user(user, owned)?;
        command.arg(program).args(arguments);
        // In a group of its own it does not get the terminal's Ctrl-C.
        command.stdin(Stdio::null()).stdout(output).stderr(errors).process_group(0);
        let child = spawn(command)
            .map_err(|source| RunServiceError::Run { program: name.clone(), source })?;
        let log_start = usize::try_from(log_start).unwrap_or(usize::MAX);
        Ok(Self { name, child, log, log_start, owned })
    }

    /// The process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it runs; a paused one does.
    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// What it printed in this run.
    pub(crate) fn log(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(log.get(self.log_start..).unwrap_or_default()).into_owned()
    }

    /// Waits until it is ready, by a condition on it.
    pub(crate) fn until_ready(
        &mut self,
        mut ready: impl FnMut(&Self) -> bool,
    ) -> Result<(), RunServiceError> {
        let begin = Instant::now();
        while !ready(self) {
            let (server, log) = (self.name.clone(), || program::end_of(&self.log()));
            if begin.elapsed() > PATIENCE {
                let seconds = PATIENCE.as_secs();
                return Err(RunServiceError::TooSlow { server, seconds, log: log() });
            }
            if !self.is_running() {
                let log = program::end_of(&self.log());
                return Err(RunServiceError::Ended { server, log });
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        Ok(())
    }

    /// Sends a signal.
    pub(crate) fn signal(&mut self, signal: Signal) -> Result<(), RunServiceError> {
        if !self.is_running() {
            return Err(RunServiceError::NotRunning(self.name.clone()));
        }
        send(self.id(), signal)
            .map_err(|source| RunServiceError::Run { program: self.name.clone(), source })
    }

    /// Sends a signal to it and to the processes that it has started.
    pub(crate) fn signal_all(&mut self, signal: Signal) -> Result<(), RunServiceError> {
        self.signal(signal)?;
        for child in children_of(&[self.id()]) {
            // A child may have ended in the meantime.
            let _ = send(child, signal);
        }
        Ok(())
    }

    /// kill -9 of the process and of those that it has started; returns when they are no more.
    pub(crate) fn kill(mut self) {
        self.end();
    }

    /// Asks it to end and waits until it has.
    pub(crate) fn stop(mut self, signal: Signal) -> Result<(), RunServiceError> {
        self.signal(signal)?;
        let begin = Instant::now();
        while self.is_running() {
            if begin.elapsed() > PATIENCE {
                let (server, log) = (self.name.clone(), program::end_of(&self.log()));
                return Err(RunServiceError::TooSlow { server, seconds: PATIENCE.as_secs(), log });
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        Ok(())
    }

    fn end(&mut self) {
        if !self.is_running() {
            return;
        }
        // What follows may find that it has just ended. Stopped, it starts no more children.
        let _ = send(self.id(), Signal::STOP);
        let children = children_of(&[self.id()]);
        let _ = self.child.kill();
        let _ = self.child.wait();
        for child in &children {
            let _ = send(*child, Signal::KILL);
        }
        await_end(&children);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.owned {
            self.end();
        }
    }
}

/// The beginning of a command line that changes to a user, and that binds the process's life to this one's.
fn as_user(user: Option<&str>, owned: bool) -> Result<Command, RunServiceError> {
    let mut command = Command::new(program::find("setpriv", "util-linux")?);
    if let Some(user) = user {
        command.args(["--reuid", user, "--regid", user, "--init-groups"]);
    }
    command.args(["--pdeathsig", if owned { "KILL" } else { "clear" }]);
    Ok(command)
}

/// Runs a command as a user, for its output.
pub(crate) fn command_as(user: Option<&str>) -> Result<Command, RunServiceError> {
    as_user(user, false)
}

type Request = (Command, mpsc::Sender<io::Result<Child>>);

/// Starts a process from a thread that lives as long as this process: the kernel's signal at a
/// parent's death comes when the thread ends that started the child, and tests end theirs early.
fn spawn(command: Command) -> io::Result<Child> {
    static SPAWNER: OnceLock<mpsc::Sender<Request>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (sender, requests) = mpsc::channel::<Request>();
        std::thread::spawn(move || {
            for (mut command, answer) in requests {
                // Who asked waits for it.
                let _ = answer.send(command.spawn());
            }
        });
        sender
    });
    let (answer, answered) = mpsc::channel();
    spawner.send((command, answer)).map_err(io::Error::other)?;
    answered.recv().map_err(io::Error::other)?
}

fn send(id: u32, signal: Signal) -> io::Result<()> {
    let id = i32::try_from(id).ok().and_then(Pid::from_raw);
    let id = id.ok_or_else(|| io::Error::other("no such process id"))?;
    Ok(kill_process(id, signal)?)
}

/// When a process was started, in the kernel's own count; none if there is no such process or it has ended.
pub(crate) fn started(id: u32) -> Option<String> {
    let fields = stat(id)?;
    if fields.first().is_some_and(|state| state == "Z") {
        return None;
    }
    // The 22nd field, of which the first two are cut off.
    fields.into_iter().nth(19)
}

fn parent(id: u32) -> Option<u32> {
    stat(id)?.get(1)?.parse().ok()
}

/// The fields of `/proc/<id>/stat` after the program's name, which may contain anything.
fn stat(id: u32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(") ")?;
    Some(fields.split(' ').map(str::to_owned).collect())
}

fn all() -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

fn children_of(parents: &[u32]) -> Vec<u32> {
    all().into_iter().filter(|id| parent(*id).is_some_and(|id| parents.contains(&id))).collect()
}

/// Whether a process is a server whose files are in a folder.
pub(crate) fn is_server_in(id: u32, folder: &Path) -> bool {
    let name = fs::read_to_string(format!("/proc/{id}/comm")).unwrap_or_default();
    let line = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
    SERVERS.contains(&name.trim_end())
        && String::from_utf8_lossy(&line).contains(&*folder.to_string_lossy())
        && started(id).is_some()
}

/// kill -9 of every server whose files are in a folder, and of what they have started.
pub(crate) fn kill_servers_in(folder: &Path) {
    let servers: Vec<_> = all().into_iter().filter(|id| is_server_in(*id, folder)).collect();
    let all = [children_of(&servers), servers].concat();
    for id in all.iter().rev() {
        // It may have ended in the meantime.
        let _ = send(*id, Signal::KILL);
    }
    await_end(&all);
}

fn await_end(ids: &[u32]) {
    const LONGEST: Duration = Duration::from_secs(10);
    let begin = Instant::now();
    while ids.iter().any(|id| started(*id).is_some()) && begin.elapsed() < LONGEST {
        std::thread::sleep(LOOK_AGAIN);
    }
}
