//! Runs npm and Vite on a copy of the page's sources.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

/// The lowest version of Node that Vite runs on, as a text for people.
pub(crate) const NODE_AT_LEAST: &str = "20.19";

/// Makes the site in `out` from the `sources` of `manifest` and gives its folder, or the reason
/// why it could not be made.
pub(crate) fn bundle(manifest: &Path, out: &Path, sources: &[&str]) -> Result<PathBuf, String> {
    check_node()?;
    let work = out.join("bundle");
    copy_sources(manifest, &work, sources)
        .map_err(|error| format!("its sources could not be copied: {error}"))?;
    install(&work)?;
    let vite = work.join("node_modules/vite/bin/vite.js");
    run(
        &work,
        "node",
        [vite.as_os_str(), "build".as_ref(), "--logLevel".as_ref(), "warn".as_ref()],
    )?;
    let site = work.join("dist");
    if site.join("index.html").is_file() {
        Ok(site)
    } else {
        Err("Vite wrote no index.html".to_owned())
    }
}

fn check_node() -> Result<(), String> {
    let output = Command::new("node")
        .arg("--version")
        .output()
        .map_err(|_| "Node was not found".to_owned())?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let mut numbers = text.trim_start_matches('v').split('.').map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) if (major, minor) >= (20, 19) => Ok(()),
        _ => Err(format!("Node is `{text}`, older than {NODE_AT_LEAST}")),
    }
}

/// Replaces the copy of the sources, and keeps the installed packages.
fn copy_sources(manifest: &Path, work: &Path, sources: &[&str]) -> io::Result<()> {
    fs::create_dir_all(work)?;
    for source in sources {
        let (from, to) = (manifest.join(source), work.join(source));
        if from.is_dir() {
            // A file that is gone from the sources must not stay in the copy.
            match fs::remove_dir_all(&to) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => copy_folder(&from, &to)?,
            }
        } else {
            fs::copy(from, to)?;
        }
    }
    Ok(())
}

fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// Installs what the bundle needs (not the tools of its developers), unless it is there already.
fn install(work: &Path) -> Result<(), String> {
    let lock = fs::read(work.join("package-lock.json"))
        .map_err(|error| format!("the list of its packages could not be read: {error}"))?;
    let stamp = work.join("installed-lock.json");
    if fs::read(&stamp).is_ok_and(|installed| installed == lock) {
        return Ok(());
    }
    let flags = [
        "ci",
        "--omit=dev",
        "--ignore-scripts",
        "--prefer-offline",
        "--loglevel=error",
        // A machine without a network finds out soon, not after npm's default of minutes.
        "--fetch-retries=1",
        "--fetch-timeout=20000",
    ];
    run(work, if cfg!(windows) { "npm.cmd" } else { "npm" }, flags)?;
    fs::write(stamp, lock).map_err(|error| format!("the installation could not be noted: {error}"))
}

fn run<A: AsRef<OsStr>>(
    folder: &Path,
    program: &str,
    arguments: impl IntoIterator<Item = A>,
) -> Result<(), String> {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .env("NODE_ENV", "production")
        .output()
        .map_err(|error| format!("{program} could not be started: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or("no message");
    Err(format!("{program} failed: {}", line.trim()))
}
