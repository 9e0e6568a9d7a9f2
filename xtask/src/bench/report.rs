//! Figures and their table.

use serde::Serialize;
use serde_json::Value;

/// One measured figure.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Figure {
    /// What was measured.
    pub(super) what: String,
    /// The figure with its unit.
    pub(super) value: String,
    /// What the project wants to reach.
    pub(super) target: String,
    /// How it was measured.
    pub(super) method: String,
    /// All that was measured beside it.
    pub(super) details: Value,
}

/// The figures as a table in Markdown.
pub(super) fn table(figures: &[Figure]) -> Vec<String> {
    let mut lines =
        vec!["| what | figure | to reach | how |".to_owned(), "|---|---|---|---|".to_owned()];
    lines.extend(figures.iter().map(|figure| {
        format!("| {} | {} | {} | {} |", figure.what, figure.value, figure.target, figure.method)
    }));
    lines
}
