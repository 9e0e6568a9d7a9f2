//! `millrace validate`: whether resources are right, and all that is wrong with them.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::exit::Exit;
use crate::exit::Outcome;
use crate::exposed;
use crate::output;
use crate::output::OutputFormat;
use crate::pipeline;
use crate::pipeline::ConfigMaps;
use crate::pipeline::LoadPipelineError;

/// Say what is wrong with resources: fields, references, programs and schemas.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  millrace validate examples/race.yaml
  millrace validate examples/*.yaml --output json")]
pub(crate) struct ValidateArguments {
    /// Files with a TelemetryPipeline each.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    #[command(flatten)]
    config_maps: ConfigMaps,
}

#[derive(Debug, thiserror::Error)]
#[error("{invalid} of {total} files are not valid")]
struct InvalidResources {
    invalid: usize,
    total: usize,
}

/// Runs the command.
pub(crate) fn run(arguments: &ValidateArguments, output: OutputFormat) -> Outcome {
    let mut results = Vec::new();
    let mut invalid = 0;
    for path in &arguments.files {
        let problems = match pipeline::load_all(path, &arguments.config_maps) {
            Ok(plans) => {
                for warning in plans.iter().filter_map(exposed::warning) {
                    output::note(&warning);
                }
                Vec::new()
            }
            Err(LoadPipelineError::Invalid { problems, .. }) => problems,
            Err(error) => return Err(error.into()),
        };
        invalid += usize::from(!problems.is_empty());
        if output == OutputFormat::Text {
            if problems.is_empty() {
                output::line(&format!("{}: valid", path.display()))?;
            }
            for problem in &problems {
                output::line(&problem.to_string())?;
            }
        }
        results.push(json!({
            "file": path.display().to_string(),
            "valid": problems.is_empty(),
            "problems": problems,
        }));
    }
    if output == OutputFormat::Json {
        output::json(&results)?;
    }
    if invalid > 0 {
        return Err(Exit::Data.because(InvalidResources { invalid, total: results.len() }));
    }
    Ok(())
}
