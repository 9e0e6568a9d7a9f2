//! `millrace simulate race`: cars that drive along a track.

use std::fs::File;
use std::io::BufWriter;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use millrace_core::time::parse_duration;
use millrace_simulate::Statistics;
use millrace_simulate::race::ParseTrackError;
use millrace_simulate::race::RaceSettings;
use millrace_simulate::race::RaceSimulation;
use millrace_simulate::race::Track;
use millrace_simulate::send::BrokerAddress;
use millrace_simulate::send::Credentials;
use millrace_simulate::send::MqttTarget;
use millrace_simulate::send::Pace;
use millrace_simulate::send::client_tls;
use millrace_simulate::send::publish;
use millrace_simulate::send::write;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::commands::simulate::progress::Progress;
use crate::exit::Exit;
use crate::exit::Failure;
use crate::exit::Outcome;
use crate::output;
use crate::output::OutputFormat;
use crate::process::live::now_millis;
use crate::process::signals;

/// How long ago an endless race starts that runs faster than time.
const FAST_ENDLESS_START: Duration = Duration::from_hours(24);

/// Drive cars along a track: each sends its position to `carCoordinates` five times a second.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  millrace simulate race                                   Six cars until Ctrl-C
  millrace simulate race --races 12 --laps 3               Twelve races at once
  millrace simulate race --laps 20 --speedup max           As fast as they are confirmed
  millrace simulate race --laps 1 --start 0 --to file:-    The messages as lines of JSON")]
pub(super) struct RaceArguments {
    /// A closed lap: a line `latitude,longitude` for every 200 ms. Without it a lap that is
    /// built in (Silverstone, 5113 m, 91 s).
    #[arg(long, value_name = "FILE")]
    track: Option<PathBuf>,

    /// Cars of each race.
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    cars: u32,

    /// End when every car has driven so many laps.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    laps: Option<u32>,

    /// End after so much time of the race, such as `90s`.
    #[arg(long, value_parser = parse_duration)]
    duration: Option<Duration>,

    /// Messages per second of each car.
    #[arg(long, value_name = "HZ", default_value = "5", value_parser = rate)]
    rate: f64,

    /// The same seed gives the same race.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,

    /// How many times as fast as time, or `max`: as fast as the messages are confirmed.
    #[arg(long, value_name = "TIMES|max", default_value = "1", value_parser = pace)]
    speedup: Pace,

    /// Races at once. Several have the topics `carCoordinates/race-1` and so on.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    races: u32,

    /// A message is sent up to this much after its time.
    #[arg(long, value_name = "DURATION", default_value = "5ms", value_parser = parse_duration)]
    jitter: Duration,

    /// Time of the first message in milliseconds since 1970.
    ///
    /// Without it now, or, if the race runs faster than time, as long ago as it lasts: no
    /// message is ever from the future.
    #[arg(long, value_name = "MILLISECONDS")]
    start: Option<i64>,

    /// Where the messages go: `mqtt://HOST:PORT`, `mqtts://HOST:PORT` with TLS, `file:PATH`, or
    /// `file:-` for standard output.
    #[arg(long, value_name = "TARGET", default_value = "mqtt://127.0.0.1:1883")]
    to: Target,

    /// File of certificates to trust, PEM, with TLS. Default: those of the system.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,

    /// User name for the broker.
    #[arg(long, value_name = "NAME", requires = "password_file")]
    username: Option<String>,

    /// File with the password for the broker.
    #[arg(long, value_name = "FILE", requires = "username")]
    password_file: Option<PathBuf>,
}

#[derive(Debug, Clone)]
enum Target {
    Mqtt(BrokerAddress),
    File(PathBuf),
    Standard,
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_prefix("file:") {
            Some("-") => Ok(Self::Standard),
            Some("") => Err("write the file after `file:`, or `-` for standard output".to_owned()),
            Some(path) => Ok(Self::File(path.into())),
            None => text
                .parse()
                .map(Self::Mqtt)
                .map_err(|error| format!("{error}, or `file:PATH` for a file")),
        }
    }
}

fn rate(text: &str) -> Result<f64, &'static str> {
    let rate = text.parse().ok().filter(|rate| (0.001..=1000.0).contains(rate));
    rate.ok_or("write a number from 0.001 to 1000")
}

fn pace(text: &str) -> Result<Pace, &'static str> {
    if text == "max" {
        return Ok(Pace::Unlimited);
    }
    let times = text.parse().ok().filter(|times| (0.001..=10_000.0).contains(times));
    times.map(Pace::Times).ok_or("write a number from 0.001 to 10000, or `max`")
}

#[derive(Debug, thiserror::Error)]
enum SimulateError {
    #[error("cannot read {path}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{path} is not a track")]
    Track { path: PathBuf, source: ParseTrackError },
    #[error("cannot create {path}")]
    Create { path: PathBuf, source: std::io::Error },
    #[error("a file needs an end: say how long the race is with --laps or --duration")]
    Endless,
    #[error("{unconfirmed} messages were not confirmed")]
    Unconfirmed { unconfirmed: u64 },
}

/// Runs the command.
pub(super) async fn run(arguments: RaceArguments, output: OutputFormat) -> Outcome {
    let races = races(&arguments)?;
    let statistics = Arc::new(Statistics::default());
    match &arguments.to {
        Target::Mqtt(address) => {
            let tls = address.tls.then(|| client_tls(arguments.ca_file.as_deref())).transpose();
            let target = MqttTarget {
                address: address.clone(),
                credentials: credentials(&arguments)?,
                tls: tls.map_err(Exit::NoInput.of())?.map(Arc::new),
            };
            over_mqtt(&races, &target, arguments.speedup, &statistics, output).await
        }
        Target::File(path) => {
            let file = File::create(path).map_err(|source| {
                Exit::CannotCreate.because(SimulateError::Create { path: path.clone(), source })
            })?;
            into_file(&races, BufWriter::new(file), &statistics)?;
            summarize(&statistics, Instant::now(), output)
        }
        // The messages are the result: there is no room for a summary.
        Target::Standard => into_file(&races, std::io::stdout().lock(), &statistics),
    }
}

/// Six cars that drive in real time until cancelled, for `millrace run --simulate race`.
pub(crate) async fn drive_along(address: BrokerAddress, shutdown: &CancellationToken) {
    let race = RaceSettings {
        track: Track::default(),
        cars: 6,
        rate: 5.0,
        // Another race at each start.
        seed: u64::try_from(now_millis()).unwrap_or_default(),
        race: 0,
        start: now_millis(),
        laps: None,
        duration: None,
        jitter: Duration::from_millis(5),
    };
    let target = MqttTarget { address, credentials: None, tls: None };
    publish(&[race], &target, Pace::Times(1.0), &Arc::default(), shutdown).await;
}

fn races(arguments: &RaceArguments) -> Result<Vec<RaceSettings>, Failure> {
    let is_file = !matches!(arguments.to, Target::Mqtt(_));
    if is_file && arguments.laps.is_none() && arguments.duration.is_none() {
        return Err(Exit::Usage.because(SimulateError::Endless));
    }
    let track = match &arguments.track {
        None => Track::default(),
        Some(path) => read(path)?.parse().map_err(|source| {
            Exit::Data.because(SimulateError::Track { path: path.clone(), source })
        })?,
    };
    let mut race = RaceSettings {
        track,
        cars: arguments.cars,
        rate: arguments.rate,
        seed: arguments.seed,
        race: 0,
        start: 0,
        laps: arguments.laps,
        duration: arguments.duration,
        jitter: arguments.jitter,
    };
    race.start = arguments.start.unwrap_or_else(|| {
        let fast = is_file || !matches!(arguments.speedup, Pace::Times(times) if times <= 1.0);
        let expected = RaceSimulation::expected_duration(&race);
        let ago = if fast { expected.unwrap_or(FAST_ENDLESS_START) } else { Duration::ZERO };
        // Slow drivers take a little longer than expected.
        let ago = ago.mul_f64(1.1);
        now_millis().saturating_sub(i64::try_from(ago.as_millis()).unwrap_or_default())
    });
    Ok((0..arguments.races).map(|number| RaceSettings { race: number, ..race.clone() }).collect())
}

fn credentials(arguments: &RaceArguments) -> Result<Option<Credentials>, Failure> {
    let (Some(username), Some(path)) = (&arguments.username, &arguments.password_file) else {
        return Ok(None);
    };
    let password = read(path)?.trim_end_matches(['\r', '\n']).to_owned();
    Ok(Some(Credentials { username: username.clone(), password }))
}

fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|source| {
        Exit::NoInput.because(SimulateError::Read { path: path.to_owned(), source })
    })
}

fn into_file(races: &[RaceSettings], mut file: impl Write, statistics: &Statistics) -> Outcome {
    write(races, &mut file, statistics, &|| false).map_err(Exit::Io.of())
}

async fn over_mqtt(
    races: &[RaceSettings],
    target: &MqttTarget,
    pace: Pace,
    statistics: &Arc<Statistics>,
    output: OutputFormat,
) -> Outcome {
    let shutdown = signals::shutdown().map_err(Exit::Software.of())?;
    let begin = Instant::now();
    output::note(&format!("Driving to {}; Ctrl-C ends the race.", target.address));
    let publishing = publish(races, target, pace, statistics, &shutdown);
    Progress::new(Arc::clone(statistics), "messages").watch(publishing).await;
    let unconfirmed = statistics.snapshot().sent - statistics.snapshot().acknowledged;
    summarize(statistics, begin, output)?;
    if unconfirmed > 0 {
        return Err(Exit::TemporaryFailure.because(SimulateError::Unconfirmed { unconfirmed }));
    }
    Ok(())
}

fn summarize(statistics: &Statistics, begin: Instant, output: OutputFormat) -> Outcome {
    let snapshot = statistics.snapshot();
    match output {
        OutputFormat::Json => output::json(&snapshot)?,
        OutputFormat::Text => {
            let mut text = format!("Sent {} messages", snapshot.sent);
            if let (Some(p50), Some(p99)) =
                (snapshot.latency_p50_millis, snapshot.latency_p99_millis)
            {
                text.push_str(&format!(
                    " in {:.1} s; {} confirmed, half of them within {p50:.1} ms and 99 % within {p99:.1} ms; {} sent again after {} broken connections",
                    begin.elapsed().as_secs_f64(),
                    snapshot.acknowledged,
                    snapshot.repeated,
                    snapshot.errors,
                ));
            }
            output::line(&format!("{text}."))?;
        }
    }
    Ok(())
}
