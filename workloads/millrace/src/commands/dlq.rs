//! `millrace dlq`: the dead letters of a running pipeline.

use clap::Args;
use clap::Subcommand;
use serde_json::Value;
use serde_json::json;

use crate::client::ApiAddress;
use crate::client::Client;
use crate::exit::Exit;
use crate::exit::Failure;
use crate::exit::Outcome;
use crate::output;
use crate::output::OutputFormat;

/// Dead letters of one request.
const PAGE: u64 = 200;

/// List, show and replay what could not be processed.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  millrace dlq list
  millrace dlq list --stage ingest/cars --output json
  millrace dlq show 17
  millrace dlq replay 17
  millrace dlq replay --all --stage ingest/cars")]
pub(crate) struct DlqArguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List dead letters: where each was refused, when and why.
    List {
        /// Only those that this part refused, such as `ingest/cars` or `processor/motion`.
        #[arg(long)]
        stage: Option<String>,

        /// At most so many.
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: u64,

        #[command(flatten)]
        api: ApiAddress,
    },
    /// Show one dead letter with its original content.
    Show {
        /// Its offset, as `list` shows it.
        offset: i64,

        #[command(flatten)]
        api: ApiAddress,
    },
    /// Send dead letters through the way in again; each stays in the list.
    Replay {
        /// Offset of one, as `list` shows it.
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        offset: Option<i64>,

        /// All that are there now.
        #[arg(long)]
        all: bool,

        /// With --all: only those that this part refused.
        #[arg(long, requires = "all")]
        stage: Option<String>,

        #[command(flatten)]
        api: ApiAddress,
    },
}

#[derive(Debug, thiserror::Error)]
#[error("{refused} of {total} dead letters were refused again; the reasons are above")]
struct RefusedAgain {
    refused: usize,
    total: usize,
}

/// Runs the command.
pub(crate) async fn run(arguments: DlqArguments, output: OutputFormat) -> Outcome {
    match arguments.action {
        Action::List { stage, limit, api } => {
            let letters = letters(&Client::new(&api)?, stage.as_deref(), limit).await?;
            list(&letters, output)
        }
        Action::Show { offset, api } => {
            let letter = Client::new(&api)?.get(&format!("/api/v1/dead-letters/{offset}")).await?;
            show(&letter, output)
        }
        Action::Replay { offset, stage, api, .. } => {
            let client = Client::new(&api)?;
            let offsets = match offset {
                Some(offset) => vec![offset],
                None => letters(&client, stage.as_deref(), u64::MAX)
                    .await?
                    .iter()
                    .filter_map(|letter| letter["offset"].as_i64())
                    .collect(),
            };
            replay(&client, &offsets, output).await
        }
    }
}

async fn letters(client: &Client, stage: Option<&str>, limit: u64) -> Result<Vec<Value>, Failure> {
    let mut all = Vec::new();
    let mut from = None::<String>;
    loop {
        let left = limit.saturating_sub(all.len() as u64);
        let mut path = format!("/api/v1/dead-letters?limit={}", left.min(PAGE));
        if let Some(stage) = stage {
            path.push_str(&format!("&stage={}", stage.replace('/', "%2F")));
        }
        if let Some(from) = &from {
            path.push_str(&format!("&from={from}"));
        }
        let page = client.get(&path).await?;
        let letters = page["deadLetters"].as_array().cloned().unwrap_or_default();
        let is_last = letters.is_empty();
        all.extend(letters);
        let next = match &page["next"] {
            Value::String(next) => Some(next.clone()),
            Value::Number(next) => Some(next.to_string()),
            _ => None,
        };
        if is_last || next.is_none() || next == from || all.len() as u64 >= limit {
            return Ok(all);
        }
        from = next;
    }
}

fn list(letters: &[Value], output: OutputFormat) -> Outcome {
    match output {
        OutputFormat::Json => output::json(&letters)?,
        OutputFormat::Text if letters.is_empty() => output::line("There are no dead letters.")?,
        OutputFormat::Text => {
            let heading = ["OFFSET", "ARRIVED", "STAGE", "CONTEXT", "BYTES", "REASON"];
            let mut rows = vec![heading.map(str::to_owned).to_vec()];
            rows.extend(letters.iter().map(|letter| {
                vec![
                    text(&letter["offset"]),
                    time(&letter["ingestTime"]),
                    text(&letter["stage"]),
                    text(&letter["context"]),
                    text(&letter["bytes"]),
                    text(&letter["reason"]).replace('\n', " "),
                ]
            }));
            for line in output::columns(&rows) {
                output::line(&line)?;
            }
        }
    }
    Ok(())
}

fn show(letter: &Value, output: OutputFormat) -> Outcome {
    if output == OutputFormat::Json {
        output::json(letter)?;
        return Ok(());
    }
    let mut rows = vec![
        ("offset", text(&letter["offset"])),
        ("stage", text(&letter["stage"])),
        ("reason", text(&letter["reason"])),
        ("context", text(&letter["context"])),
        ("key", text(&letter["key"])),
        ("event time", time(&letter["eventTime"])),
        ("arrived", time(&letter["ingestTime"])),
        ("id", text(&letter["id"])),
    ];
    let source = &letter["source"];
    if source.is_object() {
        let place = [&source["stream"], &source["partition"], &source["offset"]].map(text);
        rows.push(("read from", place.join("/")));
    }
    rows.retain(|(_, value)| !value.is_empty() && value != "null");
    let rows: Vec<_> =
        rows.into_iter().map(|(name, value)| vec![format!("{name}:"), value]).collect();
    for line in output::columns(&rows) {
        output::line(&line)?;
    }
    match letter["originalText"].as_str() {
        Some(original) => output::line(&format!("original:\n{original}"))?,
        None => output::line(&format!(
            "original, which is not text, in base64:\n{}",
            text(&letter["originalBase64"])
        ))?,
    }
    Ok(())
}

async fn replay(client: &Client, offsets: &[i64], output: OutputFormat) -> Outcome {
    let mut refused = 0;
    let mut results = Vec::new();
    for offset in offsets {
        let answer = client.post(&format!("/api/v1/dead-letters/{offset}/replay")).await?;
        let result = match answer {
            Ok(_) => json!({"offset": offset, "accepted": true}),
            Err(reason) => {
                refused += 1;
                json!({"offset": offset, "accepted": false, "reason": reason})
            }
        };
        if output == OutputFormat::Text {
            output::line(&match result["reason"].as_str() {
                None => format!("{offset}: accepted"),
                Some(reason) => format!("{offset}: refused: {reason}"),
            })?;
        }
        results.push(result);
    }
    if output == OutputFormat::Json {
        output::json(&results)?;
    } else if offsets.is_empty() {
        output::line("There are no dead letters.")?;
    }
    if refused > 0 {
        return Err(Exit::Data.because(RefusedAgain { refused, total: offsets.len() }));
    }
    Ok(())
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn time(value: &Value) -> String {
    value.as_i64().map_or_else(String::new, millrace_core::time::rfc3339)
}
