//! `cargo xtask generate`: files that are made from code.

use std::path::Path;

use clap::Args;
use clap::Subcommand;

use crate::command::Outcome;
use crate::workspace;

/// Where the resource's definition is kept.
const CRD_FILE: &str = "crds/telemetrypipelines.yaml";

#[derive(Debug, Args)]
pub(crate) struct GenerateArguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// The resource's definition for Kubernetes.
    Crds {
        /// Write nothing; fail if the file is not current.
        #[arg(long)]
        check: bool,
    },
}

#[derive(Debug, thiserror::Error)]
enum GenerateError {
    #[error("{0} is not current: run `cargo xtask generate crds` and commit it")]
    Outdated(String),
    #[error("cannot read {0}")]
    Read(String, #[source] std::io::Error),
    #[error("cannot write {0}")]
    Write(String, #[source] std::io::Error),
}

/// Runs the command.
pub(crate) fn run(arguments: &GenerateArguments) -> Outcome {
    let What::Crds { check } = arguments.what;
    let path = workspace::root().join(CRD_FILE);
    let wanted = millrace_api::crd_yaml();
    if check { compare(&path, &wanted) } else { write(&path, &wanted) }
}

fn compare(path: &Path, wanted: &str) -> Outcome {
    let found = std::fs::read_to_string(path)
        .map_err(|source| GenerateError::Read(CRD_FILE.to_owned(), source))?;
    if found == wanted { Ok(()) } else { Err(GenerateError::Outdated(CRD_FILE.to_owned()).into()) }
}

fn write(path: &Path, wanted: &str) -> Outcome {
    std::fs::write(path, wanted)
        .map_err(|source| GenerateError::Write(CRD_FILE.to_owned(), source).into())
}
