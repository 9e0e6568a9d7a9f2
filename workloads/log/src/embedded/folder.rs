//! The log's folder: who may use it and which format it has.

use std::fs::File;
use std::fs::TryLockError;
use std::io::Write;
use std::path::Path;
use std::time::Duration;
use std::time::Instant;

use crate::OpenLogError;

/// The format that this program writes, and the latest that it reads.
const FORMAT: u32 = 1;
const FORMAT_FILE: &str = "format";
const LOCK_FILE: &str = "lock";
/// How long a process that has just ended, or was just being started by the holder, may still
/// seem to hold the folder.
const GRACE: Duration = Duration::from_millis(500);
const RETRY: Duration = Duration::from_millis(10);

/// The right to use the folder, as long as it lives. It ends with the process, however that ends.
#[derive(Debug)]
pub(super) struct FolderLock {
    _file: File,
}

/// Makes the folder if it does not exist, takes it for this process and checks its format.
pub(super) fn take(folder: &Path) -> Result<FolderLock, OpenLogError> {
    let failed = |source| OpenLogError::Folder { folder: folder.to_owned(), source };
    std::fs::create_dir_all(folder).map_err(failed)?;
    let lock = lock(folder)?;
    check_format(folder)?;
    Ok(lock)
}

fn lock(folder: &Path) -> Result<FolderLock, OpenLogError> {
    let failed = |source| OpenLogError::Folder { folder: folder.to_owned(), source };
    let path = folder.join(LOCK_FILE);
    let mut file = File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(&path)
        .map_err(failed)?;
    let began = Instant::now();
    let locked = loop {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) if began.elapsed() < GRACE => std::thread::sleep(RETRY),
            result => break result,
        }
    };
    match locked {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let holder = std::fs::read_to_string(&path).unwrap_or_default();
            let holder = if holder.is_empty() { "another process" } else { holder.trim() };
            return Err(OpenLogError::InUse {
                folder: folder.to_owned(),
                holder: holder.to_owned(),
            });
        }
        Err(TryLockError::Error(source)) => return Err(failed(source)),
    }
    let program = std::env::current_exe()
        .ok()
        .and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
        .unwrap_or_else(|| "unknown".to_owned());
    file.set_len(0).map_err(failed)?;
    writeln!(file, "process {} ({program})", std::process::id()).map_err(failed)?;
    Ok(FolderLock { _file: file })
}

fn check_format(folder: &Path) -> Result<(), OpenLogError> {
    let failed = |source| OpenLogError::Folder { folder: folder.to_owned(), source };
    let path = folder.join(FORMAT_FILE);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(failed(error)),
    };
    // An empty file is one whose first writing was interrupted.
    if text.is_empty() {
        let mut file = File::create(&path).map_err(failed)?;
        writeln!(file, "{FORMAT}").map_err(failed)?;
        return file.sync_all().map_err(failed);
    }
    match text.trim().parse::<u32>() {
        Ok(FORMAT) => Ok(()),
        Ok(found) => {
            Err(OpenLogError::Version { folder: folder.to_owned(), found, supported: FORMAT })
        }
        Err(_) => Err(OpenLogError::Corrupt {
            folder: folder.to_owned(),
            what: format!("{} does not hold a number", path.display()),
        }),
    }
}
