//! `millrace test`: runs the test cases of pipelines.

use std::io::IsTerminal as _;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use tokio::time::Instant;

use crate::cases;
use crate::cases::CaseFile;
use crate::cases::ReadCasesError;
use crate::exit::Exit;
use crate::exit::Failure;
use crate::exit::Outcome;
use crate::output;
use crate::output::OutputFormat;
use crate::pipeline;
use crate::pipeline::ConfigMaps;

/// Run the test cases of pipelines: messages and requests in, expected events, rows and answers out.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  millrace test examples/race.test.yaml
  millrace test examples/race.yaml                         The cases beside it
  millrace test examples/*.test.yaml --only overtake")]
pub(crate) struct TestArguments {
    /// Files of test cases, or pipelines with such files beside them: `race.test.yaml` for
    /// `race.yaml`.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Only cases whose names contain this.
    #[arg(long, visible_alias = "filter", value_name = "TEXT")]
    only: Option<String>,

    #[command(flatten)]
    config_maps: ConfigMaps,
}

#[derive(Debug, thiserror::Error)]
enum TestError {
    #[error("{failed} of {total} cases failed")]
    Failed { failed: usize, total: usize },
    #[error("cannot write the secrets of {path}")]
    Secrets { path: PathBuf, source: std::io::Error },
    #[error("there are no cases{}", only.as_ref().map(|only| format!(" with `{only}` in their names")).unwrap_or_default())]
    NoCases { only: Option<String> },
}

impl From<ReadCasesError> for Failure {
    fn from(error: ReadCasesError) -> Self {
        match error {
            ReadCasesError::Read { .. } => Exit::NoInput.because(error),
            ReadCasesError::Form { .. } | ReadCasesError::Pipeline { .. } => {
                Exit::Data.because(error)
            }
        }
    }
}

/// Runs the command.
pub(crate) async fn run(arguments: TestArguments, output: OutputFormat) -> Outcome {
    let mut results = Vec::new();
    let mut failed = 0;
    for path in &arguments.files {
        let path = &cases::cases_of(path);
        let file = CaseFile::read(path)?;
        let pipeline = file.pipeline(path)?;
        let plan = pipeline::load(&pipeline, &arguments.config_maps)?;
        let folder = path.parent().unwrap_or_else(|| std::path::Path::new("."));
        let secrets = secrets_of(&file).map_err(|source| {
            Exit::CannotCreate.because(TestError::Secrets { path: path.clone(), source })
        })?;
        let chosen = file.cases.iter().filter(|case| {
            arguments.only.as_ref().is_none_or(|only| case.name.contains(only.as_str()))
        });
        for case in chosen {
            let begin = Instant::now();
            let differences = cases::execute(plan.clone(), case, folder, secrets.path()).await?;
            failed += usize::from(!differences.is_empty());
            if output == OutputFormat::Text {
                let verdict = if differences.is_empty() { "ok" } else { "FAILED" };
                output::line(&format!(
                    "{verdict}  {}: {} ({:.1} s)",
                    path.display(),
                    case.name,
                    begin.elapsed().as_secs_f64()
                ))?;
                for difference in &differences {
                    output::line(&coloured(&format!("      {difference}")))?;
                }
            }
            results.push(json!({
                "file": path.display().to_string(),
                "case": case.name,
                "passed": differences.is_empty(),
                "differences": differences,
            }));
        }
    }
    if output == OutputFormat::Json {
        output::json(&results)?;
    }
    if results.is_empty() {
        return Err(Exit::Data.because(TestError::NoCases { only: arguments.only }));
    }
    if failed > 0 {
        return Err(Exit::Data.because(TestError::Failed { failed, total: results.len() }));
    }
    Ok(())
}

/// The Secrets of a file of cases, each a folder with a file for each key.
fn secrets_of(file: &CaseFile) -> std::io::Result<tempfile::TempDir> {
    let folder = tempfile::tempdir()?;
    for (name, keys) in &file.secrets {
        let secret = folder.path().join(name);
        std::fs::create_dir_all(&secret)?;
        for (key, value) in keys {
            std::fs::write(secret.join(key), value)?;
        }
    }
    Ok(folder)
}

/// A line of a difference as a terminal shows it: what was expected in red, what came in green.
fn coloured(line: &str) -> String {
    if !std::io::stdout().is_terminal() || std::env::var_os("NO_COLOR").is_some() {
        return line.to_owned();
    }
    match line.trim_start().chars().next() {
        Some('-') => format!("\u{1b}[31m{line}\u{1b}[0m"),
        Some('+') => format!("\u{1b}[32m{line}\u{1b}[0m"),
        _ => line.to_owned(),
    }
}
