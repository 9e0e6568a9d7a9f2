//! How the program ends: an exit code from sysexits, and the error with its whole chain of causes.

use std::error::Error;
use std::process::ExitCode;

use millrace_core::with_causes;

use crate::output;

/// Exit codes, as sysexits.h numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// The command line is wrong.
    Usage = 64,
    /// A resource or test is wrong, or an expectation is not met.
    Data = 65,
    /// A file to read is not there.
    NoInput = 66,
    /// What should answer does not.
    Unavailable = 69,
    /// An error of the program's own.
    Software = 70,
    /// A file, folder or port cannot be made.
    CannotCreate = 73,
    /// Reading or writing failed.
    Io = 74,
    /// It may succeed later.
    TemporaryFailure = 75,
    /// Whoever asks may not.
    NoPermission = 77,
    /// A file of configuration is wrong.
    Config = 78,
}

/// Why a command failed, and the code to end with.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    error: Box<dyn Error + Send + Sync>,
}

/// What a command returns.
pub(crate) type Outcome = Result<(), Failure>;

impl Exit {
    /// A failure with this code.
    pub(crate) fn because(self, error: impl Into<Box<dyn Error + Send + Sync>>) -> Failure {
        Failure { exit: self, error: error.into() }
    }

    /// Makes a failure with this code of an error; for `map_err`.
    pub(crate) fn of<E: Error + Send + Sync + 'static>(self) -> impl Fn(E) -> Failure {
        move |error| self.because(error)
    }
}

impl From<output::WriteOutputError> for Failure {
    fn from(error: output::WriteOutputError) -> Self {
        Exit::Io.because(error)
    }
}

impl Failure {
    /// Whether the same may succeed later.
    pub(crate) const fn may_pass(&self) -> bool {
        matches!(self.exit, Exit::Unavailable)
    }

    /// What went wrong, with its causes.
    pub(crate) fn text(&self) -> String {
        with_causes(&*self.error)
    }
}

/// Says what went wrong, if anything did, and gives the code to end with.
pub(crate) fn report(outcome: Outcome) -> ExitCode {
    let Err(Failure { exit, error }) = outcome else { return ExitCode::SUCCESS };
    // A reader that closed our standard output, such as `head`, has all that it wants.
    if error.downcast_ref().is_some_and(output::WriteOutputError::is_closed) {
        return ExitCode::SUCCESS;
    }
    output::note(&format!("error: {}", chain(error.as_ref())));
    ExitCode::from(exit as u8)
}

/// An error and all its causes, a line each.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str("\n  because: ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot open the file")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn the_whole_chain_of_causes_is_told() {
        let error = Outer(std::io::Error::other("the disk is on fire"));
        assert_eq!(chain(&error), "cannot open the file\n  because: the disk is on fire");
    }
}
