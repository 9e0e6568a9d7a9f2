//! `cargo xtask generate`: files that are made from code.

use std::path::Path;

use clap::Args;
use clap::Subcommand;

use crate::command::Outcome;
use crate::reference;
use crate::workspace;

/// Where the resource's definition is kept. A chart takes files of its own folder alone.
const CRD_FILES: [&str; 2] =
    ["crds/telemetrypipelines.yaml", "charts/millrace/files/telemetrypipelines.yaml"];

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
    /// The pages of the reference.
    Reference {
        /// Write nothing; fail if a page is not current.
        #[arg(long)]
        check: bool,
    },
}

#[derive(Debug, thiserror::Error)]
enum GenerateError {
    #[error("{file} is not current: run `cargo xtask generate {what}` and commit it")]
    Outdated { file: String, what: &'static str },
    #[error("cannot read {0}")]
    Read(String, #[source] std::io::Error),
    #[error("cannot write {0}")]
    Write(String, #[source] std::io::Error),
}

/// Runs the command.
pub(crate) fn run(arguments: &GenerateArguments) -> Outcome {
    match arguments.what {
        What::Crds { check } => {
            let files = CRD_FILES.map(|file| (file.to_owned(), millrace_api::crd_yaml()));
            finish("crds", &files, check)
        }
        What::Reference { check } => {
            let pages = reference::pages()?.into_iter();
            let pages = pages.map(|(file, text)| (format!("{}/{file}", reference::FOLDER), text));
            finish("reference", &pages.collect::<Vec<_>>(), check)
        }
    }
}

/// Writes files, or checks that they are current.
fn finish(what: &'static str, files: &[(String, String)], check: bool) -> Outcome {
    for (file, wanted) in files {
        let path = workspace::root().join(file);
        if check { compare(&path, file, wanted, what)? } else { write(&path, file, wanted)? }
    }
    Ok(())
}

fn compare(path: &Path, file: &str, wanted: &str, what: &'static str) -> Outcome {
    let found = std::fs::read_to_string(path)
        .map_err(|source| GenerateError::Read(file.to_owned(), source))?;
    if found == *wanted {
        Ok(())
    } else {
        Err(GenerateError::Outdated { file: file.to_owned(), what }.into())
    }
}

fn write(path: &Path, file: &str, wanted: &str) -> Outcome {
    let failed = |source| GenerateError::Write(file.to_owned(), source);
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    std::fs::write(path, wanted)
        .map_err(|source| GenerateError::Write(file.to_owned(), source).into())
}
