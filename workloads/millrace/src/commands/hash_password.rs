//! `millrace hash-password`: a line of a users file.

use std::io::IsTerminal as _;
use std::io::Read as _;

use clap::Args;
use millrace_http::MAX_PASSWORD_BYTES;
use millrace_http::hash_password;
use serde_json::json;

use crate::exit::Exit;
use crate::exit::Outcome;
use crate::output;
use crate::output::OutputFormat;

/// Make a line of a users file: a name, a colon and the Argon2 hash of a password.
///
/// The password is asked for without showing it; where standard input is not a terminal, its first
/// line is the password.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  millrace hash-password --user alice >> secrets/multivac-users/users
  millrace hash-password --user device-7 < password.txt >> mqtt-users")]
pub(crate) struct HashPasswordArguments {
    /// Name of the user.
    #[arg(long, value_name = "NAME", value_parser = user)]
    user: String,
}

/// Why no password can be read.
#[derive(Debug, thiserror::Error)]
enum ReadPasswordError {
    #[error("cannot read the password")]
    Read(#[from] std::io::Error),
    #[error("the two passwords are not the same")]
    Different,
}

/// Runs the command.
pub(crate) fn run(arguments: &HashPasswordArguments, output: OutputFormat) -> Outcome {
    let user = &arguments.user;
    let password = read(user).map_err(Exit::NoInput.of())?;
    let hash = hash_password(&password).map_err(Exit::Data.of())?;
    match output {
        OutputFormat::Json => output::json(&json!({"user": user, "hash": hash}))?,
        OutputFormat::Text => output::line(&format!("{user}:{hash}"))?,
    }
    Ok(())
}

fn read(user: &str) -> Result<Vec<u8>, ReadPasswordError> {
    if std::io::stdin().is_terminal() {
        let password = rpassword::prompt_password(format!("Password of {user}: "))?;
        if password != rpassword::prompt_password("Once more: ")? {
            return Err(ReadPasswordError::Different);
        }
        return Ok(password.into_bytes());
    }
    // One byte more than a password may have, and the end of its line, so that it is told.
    let mut text = Vec::new();
    std::io::stdin().lock().take(MAX_PASSWORD_BYTES as u64 + 3).read_to_end(&mut text)?;
    Ok(first_line(&text).to_vec())
}

fn first_line(text: &[u8]) -> &[u8] {
    let line = text.split(|&byte| byte == b'\n').next().unwrap_or_default();
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// A name of a user: what stands before the colon, on one line.
fn user(text: &str) -> Result<String, &'static str> {
    let is_name = !text.is_empty()
        && !text.starts_with('#')
        && !text.contains(|c: char| c == ':' || c.is_control());
    if is_name { Ok(text.to_owned()) } else { Err("a name without a colon, not empty") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_the_first_line() {
        assert_eq!(first_line(b"hunter2\r\nmore\n"), b"hunter2");
        assert_eq!(first_line(b" with spaces "), b" with spaces ");
        assert_eq!(first_line(b""), b"");
    }

    #[test]
    fn a_name_has_no_colon() {
        assert_eq!(user("alice"), Ok("alice".to_owned()));
        assert!(["", "a:b", "#a", "a\nb"].iter().all(|name| user(name).is_err()));
    }
}
