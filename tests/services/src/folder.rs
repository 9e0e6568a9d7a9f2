//! Folders of servers, and the removal of those whose owner died without removing them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;

use crate::RunServiceError;
use crate::error::file;
use crate::process;

const PREFIX: &str = "millrace-services-";
/// The file that names the process whose death makes the folder and its servers leftovers.
const OWNER: &str = "owner";
/// A folder without an owner for as long was left between its making and the naming of its owner.
const UNOWNED: Duration = Duration::from_mins(1);

/// A folder for one or several servers.
#[derive(Debug)]
pub(crate) enum Folder {
    /// Goes with this value.
    Owned(TempDir),
    /// Stays until the shared servers are stopped.
    Shared(PathBuf),
}

impl Folder {
    /// A folder that belongs to this process.
    pub(crate) fn owned() -> Result<Self, RunServiceError> {
        sweep();
        let folder = make()?;
        set_owner(folder.path(), std::process::id())?;
        Ok(Self::Owned(folder))
    }

    /// A part of the folder of shared servers; what an earlier server left there is removed.
    pub(crate) fn shared(all: &Path, name: &str) -> Result<Self, RunServiceError> {
        let path = all.join(name);
        if path.exists() {
            remove(&path);
        }
        fs::create_dir(&path).map_err(file(&path))?;
        Ok(Self::Shared(path))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Owned(folder) => folder.path(),
            Self::Shared(path) => path,
        }
    }

    /// Whether its servers end with the value that started them.
    pub(crate) fn is_owned(&self) -> bool {
        matches!(self, Self::Owned(_))
    }
}

/// A folder for servers that outlive this process; `owner` has to be named next.
pub(crate) fn make() -> Result<TempDir, RunServiceError> {
    let parent = std::env::temp_dir();
    let folder = tempfile::Builder::new().prefix(PREFIX).tempdir().map_err(file(&parent))?;
    // Postgres does not run as root: its user has to reach its own folder in this one.
    let open = fs::Permissions::from_mode(0o755);
    fs::set_permissions(folder.path(), open).map_err(file(folder.path()))?;
    Ok(folder)
}

/// Names the process whose death makes the folder a leftover.
pub(crate) fn set_owner(folder: &Path, owner: u32) -> Result<(), RunServiceError> {
    let path = folder.join(OWNER);
    // An id may be given to another process later; not with the same time of start.
    let text = format!("{owner} {}", process::started(owner).unwrap_or_default());
    fs::write(&path, text).map_err(file(&path))
}

/// Ends the servers of owners that are no more, and removes their folders.
fn sweep() {
    let Ok(entries) = fs::read_dir(std::env::temp_dir()) else { return };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(PREFIX) && is_leftover(&entry.path()) {
            remove(&entry.path());
        }
    }
}

fn is_leftover(folder: &Path) -> bool {
    let Ok(owner) = fs::read_to_string(folder.join(OWNER)) else {
        let made = folder.metadata().and_then(|folder| folder.modified());
        return made.is_ok_and(|made| made.elapsed().is_ok_and(|age| age > UNOWNED));
    };
    let Some((id, started)) = owner.split_once(' ') else { return true };
    let now = id.parse().ok().and_then(process::started);
    now.as_deref() != Some(started)
}

/// Ends every server of a folder and removes it with all that it holds.
pub(crate) fn remove(folder: &Path) {
    process::kill_servers_in(folder);
    unmount_in(folder);
    // Another process may be removing it as well.
    let _ = fs::remove_dir_all(folder);
}

/// Disks of limited size are mounted in the folders of their servers.
pub(crate) fn unmount_in(folder: &Path) {
    let Ok(mounts) = fs::read_to_string("/proc/self/mounts") else { return };
    for point in mounts.lines().filter_map(|line| line.split(' ').nth(1)) {
        if Path::new(point).starts_with(folder) {
            // What cannot be unmounted stays until the machine ends.
            let quiet = || Stdio::null();
            let _ = Command::new("umount")
                .args(["--lazy", point])
                .stdin(quiet())
                .stderr(quiet())
                .status();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_a_leftover_when_its_owner_is_no_more() {
        let folder = make().unwrap();
        assert!(!is_leftover(folder.path()), "its owner is about to be named");
        set_owner(folder.path(), std::process::id()).unwrap();
        assert!(!is_leftover(folder.path()));
        let mut other = Command::new("sleep").arg("60").spawn().unwrap();
        set_owner(folder.path(), other.id()).unwrap();
        assert!(!is_leftover(folder.path()));
        other.kill().unwrap();
        other.wait().unwrap();
        assert!(is_leftover(folder.path()));
    }

    #[test]
    fn a_process_with_a_reused_id_is_not_the_owner() {
        let folder = make().unwrap();
        fs::write(folder.path().join(OWNER), format!("{} 1", std::process::id())).unwrap();
        assert!(is_leftover(folder.path()));
    }
}
