//! How the plugin ends: with the code of `millrace` where that ran, else with one of sysexits as
//! `millrace` has them, and the reason.

use std::error::Error;
use std::io::Write as _;
use std::process::ExitCode;

use crate::cluster::root_cause;

/// Exit codes, as sysexits.h numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// The command line is wrong.
    Usage = 64,
    /// What was named is not there.
    NoInput = 66,
    /// What should answer does not.
    Unavailable = 69,
    /// An error of the program's own.
    Software = 70,
    /// A file or port cannot be made.
    CannotCreate = 73,
    /// Whoever asks may not.
    NoPermission = 77,
    /// The kubeconfig is wrong.
    Config = 78,
}

/// Why a command failed, and the code to end with.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) error: Box<dyn Error + Send + Sync>,
}

impl Exit {
    /// A failure with this code.
    pub(crate) fn because(self, error: impl Into<Box<dyn Error + Send + Sync>>) -> Failure {
        Failure { exit: self, error: error.into() }
    }
}

/// Says something beside what `millrace` says, on standard error. What cannot be told is not told.
pub(crate) fn note(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Says what went wrong, if anything did, and gives the code to end with.
pub(crate) fn report(outcome: Result<u8, Failure>) -> ExitCode {
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            note(&format!("error: {}", text(failure.error.as_ref())));
            ExitCode::from(failure.exit as u8)
        }
    }
}

/// Tells help, or what is wrong with the command line.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    // Where nobody reads it any more there is nobody to tell.
    let _ = error.print();
    if error.use_stderr() { ExitCode::from(Exit::Usage as u8) } else { ExitCode::SUCCESS }
}

/// An error, and what caused it.
fn text(error: &dyn Error) -> String {
    let cause = root_cause(error).map(|cause| format!("\n  because: {cause}"));
    format!("{error}{}", cause.unwrap_or_default())
}
