//! Secrets that examples need, in a folder as `millrace run --secrets` reads it.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;

/// The user of [`write_multivac_users`], with the password.
pub(crate) const ALICE: &str = "alice:open sesame";

/// The users of `multivac.yaml`, as `millrace hash-password` makes them.
pub(crate) fn write_multivac_users(secrets: &Path) {
    let folder = secrets.join("multivac-users");
    std::fs::create_dir_all(&folder).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_millrace"))
        .args(["hash-password", "--user", "alice"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"open sesame\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    std::fs::write(folder.join("users"), output.stdout).unwrap();
}
