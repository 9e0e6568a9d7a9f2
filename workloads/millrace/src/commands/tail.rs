//! `millrace tail`: the records of a stream of a running pipeline.

use std::str::FromStr;

use clap::Args;
use serde_json::Value;

use crate::client::ApiAddress;
use crate::client::Client;
use crate::client::ServerEvent;
use crate::exit::Outcome;
use crate::output;
use crate::output::OutputFormat;

/// Records of one request.
const PAGE: i64 = 500;

/// Show a stream's records, one a line; with --follow, further ones as they come.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  millrace tail events --follow
  millrace tail coordinates --from start --output json
  millrace tail coordinates --partition 2 --from 1000 --limit 10")]
pub(crate) struct TailArguments {
    /// The stream; a processor's stream has the processor's name.
    stream: String,

    /// Where to begin: `start`, `now`, or an offset (of the partition that --partition names).
    ///
    /// Without it: now if records are followed, else the last 10 of each partition.
    #[arg(long, value_name = "start|now|OFFSET")]
    from: Option<From>,

    /// Only this partition.
    #[arg(long, value_name = "N")]
    partition: Option<i32>,

    /// End after so many records.
    #[arg(long, value_name = "N")]
    limit: Option<u64>,

    /// Wait for further records.
    #[arg(long, short)]
    follow: bool,

    #[command(flatten)]
    api: ApiAddress,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    Start,
    Now,
    Offset(i64),
}

impl FromStr for From {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "start" => Ok(Self::Start),
            "now" => Ok(Self::Now),
            number => number
                .parse()
                .ok()
                .filter(|offset| *offset >= 0)
                .map(Self::Offset)
                .ok_or("write `start`, `now` or an offset"),
        }
    }
}

/// Runs the command.
pub(crate) async fn run(arguments: TailArguments, output: OutputFormat) -> Outcome {
    let client = Client::new(&arguments.api)?;
    let mut printer = Printer { output, left: arguments.limit.unwrap_or(u64::MAX) };
    if arguments.follow {
        follow(&client, &arguments, &mut printer).await
    } else {
        list(&client, &arguments, &mut printer).await
    }
}

async fn follow(client: &Client, arguments: &TailArguments, printer: &mut Printer) -> Outcome {
    let from = match arguments.from {
        Some(From::Start) => "start".to_owned(),
        Some(From::Offset(offset)) => {
            format!("{}-{offset}", arguments.partition.unwrap_or_default())
        }
        Some(From::Now) | None => "now".to_owned(),
    };
    let mut path = format!("/api/v1/streams/{}/events?from={from}", arguments.stream);
    if let Some(partition) = arguments.partition {
        path.push_str(&format!("&partition={partition}"));
    }
    let mut events = client.events(&path).await?;
    while printer.left > 0
        && let Some(ServerEvent { data, .. }) = events.next().await?
    {
        if let Ok(record) = serde_json::from_str::<Value>(&data) {
            printer.print(&record)?;
        }
    }
    Ok(())
}

async fn list(client: &Client, arguments: &TailArguments, printer: &mut Printer) -> Outcome {
    let partitions = match arguments.partition {
        Some(partition) => vec![partition],
        None => partitions(client, &arguments.stream).await?,
    };
    let path = format!("/api/v1/streams/{}/records", arguments.stream);
    for partition in partitions {
        let mut from = match arguments.from {
            Some(From::Start) => "start".to_owned(),
            Some(From::Now) => return Ok(()),
            Some(From::Offset(offset)) => offset.to_string(),
            None => "end-10".to_owned(),
        };
        while printer.left > 0 {
            let page = client
                .get(&format!("{path}?partition={partition}&from={from}&limit={PAGE}"))
                .await?;
            let records = page["records"].as_array().cloned().unwrap_or_default();
            for record in &records {
                if printer.left > 0 {
                    printer.print(record)?;
                }
            }
            let next = page["next"].to_string();
            if records.is_empty() || next == from {
                break;
            }
            from = next;
        }
    }
    Ok(())
}

async fn partitions(client: &Client, stream: &str) -> Result<Vec<i32>, crate::exit::Failure> {
    let pipeline = client.get("/api/v1/pipeline").await?;
    let streams = pipeline["streams"].as_array();
    let found = streams.and_then(|streams| streams.iter().find(|s| s["name"] == stream));
    // An unknown stream is the server's to refuse, with the streams that there are.
    let count = found.and_then(|stream| stream["partitions"].as_i64()).unwrap_or(1);
    Ok((0..i32::try_from(count).unwrap_or(1)).collect())
}

struct Printer {
    output: OutputFormat,
    left: u64,
}

impl Printer {
    fn print(&mut self, record: &Value) -> Result<(), output::WriteOutputError> {
        self.left = self.left.saturating_sub(1);
        match self.output {
            OutputFormat::Json => output::json_line(record),
            OutputFormat::Text => output::line(&describe(record)),
        }
    }
}

/// Partition and offset, event time, key and value.
fn describe(record: &Value) -> String {
    let value = match record.get("value") {
        Some(value) => value.to_string(),
        None => record["valueBase64"].as_str().unwrap_or_default().to_owned(),
    };
    format!(
        "{}:{}  {}  {}  {value}",
        record["partition"],
        record["offset"],
        record["eventTime"].as_i64().map_or_else(String::new, millrace_core::time::rfc3339),
        record["key"].as_str().unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_record_is_one_line_with_its_place_time_key_and_value() {
        let record = json!({
            "partition": 0, "offset": 12, "key": "race", "eventTime": 1_541_693_114_862_i64,
            "value": {"a": 1},
        });
        assert_eq!(describe(&record), r#"0:12  2018-11-08T16:05:14.862Z  race  {"a":1}"#);
    }

    #[test]
    fn a_beginning_is_a_word_or_an_offset() {
        assert_eq!("start".parse(), Ok(From::Start));
        assert_eq!("17".parse(), Ok(From::Offset(17)));
        assert!("-1".parse::<From>().is_err());
    }
}
