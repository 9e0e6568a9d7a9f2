//! The file that remembers the last acknowledged group, so that a journal that lost more than its
//! unacknowledged tail is noticed.
//!
//! It is written after each group is durable and is itself not synced: after the death of the
//! process it is exact, after that of the machine it may name an earlier group, never a later one.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::path::PathBuf;

use xxhash_rust::xxh3::xxh3_64;

use crate::OpenLogError;

const NAME: &str = "acknowledged";

/// The open file.
#[derive(Debug)]
pub(super) struct AcknowledgedFile {
    file: File,
}

impl AcknowledgedFile {
    /// Opens the file; returns it with the number that it holds, 0 if it is new.
    pub(super) fn open(folder: &Path) -> Result<(Self, u64), OpenLogError> {
        let failed = |source| OpenLogError::Folder { folder: folder.to_owned(), source };
        let path = path(folder);
        let mut file = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(failed)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(failed)?;
        let number = decode(&bytes).ok_or_else(|| OpenLogError::Corrupt {
            folder: folder.to_owned(),
            what: format!("{} is not whole", path.display()),
        })?;
        let acknowledged = Self { file };
        if bytes.is_empty() {
            // Its blocks exist from now on: later writes change them and need no space.
            acknowledged.write(0);
            acknowledged.file.sync_all().map_err(failed)?;
        }
        Ok((acknowledged, number))
    }

    /// Remembers a group that has become durable.
    pub(super) fn write(&self, number: u64) {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        bytes[8..].copy_from_slice(&xxh3_64(&number.to_le_bytes()).to_le_bytes());
        // Should this fail, an earlier number stays, which only makes the check at the next start
        // less strict.
        let _ = self.file.write_all_at(&bytes, 0);
    }
}

fn path(folder: &Path) -> PathBuf {
    folder.join(NAME)
}

fn decode(bytes: &[u8]) -> Option<u64> {
    if bytes.is_empty() {
        return Some(0);
    }
    let (number, checksum) = bytes.split_at_checked(8)?;
    let found = u64::from_le_bytes(checksum.try_into().ok()?);
    (found == xxh3_64(number)).then_some(u64::from_le_bytes(number.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_number_is_read_back_and_damage_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let (file, number) = AcknowledgedFile::open(folder.path()).unwrap();
        assert_eq!(number, 0);
        file.write(7);
        file.write(8);
        assert_eq!(AcknowledgedFile::open(folder.path()).unwrap().1, 8);
        std::fs::write(path(folder.path()), [8, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8])
            .unwrap();
        assert!(matches!(AcknowledgedFile::open(folder.path()), Err(OpenLogError::Corrupt { .. })));
    }
}
