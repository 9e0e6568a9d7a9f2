//! Writes the table of files that the crate embeds.

use std::fmt::Write;
use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;

/// Writes to `table` one line of Rust for each file below `site`, sorted by path.
pub(crate) fn write_table(site: &Path, table: &Path) -> io::Result<()> {
    let mut files = Vec::new();
    collect(site, "", &mut files)?;
    files.sort();
    let mut text = String::from("&[\n");
    for (name, path) in &files {
        // Rust's notation of a text, whatever characters the path has.
        let path = path.to_string_lossy();
        let _ = writeln!(text, "    ({name:?}, include_bytes!({path:?})),");
    }
    text.push_str("]\n");
    fs::write(table, text)
}

fn collect(folder: &Path, prefix: &str, files: &mut Vec<(String, PathBuf)>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), &format!("{name}/"), files)?;
        } else {
            files.push((name, entry.path()));
        }
    }
    Ok(())
}
