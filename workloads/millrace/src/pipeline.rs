//! Resources from their file to their plans, or all that is wrong with them.

use std::path::Path;
use std::path::PathBuf;

use clap::Args;
use millrace_api::LoadError;
use millrace_api::TelemetryPipeline;
use millrace_plan::ConfigMapError;
use millrace_plan::Plan;
use serde::Serialize;
use tracing::info;

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

/// Where ConfigMaps are that resources name.
#[derive(Debug, Clone, Args)]
pub(crate) struct ConfigMaps {
    /// Folder of ConfigMaps that the resource names: a folder for each, with a file for each of its
    /// keys, such as `config-maps/cpu-schema/schema.json`.
    #[arg(long = "config-maps", value_name = "DIR", default_value = "config-maps")]
    folder: PathBuf,
}

impl ConfigMaps {
    /// The text of a key.
    fn text(&self, name: &str, key: &str) -> Result<String, ConfigMapError> {
        let file = self.folder.join(name).join(key);
        std::fs::read_to_string(&file).map_err(|error| ConfigMapError {
            message: format!(
                "the key {key} of ConfigMap {name} cannot be read from {}: {error}",
                file.display()
            ),
            hint: Some("put it there, or name the folder of ConfigMaps with --config-maps".into()),
        })
    }
}

/// Loads the one pipeline of a file.
pub(crate) fn load(path: &Path, config_maps: &ConfigMaps) -> Result<Plan, LoadPipelineError> {
    one(path, config_maps).map(|(_, plan)| plan)
}

/// Loads the one pipeline of a file in order to run it in a process that is told all about it by
/// its arguments, and says what of the resource has no effect then.
pub(crate) fn load_to_run(
    path: &Path,
    config_maps: &ConfigMaps,
) -> Result<Plan, LoadPipelineError> {
    let (pipeline, plan) = one(path, config_maps)?;
    let sections = pipeline.spec.cluster_sections();
    if !sections.is_empty() {
        info!(
            message = "Some of the resource has an effect on a cluster alone.",
            fields = sections.join(", ")
        );
    }
    Ok(plan)
}

fn one(
    path: &Path,
    config_maps: &ConfigMaps,
) -> Result<(TelemetryPipeline, Plan), LoadPipelineError> {
    let mut all = read(path, config_maps)?;
    match (all.pop(), all.len()) {
        (Some(one), 0) => Ok(one),
        (_, others) => Err(LoadPipelineError::Several { path: path.to_owned(), count: others + 1 }),
    }
}

/// Loads every pipeline of a file; at least one.
pub(crate) fn load_all(
    path: &Path,
    config_maps: &ConfigMaps,
) -> Result<Vec<Plan>, LoadPipelineError> {
    Ok(read(path, config_maps)?.into_iter().map(|(_, plan)| plan).collect())
}

fn read(
    path: &Path,
    config_maps: &ConfigMaps,
) -> Result<Vec<(TelemetryPipeline, Plan)>, LoadPipelineError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| LoadPipelineError::Read { path: path.to_owned(), source })?;
    let file = path.display().to_string();
    let invalid = |problems| LoadPipelineError::Invalid { path: path.to_owned(), problems };
    let pipelines = millrace_api::load(&text, &file)
        .map_err(|errors| invalid(errors.into_iter().map(Problem::from).collect()))?;
    let mut plans = Vec::new();
    let mut problems = Vec::new();
    for pipeline in pipelines {
        match millrace_plan::plan_with(&pipeline, &|name, key| config_maps.text(name, key)) {
            Ok(plan) => plans.push((pipeline, plan)),
            Err(errors) => problems.extend(errors.into_iter().map(|error| Problem {
                place: format!("{file}: {}", error.path),
                message: error.message,
                hint: error.hint,
            })),
        }
    }
    if problems.is_empty() { Ok(plans) } else { Err(invalid(problems)) }
}
