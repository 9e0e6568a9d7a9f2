//! `millrace replay`: recorded events of a stream, appended again to another.

use std::time::Duration;

use clap::Args;
use millrace_core::StreamName;
use serde_json::Value;
use serde_json::json;
use tokio::time::Instant;

use crate::client::ApiAddress;
use crate::client::Client;
use crate::client::RequestError;
use crate::exit::Exit;
use crate::exit::Outcome;
use crate::output;
use crate::output::OutputFormat;
use crate::process::replay::Bound;
use crate::process::signals;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(200);

/// Append recorded events of a stream again, to the same or another stream that clients write.
///
/// Each keeps its key, time, id and headers. Ctrl-C leaves the replay going on; the same command
/// shows it again, or continues it where the process was stopped, and appends nothing twice.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  millrace replay --stream commands --from 0 --to corrected
  millrace replay --stream cars --from 2026-01-01T00:00:00Z --until 2026-01-02T00:00:00Z --to again")]
pub(crate) struct ReplayArguments {
    /// The recorded stream.
    #[arg(long)]
    stream: StreamName,

    /// The first event: a time in RFC 3339, or an offset, the same in each partition.
    #[arg(long, value_name = "TIME|OFFSET")]
    from: Bound,

    /// The end, not included; without it where the stream ends now.
    #[arg(long, value_name = "TIME|OFFSET")]
    until: Option<Bound>,

    /// The stream that takes the events.
    #[arg(long, value_name = "STREAM")]
    to: StreamName,

    /// Begin anew, though the same replay was begun before.
    #[arg(long)]
    restart: bool,

    #[command(flatten)]
    api: ApiAddress,
}

#[derive(Debug, thiserror::Error)]
enum ReplayError {
    #[error("the replay broke off: {0}. The same command continues it")]
    BrokeOff(String),
    #[error("the replay goes on; the same command shows it again")]
    Left,
}

/// Runs the command.
pub(crate) async fn run(arguments: ReplayArguments, output: OutputFormat) -> Outcome {
    let client = Client::new(&arguments.api)?;
    let interrupted = signals::shutdown().map_err(Exit::Software.of())?;
    let request = json!({
        "stream": arguments.stream,
        "from": arguments.from.to_string(),
        "until": arguments.until.map(|until| until.to_string()),
        "to": arguments.to,
        "restart": arguments.restart,
    });
    let begun =
        client.post_json("/api/v1/replays", &request).await?.map_err(RequestError::Refused)?;
    let id = begun["id"].as_str().unwrap_or_default();
    let path = format!("/api/v1/replays/{id}");
    let watched = output::is_watched() && output == OutputFormat::Text;
    let (since, mut first) = (Instant::now(), None);
    loop {
        let replay = client.get(&path).await?;
        let finished = replay["state"] != "running";
        if watched {
            let first = *first.get_or_insert_with(|| number(&replay, "done"));
            let line = describe(&replay, first, since.elapsed());
            output::rewrite(if finished { "" } else { &line });
        }
        if finished {
            return done(&arguments, &replay, output);
        }
        if interrupted.run_until_cancelled(tokio::time::sleep(LOOK)).await.is_none() {
            return Err(Exit::TemporaryFailure.because(ReplayError::Left));
        }
    }
}

fn done(arguments: &ReplayArguments, replay: &Value, output: OutputFormat) -> Outcome {
    if replay["state"] == "failed" {
        let reason = replay["reason"].as_str().unwrap_or_default().to_owned();
        return Err(Exit::Io.because(ReplayError::BrokeOff(reason)));
    }
    match output {
        OutputFormat::Json => output::json(replay)?,
        OutputFormat::Text => output::line(&format!(
            "{} events of `{}` were appended to `{}`, {} became dead letters.",
            number(replay, "appended"),
            arguments.stream,
            arguments.to,
            number(replay, "refused")
        ))?,
    }
    Ok(())
}

fn number(replay: &Value, name: &str) -> i64 {
    replay[name].as_i64().unwrap_or(0)
}

// Counts of entries are far below 2^53.
#[expect(clippy::cast_precision_loss)]
fn describe(replay: &Value, first: i64, since: Duration) -> String {
    let (done, total) = (number(replay, "done"), number(replay, "total"));
    let rate = (done - first) as f64 / since.as_secs_f64().max(0.001);
    let mut line = format!("{done} of {total} entries, {rate:.0} entries/s");
    if rate > 0.0 && done < total {
        line.push_str(&format!(", about {:.0} s left", (total - done) as f64 / rate));
    }
    line
}
