//! What can go wrong with a server of the tests.

use std::path::Path;
use std::path::PathBuf;

/// A server that does not do what it was told.
#[derive(Debug, thiserror::Error)]
pub enum RunServiceError {
    /// A program is not installed.
    #[error("{program} is not installed. On Debian: apt-get install {package}")]
    MissingProgram {
        /// The program's name.
        program: &'static str,
        /// The Debian package that has it.
        package: &'static str,
    },
    /// A file or folder cannot be used.
    #[error("cannot use {}", path.display())]
    File {
        /// What cannot be used.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A program cannot be started, or it cannot be sent a signal.
    #[error("cannot run {program}")]
    Run {
        /// The program's name.
        program: String,
        /// Why.
        source: std::io::Error,
    },
    /// A program that should do its work and end has failed.
    #[error("{program} failed: {output}")]
    Failed {
        /// The program's name.
        program: String,
        /// The end of what it printed.
        output: String,
    },
    /// A server ended before it was ready.
    #[error("{server} ended before it was ready; the end of its log:\n{log}")]
    Ended {
        /// Which one.
        server: String,
        /// The end of its log.
        log: String,
    },
    /// A server is not ready in time.
    #[error("{server} was not ready within {seconds} s; the end of its log:\n{log}")]
    TooSlow {
        /// Which one.
        server: String,
        /// How long it was waited for.
        seconds: u64,
        /// The end of its log.
        log: String,
    },
    /// A server that does not run was to be signalled.
    #[error("{0} does not run: start it again first")]
    NotRunning(String),
    /// Certificates cannot be made.
    #[error("cannot make certificates")]
    Certificates(#[from] rcgen::Error),
    /// No free ports were found.
    #[error("no free port between {from} and {to} on 127.0.0.1")]
    NoPort {
        /// The lowest port that was tried.
        from: u16,
        /// The highest one.
        to: u16,
    },
    /// The file that says where shared servers are is not what was written there.
    #[error("{} is damaged: remove it, and stop the servers that it names", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// A disk of limited size needs a file system of its own.
    #[error("a disk of limited size can only be mounted as root")]
    NotRoot,
}

/// Adds the file's name to an error of it.
pub(crate) fn file(path: &Path) -> impl FnOnce(std::io::Error) -> RunServiceError + '_ {
    move |source| RunServiceError::File { path: path.to_owned(), source }
}
