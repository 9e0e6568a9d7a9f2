//! The program `millrace`: where it is, and how it runs and ends.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process;
use tokio::process::Child;
use tokio::process::Command;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio::time::Instant;

use crate::exit::Exit;
use crate::exit::Failure;

/// Its name.
const NAME: &str = "millrace";

/// How long it may take to end after Ctrl-C, which a terminal sends to both.
const GRACE: Duration = Duration::from_secs(3);

/// What a shell adds to the number of the signal that ended a program.
const SIGNALLED: i32 = 128;

/// Millrace that does not run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunProgramError {
    /// It is not there.
    #[error(
        "the program millrace is neither beside kubectl-millrace nor on PATH: copy it to where kubectl-millrace is, or install it by `cargo install --path workloads/millrace`"
    )]
    Find,
    /// It does not start.
    #[error("cannot start {0}")]
    Start(PathBuf, #[source] io::Error),
    /// It cannot be waited for.
    #[error("cannot wait for {0}")]
    Wait(PathBuf, #[source] io::Error),
    /// Signals cannot be received.
    #[error("cannot receive signals")]
    Signals(#[source] io::Error),
}

impl From<RunProgramError> for Failure {
    fn from(error: RunProgramError) -> Self {
        match error {
            RunProgramError::Find => Exit::NoInput.because(error),
            RunProgramError::Start(..)
            | RunProgramError::Wait(..)
            | RunProgramError::Signals(_) => Exit::Software.because(error),
        }
    }
}

/// Where the program is: beside this one, else on PATH.
pub(crate) fn find() -> Result<PathBuf, RunProgramError> {
    let own = std::env::current_exe().ok();
    let beside = own.as_deref().and_then(Path::parent).map(Path::to_owned);
    let path = std::env::var_os("PATH").unwrap_or_default();
    first_with_program(beside.into_iter().chain(std::env::split_paths(&path)))
        .ok_or(RunProgramError::Find)
}

fn first_with_program(folders: impl Iterator<Item = PathBuf>) -> Option<PathBuf> {
    folders.map(|folder| folder.join(NAME)).find(|file| file.is_file())
}

/// Runs it with our input and outputs, and returns the code it ended with.
pub(crate) async fn run(program: &Path, arguments: &[OsString]) -> Result<u8, RunProgramError> {
    let mut interrupt = signal(SignalKind::interrupt()).map_err(RunProgramError::Signals)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(RunProgramError::Signals)?;
    let mut child = Command::new(program)
        .args(arguments)
        .kill_on_drop(true)
        .spawn()
        .map_err(|source| RunProgramError::Start(program.to_owned(), source))?;
    let mut patience: Option<Instant> = None;
    loop {
        let end = patience;
        let impatient = async {
            match end {
                Some(end) => tokio::time::sleep_until(end).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            status = child.wait() => {
                let status = status
                    .map_err(|source| RunProgramError::Wait(program.to_owned(), source))?;
                return Ok(code(status));
            }
            _ = interrupt.recv() => patience = patience.or_else(|| Some(Instant::now() + GRACE)),
            _ = terminate.recv() => ask_to_end(&child),
            () = impatient => {
                ask_to_end(&child);
                patience = None;
            }
        }
    }
}

fn ask_to_end(child: &Child) {
    let pid = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    if let Some(pid) = pid {
        // One that has ended meanwhile needs no signal.
        let _ = kill_process(pid, Signal::TERM);
    }
}

/// The code it ended with, as a shell tells it.
fn code(status: ExitStatus) -> u8 {
    let signalled = status.signal().map(|signal| SIGNALLED + signal);
    let code = status.code().or(signalled).unwrap_or(i32::from(u8::MAX));
    u8::try_from(code).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn shell(script: &str) -> u8 {
        run(Path::new("/bin/sh"), &["-c".into(), script.into()]).await.unwrap()
    }

    #[tokio::test]
    async fn the_code_of_the_program_is_passed_on() {
        assert_eq!(shell("exit 0").await, 0);
        assert_eq!(shell("exit 65").await, 65);
        assert_eq!(shell("kill -INT $$").await, 130);
    }

    #[test]
    fn the_first_folder_that_has_the_program_counts() {
        let (empty, one, other) = (
            tempfile::tempdir().unwrap(),
            tempfile::tempdir().unwrap(),
            tempfile::tempdir().unwrap(),
        );
        std::fs::create_dir(empty.path().join("millrace")).unwrap();
        for folder in [&one, &other] {
            std::fs::write(folder.path().join("millrace"), "").unwrap();
        }
        let folders = [&empty, &one, &other].map(|folder| folder.path().to_owned());
        let found = first_with_program(folders.clone().into_iter());
        assert_eq!(found, Some(one.path().join("millrace")));
        assert_eq!(first_with_program(folders.into_iter().take(1)), None);
    }
}
