//! Programs of this machine.

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

use crate::RunServiceError;

/// Debian keeps programs for administrators in folders that are not on every user's path.
const MORE_FOLDERS: [&str; 2] = ["/usr/sbin", "/sbin"];

/// Where a program is.
pub(crate) fn find(
    program: &'static str,
    package: &'static str,
) -> Result<PathBuf, RunServiceError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(MORE_FOLDERS.map(PathBuf::from));
    let found = folders.map(|folder| folder.join(program)).find(|file| file.is_file());
    found.ok_or(RunServiceError::MissingProgram { program, package })
}

/// Runs a program to its end; what it printed on its standard output.
pub(crate) fn output(command: &mut Command) -> Result<String, RunServiceError> {
    let program = command.get_program();
    let program = Path::new(program).file_name().unwrap_or(program).to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output();
    let output =
        output.map_err(|source| RunServiceError::Run { program: program.clone(), source })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let printed = [output.stdout, output.stderr].concat();
    Err(RunServiceError::Failed { program, output: end_of(&String::from_utf8_lossy(&printed)) })
}

/// The last lines of a text.
pub(crate) fn end_of(text: &str) -> String {
    const LINES: usize = 30;
    let lines: Vec<_> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}
