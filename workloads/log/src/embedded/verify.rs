//! Verifies tables at start: each file as a whole against the checksum that fjall noted when it
//! wrote it.

use std::cmp::Reverse;
use std::fs::File;
use std::io;
use std::io::Read;
use std::path::Path;

use fjall::AbstractTree;
use xxhash_rust::xxh3::Xxh3;

use super::store::Store;

/// Verifies the newest tables up to a number of bytes, and that the files of all others are
/// there; says which one is damaged. What is not verified here is verified block by block when it is
/// read.
pub(super) fn tables(store: &Store, bytes: u64) -> Result<(), String> {
    // A version keeps its files, whatever the background work does meanwhile.
    let versions: Vec<_> =
        store.keyspaces().iter().map(|keyspace| keyspace.tree.current_version()).collect();
    let mut tables = Vec::new();
    for version in &versions {
        for table in version.iter_tables() {
            let path = table.path.as_ref().clone();
            let metadata = std::fs::metadata(&path).map_err(|error| damaged(&path, &error))?;
            let modified = metadata.modified().map_err(|error| damaged(&path, &error))?;
            tables.push((Reverse(modified), path, metadata.len(), table.checksum().into_u128()));
        }
    }
    tables.sort();
    let mut left = bytes;
    for (_, path, length, expected) in tables {
        let Some(rest) = left.checked_sub(length) else { break };
        left = rest;
        let found = checksum(&path).map_err(|error| damaged(&path, &error))?;
        if found != expected {
            return Err(format!("the checksum of {} is wrong", path.display()));
        }
    }
    Ok(())
}

fn damaged(path: &Path, error: &io::Error) -> String {
    format!("{} cannot be read: {error}", path.display())
}

fn checksum(path: &Path) -> io::Result<u128> {
    let mut file = File::open(path)?;
    let mut hasher = Xxh3::new();
    let mut buffer = vec![0; 256 << 10];
    loop {
        let length = file.read(&mut buffer)?;
        if length == 0 {
            return Ok(hasher.digest128());
        }
        hasher.update(&buffer[..length]);
    }
}
