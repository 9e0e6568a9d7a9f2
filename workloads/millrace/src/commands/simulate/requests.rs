//! `millrace simulate cpu`, `hoverboards` and `http`: requests at a rate.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use clap::Args;
use millrace_core::time::parse_duration;
use millrace_simulate::Snapshot;
use millrace_simulate::Statistics;
use millrace_simulate::requests::CpuSettings;
use millrace_simulate::requests::CpuSimulation;
use millrace_simulate::requests::DeviceRequest;
use millrace_simulate::requests::HoverboardSettings;
use millrace_simulate::requests::HoverboardSimulation;
use millrace_simulate::requests::read_requests;
use millrace_simulate::send::HttpAddress;
use millrace_simulate::send::HttpTarget;
use millrace_simulate::send::Load;
use millrace_simulate::send::load;
use tokio::time::Instant;

use crate::commands::simulate::progress::Progress;
use crate::exit::Exit;
use crate::exit::Failure;
use crate::exit::Outcome;
use crate::output;
use crate::output::OutputFormat;
use crate::process::live::now_millis;
use crate::process::signals;

/// Where requests go, and how many.
#[derive(Debug, Args)]
struct LoadArguments {
    /// The pipeline: `http://HOST:PORT` or `https://HOST:PORT`.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    to: HttpAddress,

    /// Requests a second, or `max`: as fast as they are answered.
    #[arg(long, value_name = "RATE|max", default_value = "100", value_parser = rate)]
    rate: Rate,

    /// End after this time, such as `30s`.
    #[arg(long = "for", value_name = "DURATION", value_parser = parse_duration)]
    duration: Option<Duration>,

    /// End after so many requests.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    requests: Option<u64>,

    /// Connections, and so requests at once.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    connections: u16,

    /// Give up what was not taken, instead of sending it again with the same `Idempotency-Key`.
    #[arg(long)]
    no_retry: bool,

    /// File of certificates (PEM) to trust. Default: those of the system.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,

    /// User name, for pipelines that ask for one.
    #[arg(long, value_name = "NAME", requires = "password_file")]
    username: Option<String>,

    /// File with the user's password.
    #[arg(long, value_name = "FILE", requires = "username")]
    password_file: Option<PathBuf>,
}

/// Requests a second; none: as fast as they are answered.
#[derive(Debug, Clone, Copy)]
struct Rate(Option<f64>);

/// Devices that tell how busy their processors are, as examples/cpu.yaml takes it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  millrace simulate cpu                                    A hundred a second until Ctrl-C
  millrace simulate cpu --devices 10000 --rate 5000        A fleet
  millrace simulate cpu --rate max --for 10s               As fast as they are answered")]
pub(super) struct CpuArguments {
    /// Number of devices.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    devices: u32,

    /// A measurement was made up to this much before it is sent: how far they are out of order.
    #[arg(long, value_name = "DURATION", default_value = "500ms", value_parser = parse_duration)]
    delay: Duration,

    /// The same seed gives the same measurements, apart from their times.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,

    #[command(flatten)]
    load: LoadArguments,
}

/// A fleet of hoverboards, its customers and their trips, as examples/hoverboards.yaml takes them.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  millrace simulate hoverboards
  millrace simulate hoverboards --boards 50000 --rate 2000 --for 1m")]
pub(super) struct HoverboardArguments {
    /// Number of boards.
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    boards: u32,

    /// Number of customers.
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    customers: u32,

    /// The same seed gives the same requests, apart from their times.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,

    #[command(flatten)]
    load: LoadArguments,
}

/// Send requests from a file, over and over until the end.
///
/// Each line is an object with `path` and, where they matter, `method` (POST), `headers` and
/// `body`. A body that is a text is sent as it is, any other as JSON.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  millrace simulate http requests.ndjson --rate 1000 --for 30s
  millrace simulate http requests.ndjson --once --rate max

A line:
  {\"path\": \"/telemetry/cpu\", \"body\": {\"deviceId\": \"d1\", \"cpu\": 42.5}}")]
pub(super) struct HttpArguments {
    /// The file.
    file: PathBuf,

    /// End after the last line instead of beginning again.
    #[arg(long)]
    once: bool,

    #[command(flatten)]
    load: LoadArguments,
}

#[derive(Debug, thiserror::Error)]
enum SendError {
    #[error("cannot read {path}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("cannot use {path}")]
    Requests { path: PathBuf, source: millrace_simulate::requests::ReadRequestsError },
    #[error("{0} of {1} requests were not answered")]
    Unanswered(u64, u64),
    #[error("{0} of {1} requests were refused")]
    Refused(u64, u64),
}

fn rate(text: &str) -> Result<Rate, &'static str> {
    if text == "max" {
        return Ok(Rate(None));
    }
    let rate = text.parse().ok().filter(|rate| (0.001..=10_000_000.0).contains(rate));
    rate.map(|rate| Rate(Some(rate))).ok_or("write a number from 0.001 to 10000000, or `max`")
}

/// Sends measurements.
pub(super) async fn cpu(arguments: CpuArguments, output: OutputFormat) -> Outcome {
    let devices = CpuSimulation::new(CpuSettings {
        devices: arguments.devices,
        rate: arguments.load.assumed_rate(),
        seed: arguments.seed,
        start: now_millis(),
        delay: arguments.delay,
    });
    send(devices, &arguments.load, output).await
}

/// Sends what a fleet sends.
pub(super) async fn hoverboards(arguments: HoverboardArguments, output: OutputFormat) -> Outcome {
    let fleet = HoverboardSimulation::new(HoverboardSettings {
        boards: arguments.boards,
        customers: arguments.customers,
        rate: arguments.load.assumed_rate(),
        seed: arguments.seed,
        start: now_millis(),
    });
    send(fleet, &arguments.load, output).await
}

/// Sends the requests of a file.
pub(super) async fn http(arguments: HttpArguments, output: OutputFormat) -> Outcome {
    let path = &arguments.file;
    let file = File::open(path)
        .map_err(|source| Exit::NoInput.because(SendError::Read { path: path.clone(), source }))?;
    let requests = read_requests(BufReader::new(file))
        .map_err(|source| Exit::Data.because(SendError::Requests { path: path.clone(), source }))?;
    if arguments.once {
        send(requests.into_iter(), &arguments.load, output).await
    } else {
        send(requests.into_iter().cycle(), &arguments.load, output).await
    }
}

impl LoadArguments {
    /// The rate by which times are made. As fast as possible is taken as 1000 a second, so that
    /// times fall behind and are never from the future.
    fn assumed_rate(&self) -> f64 {
        self.rate.0.unwrap_or(1000.0)
    }

    fn target(&self) -> Result<HttpTarget, Failure> {
        let authorization = match (&self.username, &self.password_file) {
            (Some(user), Some(path)) => {
                let password = read(path)?;
                let password = password.trim_end_matches(['\r', '\n']);
                Some(format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}"))))
            }
            _ => None,
        };
        Ok(HttpTarget {
            address: self.to.clone(),
            certificate_authority: self.ca_file.clone(),
            authorization,
        })
    }
}

fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path)
        .map_err(|source| Exit::NoInput.because(SendError::Read { path: path.to_owned(), source }))
}

async fn send(
    requests: impl Iterator<Item = DeviceRequest> + Send + 'static,
    arguments: &LoadArguments,
    output: OutputFormat,
) -> Outcome {
    let shutdown = signals::shutdown().map_err(Exit::Software.of())?;
    let target = arguments.target()?;
    let settings = Load {
        rate: arguments.rate.0,
        connections: arguments.connections.into(),
        requests: arguments.requests,
        duration: arguments.duration,
        retry: !arguments.no_retry,
    };
    output::note(&format!("Sending to {}; Ctrl-C ends it.", target.address));
    let statistics = Arc::new(Statistics::default());
    let begin = Instant::now();
    let work = load(requests, &target, &settings, &statistics, &shutdown);
    Progress::new(Arc::clone(&statistics), "requests")
        .watch(work)
        .await
        .map_err(Exit::NoInput.of())?;
    let seconds = begin.elapsed().as_secs_f64();
    let snapshot = statistics.snapshot();
    match output {
        OutputFormat::Json => output::json(&snapshot)?,
        OutputFormat::Text => {
            for line in report(&snapshot, seconds) {
                output::line(&line)?;
            }
        }
    }
    let answered: u64 = snapshot.statuses.values().sum();
    if answered < snapshot.sent && !shutdown.is_cancelled() {
        let unanswered = SendError::Unanswered(snapshot.sent - answered, snapshot.sent);
        return Err(Exit::TemporaryFailure.because(unanswered));
    }
    if snapshot.acknowledged < answered {
        let refused = answered - snapshot.acknowledged;
        return Err(Exit::Data.because(SendError::Refused(refused, snapshot.sent)));
    }
    Ok(())
}

fn report(snapshot: &Snapshot, seconds: f64) -> Vec<String> {
    // Counts of requests are far below 2^53.
    #[expect(clippy::cast_precision_loss)]
    let rate = snapshot.acknowledged as f64 / seconds.max(0.001);
    let mut rows = vec![
        vec!["requests".to_owned(), snapshot.sent.to_string()],
        vec!["accepted".to_owned(), format!("{} ({rate:.0}/s)", snapshot.acknowledged)],
    ];
    for (status, count) in &snapshot.statuses {
        rows.push(vec![format!("answered {status}"), count.to_string()]);
    }
    rows.push(vec!["sent again".to_owned(), snapshot.repeated.to_string()]);
    rows.push(vec!["broken connections".to_owned(), snapshot.errors.to_string()]);
    let latencies = [
        ("latency p50", snapshot.latency_p50_millis),
        ("latency p99", snapshot.latency_p99_millis),
        ("latency p99.9", snapshot.latency_p999_millis),
        ("latency max", snapshot.latency_max_millis),
    ];
    for (name, millis) in latencies {
        if let Some(millis) = millis {
            rows.push(vec![name.to_owned(), format!("{millis:.1} ms")]);
        }
    }
    output::columns(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_names_every_status() {
        let snapshot = Snapshot {
            sent: 10,
            acknowledged: 8,
            statuses: [(202, 8), (400, 2)].into(),
            latency_p50_millis: Some(1.25),
            ..Snapshot::default()
        };
        assert_eq!(
            report(&snapshot, 2.0),
            [
                "requests            10",
                "accepted            8 (4/s)",
                "answered 202        8",
                "answered 400        2",
                "sent again          0",
                "broken connections  0",
                "latency p50         1.2 ms",
            ]
        );
    }
}
