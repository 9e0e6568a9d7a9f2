//! Loading of files: YAML, then the schema's own rules, then its CEL rules, then the types.
//!
//! What an API server would refuse is refused here, in words; beyond that, unknown fields are
//! errors, since a misspelt option would otherwise silently do nothing.

mod bounds;
mod rules;
mod structure;
mod yaml;

pub use structure::nearest;

use std::fmt;

use serde_json::Value;

use crate::GROUP;
use crate::KIND;
use crate::TelemetryPipeline;
use crate::VERSION;
use crate::crd::crd_schema;

/// Largest file, in bytes: what an API server stores at most.
pub const MAX_FILE_BYTES: usize = 1024 * 1024;

/// Something wrong in a file.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LoadError {
    /// The file, as it was named to [`load`].
    pub file: String,
    /// Number of the document within the file, from 1; none where the file is no YAML at all.
    pub document: Option<usize>,
    /// Line and column, both from 1, of an error in the YAML itself.
    pub position: Option<(usize, usize)>,
    /// Path of the field, such as `spec.streams[0].key`; empty for the whole document.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to write instead, where that can be said.
    pub hint: Option<String>,
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some((line, column)) = self.position {
            write!(f, ":{line}:{column}")?;
        }
        if let Some(document) = self.document.filter(|document| *document > 1) {
            write!(f, " (document {document})")?;
        }
        if !self.path.is_empty() {
            write!(f, ": {}", self.path)?;
        }
        write!(f, ": {}", self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for LoadError {}

/// Something wrong within a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) path: String,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

impl Problem {
    pub(crate) fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into(), hint: None }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Loads the pipelines of a file, one in each of its YAML documents. Empty documents are passed
/// over.
///
/// # Errors
/// All that is wrong. A document's CEL rules are checked once its structure is right.
pub fn load(text: &str, file: &str) -> Result<Vec<TelemetryPipeline>, Vec<LoadError>> {
    let mut pipelines: Vec<TelemetryPipeline> = Vec::new();
    let mut errors = Vec::new();
    let documents = yaml::documents(text).map_err(|error| {
        vec![LoadError {
            file: file.to_owned(),
            document: None,
            position: error.position,
            path: String::new(),
            message: error.message,
            hint: None,
        }]
    })?;
    for (number, document) in documents {
        let problems = match pipeline(document) {
            Ok(pipeline) => {
                let name = &pipeline.metadata.name;
                if pipelines.iter().all(|other| other.metadata.name != *name) {
                    pipelines.push(pipeline);
                    continue;
                }
                vec![
                    Problem::new("metadata.name", "another pipeline in the file has this name")
                        .hint("give each a name of its own"),
                ]
            }
            Err(problems) => problems,
        };
        errors.extend(problems.into_iter().map(|problem| LoadError {
            file: file.to_owned(),
            document: Some(number),
            position: None,
            path: problem.path,
            message: problem.message,
            hint: problem.hint,
        }));
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    if pipelines.is_empty() {
        return Err(vec![LoadError {
            file: file.to_owned(),
            document: None,
            position: None,
            path: String::new(),
            message: "the file has no resource".to_owned(),
            hint: Some(format!("write one of apiVersion {GROUP}/{VERSION}, kind {KIND}")),
        }]);
    }
    Ok(pipelines)
}

/// One document as a pipeline.
fn pipeline(mut document: Value) -> Result<TelemetryPipeline, Vec<Problem>> {
    identity(&document).map_err(|problem| vec![problem])?;
    let problems = structure::check(crd_schema(), &mut document);
    if !problems.is_empty() {
        return Err(problems);
    }
    rules::check(crd_schema(), &document)?;
    serde_json::from_value(document).map_err(|error| vec![Problem::new("", error.to_string())])
}

/// Whether the document is a pipeline at all; everything else would only follow from that.
fn identity(document: &Value) -> Result<(), Problem> {
    let Value::Object(fields) = document else {
        return Err(Problem::new("", "the document is not a resource").hint(format!(
            "write apiVersion: {GROUP}/{VERSION}, kind: {KIND}, metadata and spec"
        )));
    };
    for (field, expected) in
        [("apiVersion", format!("{GROUP}/{VERSION}")), ("kind", KIND.to_owned())]
    {
        match fields.get(field) {
            Some(Value::String(found)) if *found == expected => {}
            Some(found) => {
                return Err(Problem::new(field, format!("is {}", structure::shown(found)))
                    .hint(format!("write `{expected}`")));
            }
            None => {
                return Err(Problem::new(field, "is missing").hint(format!("write `{expected}`")));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
