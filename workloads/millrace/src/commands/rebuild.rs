//! `millrace rebuild`: a table or a processor's results, made anew from the log.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use millrace_log::EmbeddedLog;
use millrace_log::EmbeddedLogOptions;
use millrace_log::Log;
use serde_json::Value;
use serde_json::json;
use tokio::time::Instant;

use crate::client::ApiAddress;
use crate::client::Client;
use crate::client::RequestError;
use crate::exit::Exit;
use crate::exit::Failure;
use crate::exit::Outcome;
use crate::output;
use crate::output::OutputFormat;
use crate::process::generations::Authority;
use crate::process::generations::LedgerError;
use crate::process::generations::LedgerStore;
use crate::process::operations::unknown_part;
use crate::process::signals;
use crate::process::storage::LOG_FOLDER;
use crate::process::storage::OpenStorageError;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(200);
/// Between two lines where nobody watches.
const UNWATCHED: Duration = Duration::from_secs(10);

/// Make a table, or what a processor computes, anew from the log, beside what is served.
///
/// What is served stays until the new has come as far; then it is exchanged at once. Ctrl-C leaves
/// the rebuild going on, and the same command shows it again.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  millrace rebuild timestamps
  millrace rebuild timestamps --partial
  millrace rebuild timestamps --data .millrace/timestamps")]
pub(crate) struct RebuildArguments {
    /// Name of a table sink or processor.
    name: String,

    /// Rebuild from what the log still has, though its retention has removed what the rows of
    /// today were made from.
    #[arg(long)]
    partial: bool,

    /// Data folder of a pipeline that is stopped: the rebuild begins at its next start.
    #[arg(long, value_name = "DIR", conflicts_with = "url")]
    data: Option<PathBuf>,

    #[command(flatten)]
    api: ApiAddress,
}

/// A rebuild that was not begun, or not seen to its end.
#[derive(Debug, thiserror::Error)]
enum RebuildError {
    #[error("{0}")]
    Unknown(String),
    #[error("there is no pipeline's data in {0}: write the folder that `millrace run` names")]
    NoData(PathBuf),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error("the rebuild goes on; `millrace rebuild {0}` shows it again")]
    Left(String),
    #[error("the rebuild was given up, and what was served stays: {0}")]
    GivenUp(String),
}

impl From<RebuildError> for Failure {
    fn from(error: RebuildError) -> Self {
        let exit = match &error {
            RebuildError::Unknown(_) | RebuildError::GivenUp(_) => Exit::Data,
            RebuildError::NoData(_) => Exit::NoInput,
            RebuildError::Ledger(_) => Exit::Io,
            RebuildError::Left(_) => Exit::TemporaryFailure,
        };
        exit.because(error)
    }
}

/// Runs the command.
pub(crate) async fn run(arguments: RebuildArguments, output: OutputFormat) -> Outcome {
    match &arguments.data {
        Some(folder) => request(folder, &arguments, output).await,
        None => follow(&arguments, output).await,
    }
}

/// Writes the wish into the ledger of a pipeline that is stopped.
async fn request(folder: &Path, arguments: &RebuildArguments, output: OutputFormat) -> Outcome {
    let name = &arguments.name;
    if !folder.join(LOG_FOLDER).is_dir() {
        return Err(RebuildError::NoData(folder.to_owned()).into());
    }
    let log = EmbeddedLog::open(EmbeddedLogOptions::new(folder.join(LOG_FOLDER)))
        .map_err(OpenStorageError::from)?;
    let log: Arc<dyn Log> = log;
    let result = note_wish(Arc::clone(&log), name, arguments.partial).await;
    log.close().await;
    result?;
    match output {
        OutputFormat::Json => output::json(&json!({"name": name, "begins": "nextStart"}))?,
        OutputFormat::Text => {
            output::line(&format!("`{name}` is rebuilt from the next start on."))?;
        }
    }
    Ok(())
}

async fn note_wish(log: Arc<dyn Log>, name: &str, partial: bool) -> Result<(), RebuildError> {
    let mut store = LedgerStore::open(log, Authority::Alone).await?;
    let ledger = store.ledger();
    if !ledger.known.contains(name) {
        let known: Vec<&str> = ledger.known.iter().map(String::as_str).collect();
        return Err(RebuildError::Unknown(unknown_part(name, &known)));
    }
    store
        .change(|ledger| {
            ledger.requested.insert(name.to_owned(), partial);
        })
        .await?;
    Ok(())
}

/// Asks the running pipeline, and shows how far it comes.
async fn follow(arguments: &RebuildArguments, output: OutputFormat) -> Outcome {
    let client = Client::new(&arguments.api)?;
    let interrupted = signals::shutdown().map_err(Exit::Software.of())?;
    let wish = json!({"name": arguments.name, "partial": arguments.partial});
    let begun =
        client.post_json("/api/v1/rebuilds", &wish).await?.map_err(RequestError::Refused)?;
    if begun["joined"] == true && output == OutputFormat::Text {
        output::note("It is being rebuilt already.");
    }
    let watched = output::is_watched() && output == OutputFormat::Text;
    let (since, mut told) = (Instant::now(), Instant::now());
    let mut first = None;
    loop {
        let answer = client.get("/api/v1/rebuilds").await?;
        let rebuild = &answer["rebuild"];
        if rebuild["state"] == "givenUp" {
            let reason = rebuild["reason"].as_str().unwrap_or_default().to_owned();
            return Err(RebuildError::GivenUp(reason).into());
        }
        if answer["running"] == false || rebuild["state"] == "done" {
            if watched {
                output::rewrite("");
            }
            return done(arguments, rebuild, output);
        }
        let line =
            describe(rebuild, *first.get_or_insert_with(|| entries(rebuild)), since.elapsed());
        if watched {
            output::rewrite(&line);
        } else if output == OutputFormat::Text && told.elapsed() > UNWATCHED {
            output::note(&line);
            told = Instant::now();
        }
        if interrupted.run_until_cancelled(tokio::time::sleep(LOOK)).await.is_none() {
            if watched {
                output::rewrite("");
            }
            return Err(RebuildError::Left(arguments.name.clone()).into());
        }
    }
}

fn done(arguments: &RebuildArguments, rebuild: &Value, output: OutputFormat) -> Outcome {
    match output {
        OutputFormat::Json => output::json(rebuild)?,
        OutputFormat::Text => output::line(&format!(
            "`{}` is rebuilt and served, from {} recorded events.",
            arguments.name,
            entries(rebuild)
        ))?,
    }
    Ok(())
}

fn entries(rebuild: &Value) -> i64 {
    rebuild["done"].as_i64().unwrap_or(0)
}

// Counts of entries are far below 2^53.
#[expect(clippy::cast_precision_loss)]
fn describe(rebuild: &Value, first: i64, since: Duration) -> String {
    let (done, total) = (entries(rebuild), rebuild["total"].as_i64().unwrap_or(0));
    if let Some(reason) = rebuild["reason"].as_str() {
        return format!("it waits: {reason}");
    }
    let rate = (done - first) as f64 / since.as_secs_f64().max(0.001);
    let mut line = format!("{done} of {total} events, {rate:.0} events/s");
    if rate > 0.0 && done < total {
        line.push_str(&format!(", about {:.0} s left", (total - done) as f64 / rate));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_says_how_much_is_done_how_fast_and_what_is_left() {
        let rebuild = json!({"state": "filling", "done": 600, "total": 1000});
        assert_eq!(
            describe(&rebuild, 100, Duration::from_secs(5)),
            "600 of 1000 events, 100 events/s, about 4 s left"
        );
        let waiting = json!({"state": "waiting", "reason": "the disk is full"});
        assert_eq!(describe(&waiting, 0, Duration::from_secs(1)), "it waits: the disk is full");
    }
}
