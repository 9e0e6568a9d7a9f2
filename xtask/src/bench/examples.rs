//! Figures that crates measure in their examples: each prints one JSON object.

use std::error::Error;

use serde_json::Value;

use crate::bench::report::Figure;
use crate::command;
use crate::workspace;

/// Name of the measurement, crate and example.
pub(super) const ALL: [(&str, &str, &str); 3] = [
    ("log appends", "millrace-log", "append_bench"),
    ("operators", "millrace-processors", "operators_bench"),
    ("mqtt ingest", "millrace-ingest", "mqtt_bench"),
];

/// Runs an example in release mode and takes over what it printed.
pub(super) fn measure(
    name: &str,
    package: &str,
    example: &str,
) -> Result<Vec<Figure>, Box<dyn Error>> {
    let arguments = ["run", "--quiet", "--release", "--package", package, "--example", example];
    let printed = command::output(&workspace::root(), "cargo", &arguments)?;
    let details: Value = serde_json::from_str(printed.trim())?;
    Ok(figures(name, &format!("example {example} of {package}"), &details))
}

fn figures(name: &str, method: &str, details: &Value) -> Vec<Figure> {
    vec![Figure {
        what: name.to_owned(),
        value: details.to_string(),
        target: String::new(),
        method: method.to_owned(),
        details: details.clone(),
    }]
}
