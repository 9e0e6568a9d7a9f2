//! Standard output and standard error. All that the program says passes through here.

use std::io::IsTerminal as _;
use std::io::Write as _;

use serde::Serialize;

/// The form of a command's result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum OutputFormat {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// Standard output that cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to standard output")]
pub(crate) struct WriteOutputError(#[from] std::io::Error);

impl WriteOutputError {
    /// Whether the reader has gone.
    pub(crate) fn is_closed(&self) -> bool {
        self.0.kind() == std::io::ErrorKind::BrokenPipe
    }
}

/// Writes a line of a result.
pub(crate) fn line(text: &str) -> Result<(), WriteOutputError> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()?;
    Ok(())
}

/// Writes a result as indented JSON.
pub(crate) fn json(value: &impl Serialize) -> Result<(), WriteOutputError> {
    line(&serde_json::to_string_pretty(value).map_err(std::io::Error::from)?)
}

/// Writes a line of JSON, one of many.
pub(crate) fn json_line(value: &impl Serialize) -> Result<(), WriteOutputError> {
    line(&serde_json::to_string(value).map_err(std::io::Error::from)?)
}

/// Writes something beside the result, to standard error. What cannot be told is not told.
pub(crate) fn note(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Writes over the current line of a terminal on standard error.
pub(crate) fn rewrite(text: &str) {
    let mut error = std::io::stderr().lock();
    let _ = write!(error, "\r\x1b[2K{text}");
    let _ = error.flush();
}

/// Whether a person watches standard error.
pub(crate) fn is_watched() -> bool {
    std::io::stderr().is_terminal()
}

/// Lays cells out in columns, two spaces between them.
pub(crate) fn columns(rows: &[Vec<String>]) -> Vec<String> {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|c| c.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..count).map(width).collect();
    rows.iter()
        .map(|row| {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [vec!["stream".into(), "records".into()], vec!["a".into(), "12".into()]];
        assert_eq!(columns(&rows), ["stream  records", "a       12"]);
    }
}
