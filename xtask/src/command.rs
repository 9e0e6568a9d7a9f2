//! Runs other programs.

use std::error::Error;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;

use crate::workspace;

/// What a command of ours returns.
pub(crate) type Outcome = Result<(), Box<dyn Error>>;

/// A program that did not do its work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunProgramError {
    /// It cannot be started.
    #[error("cannot start `{0}`")]
    Start(String, #[source] std::io::Error),
    /// It failed.
    #[error("`{0}` failed")]
    Failed(String),
}

/// Runs a program in a folder and shows what it prints.
pub(crate) fn run(folder: &Path, program: &str, arguments: &[&str]) -> Result<(), RunProgramError> {
    let line = format!("{program} {}", arguments.join(" "));
    let status = command(folder, program, arguments)
        .status()
        .map_err(|source| RunProgramError::Start(line.clone(), source))?;
    if status.success() { Ok(()) } else { Err(RunProgramError::Failed(line)) }
}

/// Builds all programs, and all tests with them: they want more features of dependencies, which would
/// be built once more for programs alone.
pub(crate) fn build() -> Result<(), RunProgramError> {
    run(&workspace::root(), "cargo", &["build", "--workspace", "--bins", "--tests"])
}

/// Runs a program in a folder and returns what it prints; its errors are shown.
pub(crate) fn output(
    folder: &Path,
    program: &str,
    arguments: &[&str],
) -> Result<String, RunProgramError> {
    let line = format!("{program} {}", arguments.join(" "));
    let output = command(folder, program, arguments)
        .stderr(Stdio::inherit())
        .output()
        .map_err(|source| RunProgramError::Start(line.clone(), source))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(RunProgramError::Failed(line))
    }
}

/// Without what cargo has told this program of its own package: build scripts of dependencies that
/// look at it would run again.
fn command(folder: &Path, program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        let name_text = name.to_string_lossy();
        if name_text.starts_with("CARGO_PKG_") || name_text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

/// Whether a program is on the path.
pub(crate) fn exists(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
    })
}
