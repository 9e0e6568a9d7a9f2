//! Resources from their file to their plans, or all that is wrong with them.

use std::path::Path;
use std::path::PathBuf;

use millrace_api::LoadError;
use millrace_plan::Plan;
use serde::Serialize;

use crate::exit::Exit;
use crate::exit::Failure;

/// One thing that is wrong with a resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Problem {
    /// File, line or document, and path of the field.
    place: String,
    /// What is wrong.
    message: String,
    /// What to write instead, where that can be said.
    hint: Option<String>,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.place, self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

impl From<LoadError> for Problem {
    fn from(error: LoadError) -> Self {
        let mut place = error.file;
        if let Some((line, column)) = error.position {
            place.push_str(&format!(":{line}:{column}"));
        }
        if let Some(document) = error.document.filter(|document| *document > 1) {
            place.push_str(&format!(" (document {document})"));
        }
        if !error.path.is_empty() {
            place.push_str(&format!(": {}", error.path));
        }
        Self { place, message: error.message, hint: error.hint }
    }
}

/// A resource that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadPipelineError {
    /// The file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The resource is wrong.
    #[error("{} is not valid:\n{}", path.display(), list(problems))]
    Invalid {
        /// The file.
        path: PathBuf,
        /// All that is wrong.
        problems: Vec<Problem>,
    },
    /// The file has several resources where one is wanted.
    #[error("{path} has {count} pipelines: a process runs one, so write each to a file of its own")]
    Several {
        /// The file.
        path: PathBuf,
        /// How many.
        count: usize,
    },
}

fn list(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("  {problem}")).collect::<Vec<_>>().join("\n")
}

impl From<LoadPipelineError> for Failure {
    fn from(error: LoadPipelineError) -> Self {
        match error {
            LoadPipelineError::Read { .. } => Exit::NoInput.because(error),
            LoadPipelineError::Invalid { .. } | LoadPipelineError::Several { .. } => {
                Exit::Data.because(error)
            }
        }
    }
}

/// Loads the one pipeline of a file.
pub(crate) fn load(path: &Path) -> Result<Plan, LoadPipelineError> {
    let mut plans = load_all(path)?;
    match (plans.pop(), plans.len()) {
        (Some(plan), 0) => Ok(plan),
        (_, others) => Err(LoadPipelineError::Several { path: path.to_owned(), count: others + 1 }),
    }
}

/// Loads every pipeline of a file; at least one.
pub(crate) fn load_all(path: &Path) -> Result<Vec<Plan>, LoadPipelineError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| LoadPipelineError::Read { path: path.to_owned(), source })?;
    let file = path.display().to_string();
    let invalid = |problems| LoadPipelineError::Invalid { path: path.to_owned(), problems };
    let pipelines = millrace_api::load(&text, &file)
        .map_err(|errors| invalid(errors.into_iter().map(Problem::from).collect()))?;
    let mut plans = Vec::new();
    let mut problems = Vec::new();
    for pipeline in &pipelines {
        match millrace_plan::plan(pipeline) {
            Ok(plan) => plans.push(plan),
            Err(errors) => problems.extend(errors.into_iter().map(|error| Problem {
                place: format!("{file}: {}", error.path),
                message: error.message,
                hint: error.hint,
            })),
        }
    }
    if problems.is_empty() { Ok(plans) } else { Err(invalid(problems)) }
}
