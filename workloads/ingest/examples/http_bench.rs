//! Load on HTTP ingest into a durable log: batches of NDJSON, or one event a request. Prints one
//! JSON object.
//!
//! `cargo run --release -p millrace-ingest --example http_bench -- batches|single|json [connections] [seconds]`
//!
//! The clients run in a process of their own, so that `cpuSeconds` is that of the server with all
//! its threads; `clientCpuSeconds` is theirs. `json` is `batches` as JSON arrays.
#![allow(clippy::print_stdout, reason = "printing the result is what it is for")]

#[path = "../../log/examples/process/mod.rs"]
mod process;

use std::error::Error;
use std::io::BufRead as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use millrace_core::time::TimeFormat;
use millrace_ingest::Acceptor;
use millrace_ingest::http::routes;
use millrace_log::Log;
use millrace_log::StreamConfig;
use millrace_log::embedded::EmbeddedLog;
use millrace_log::embedded::EmbeddedLogOptions;
use millrace_observe::Observer;
use millrace_plan::Plan;
use millrace_plan::model::BodyKind;
use millrace_plan::model::EventTimeField;
use millrace_plan::model::HttpIngest;
use millrace_plan::model::HttpLimits;
use millrace_plan::model::HttpMethod;
use millrace_plan::model::HttpPath;
use millrace_plan::model::Identity;
use millrace_plan::model::IngestPlan;
use millrace_plan::model::IngestSource;
use millrace_plan::model::IngestedStream;
use millrace_plan::model::OnLate;
use millrace_plan::model::QueryPlan;
use millrace_plan::model::Retention;
use millrace_plan::model::StreamOrigin;
use millrace_plan::model::StreamPlan;
use millrace_plan::schema::Schema;
use process::peak_resident_kib;
use process::process_cpu;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

/// Events of a batch, and bytes of each.
const BATCH: usize = 1000;
const BYTES: usize = 768;

type AnyError = Box<dyn Error + Send + Sync>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Batches,
    Json,
    Single,
}

impl Mode {
    fn of(text: &str) -> Result<Self, AnyError> {
        match text {
            "batches" => Ok(Self::Batches),
            "json" => Ok(Self::Json),
            "single" => Ok(Self::Single),
            other => Err(format!("`{other}` is neither batches, json nor single").into()),
        }
    }

    const fn events(self) -> usize {
        match self {
            Self::Batches | Self::Json => BATCH,
            Self::Single => 1,
        }
    }
}

fn main() -> Result<(), AnyError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let text = |position: usize, default: &str| {
        arguments.get(position).map_or(default, String::as_str).to_owned()
    };
    if text(0, "") == "client" {
        let mode = Mode::of(&text(1, ""))?;
        let (address, connections) = (text(2, "").parse()?, text(3, "").parse()?);
        let seconds = text(4, "").parse()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        return runtime.block_on(client(mode, address, connections, seconds));
    }
    let mode = text(0, "batches");
    let connections = text(1, if mode == "single" { "128" } else { "4" });
    let seconds = text(2, "10");
    tokio::runtime::Runtime::new()?.block_on(serve(&mode, &connections, &seconds))
}

async fn serve(mode: &str, connections: &str, seconds: &str) -> Result<(), AnyError> {
    let folder = tempfile::tempdir()?;
    let log: Arc<dyn Log> = EmbeddedLog::open(EmbeddedLogOptions::new(folder.path().join("log")))?;
    let plan = plan()?;
    let streams = plan.streams.iter().map(|stream| StreamConfig {
        name: stream.name.clone(),
        partitions: stream.partitions,
        retention: stream.retention,
    });
    log.ensure_streams(&streams.collect::<Vec<_>>()).await?;
    let observer = Observer::default();
    let acceptor = Acceptor::new(&plan, Arc::clone(&log), &observer);
    let router = routes(&plan, &acceptor, &observer, &CancellationToken::new());
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, router).await });

    let mut client = std::process::Command::new(std::env::current_exe()?)
        .args(["client", mode, &address.to_string(), connections, seconds])
        .stdout(Stdio::piped())
        .spawn()?;
    let out = client.stdout.take().ok_or("the client has no output")?;
    let log_then = Arc::clone(&log);
    // The client writes a line when it begins to measure and one when it ends.
    let measured = tokio::task::spawn_blocking(move || -> Result<_, AnyError> {
        let mut lines = std::io::BufReader::new(out).lines();
        let mut line = || lines.next().ok_or("the client ended early")?.map_err(AnyError::from);
        line()?;
        let before = (process_cpu().unwrap_or_default(), log_then.statistics());
        let result = line()?;
        let after = (process_cpu().unwrap_or_default(), log_then.statistics());
        Ok((result, after.0 - before.0, after.1.syncs - before.1.syncs))
    })
    .await??;
    client.wait()?;
    let (result, cpu, syncs) = measured;
    let mut result: serde_json::Value = serde_json::from_str(&result)?;
    let events = result["events"].as_f64().unwrap_or_default();
    result["cpuSeconds"] = cpu.into();
    result["eventsPerCpuSecond"] = (events / cpu).round().into();
    result["syncs"] = syncs.into();
    result["peakKib"] = peak_resident_kib().ok().into();
    println!("{result}");
    log.close().await;
    Ok(())
}

async fn client(
    mode: Mode,
    address: SocketAddr,
    connections: usize,
    seconds: u64,
) -> Result<(), AnyError> {
    let stop = Arc::new(AtomicBool::new(false));
    let answered = Arc::new(AtomicU64::new(0));
    let clients: Vec<_> = (0..connections)
        .map(|number| {
            tokio::spawn(send(mode, address, number, Arc::clone(&stop), Arc::clone(&answered)))
        })
        .collect();
    // The first second is for connecting and warming up.
    tokio::time::sleep(Duration::from_secs(1)).await;
    println!("begin");
    std::io::stdout().flush()?;
    let before = (answered.load(Ordering::Relaxed), process_cpu().unwrap_or_default());
    let begun = Instant::now();
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let elapsed = begun.elapsed().as_secs_f64();
    let requests = answered.load(Ordering::Relaxed) - before.0;
    let cpu = process_cpu().unwrap_or_default() - before.1;
    stop.store(true, Ordering::Relaxed);
    let mut latencies = Vec::new();
    for client in clients {
        latencies.extend(client.await??);
    }
    latencies.sort_unstable();
    let percentile = |part: usize| latencies.get(latencies.len() * part / 1000).copied();
    let events = requests * mode.events() as u64;
    // Rates of a benchmark need no more digits than a double has.
    #[allow(clippy::cast_precision_loss)]
    let rate = |count: u64| (count as f64 / elapsed).round();
    println!(
        "{}",
        serde_json::json!({
            "what": format!("HTTP {mode:?} into the log, validated, {connections} connections, a client process"),
            "bytes": BYTES,
            "batch": mode.events(),
            "acknowledged": "answer after fdatasync",
            "perSecond": rate(events),
            "requestsPerSecond": rate(requests),
            "micros": {"p50": percentile(500), "p99": percentile(990), "p999": percentile(999)},
            "clientCpuSeconds": cpu,
            "events": events,
            "seconds": elapsed,
        })
    );
    Ok(())
}

/// Sends one request after another; returns the times until the answers, in microseconds.
async fn send(
    mode: Mode,
    address: SocketAddr,
    number: usize,
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
) -> Result<Vec<u64>, AnyError> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let events: Vec<String> = (0..mode.events()).map(|event| body(number, event)).collect();
    let (kind, body, status) = match mode {
        Mode::Batches => ("application/x-ndjson", events.join("\n"), b"HTTP/1.1 202"),
        Mode::Json => ("application/json", format!("[{}]", events.join(",")), b"HTTP/1.1 202"),
        Mode::Single => ("application/json", events.concat(), b"HTTP/1.1 202"),
    };
    let mut request = format!(
        "POST /cpu HTTP/1.1\r\nhost: bench\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend(body.as_bytes());
    let mut latencies = Vec::new();
    let mut answer = vec![0; 4096];
    while !stop.load(Ordering::Relaxed) {
        let begun = Instant::now();
        stream.write_all(&request).await?;
        let mut have = 0;
        // Answers are short: a head, and for a batch `{"accepted":1000}`.
        loop {
            let read = stream.read(&mut answer[have..]).await?;
            if read == 0 {
                return Err("the connection was closed".into());
            }
            have += read;
            let whole = if mode == Mode::Single { "\r\n\r\n" } else { "}" };
            if answer[..have].ends_with(whole.as_bytes()) {
                break;
            }
        }
        if !answer.starts_with(status) {
            return Err(String::from_utf8_lossy(&answer[..have]).into());
        }
        latencies.push(u64::try_from(begun.elapsed().as_micros())?);
        answered.fetch_add(1, Ordering::Relaxed);
    }
    Ok(latencies)
}

/// An event of [`BYTES`] bytes: a device's measurements with a dozen fields and labels.
fn body(client: usize, event: usize) -> String {
    let start = format!(
        r#"{{"timestamp":"2026-01-01T00:00:{:02}.{:03}Z","deviceId":"device-{client:04}-{event:05}","clientVersion":"v1.22.3","cpu":{}.5,"memory":{{"used":{},"free":1234567890,"cached":987654321}},"load":[0.71,1.25,1.5],"disk":{{"read":123456,"written":654321,"busy":12.75}},"network":{{"in":1234567,"out":7654321,"errors":0}},"temperature":51.25,"up":true,"labels":{{"site":"fra-1","rack":"r17","team":"payments","environment":"production"}},"note":""#,
        event % 60,
        event % 1000,
        event % 100,
        event * 1000 + 1_000_000,
    );
    let padding = BYTES - start.len() - 2;
    format!("{start}{}\"}}", "x".repeat(padding))
}

fn plan() -> Result<Plan, AnyError> {
    let schema = serde_json::json!({
        "type": "object",
        "required": ["timestamp", "deviceId", "clientVersion", "cpu"],
        "properties": {
            "timestamp": {"type": "string", "format": "date-time", "pattern": "Z$"},
            "deviceId": {"type": "string", "pattern": "\\S"},
            "clientVersion": {"type": "string", "pattern": "^v([0-9-]+\\.)+([0-9]*)$"},
            "cpu": {"type": "number", "minimum": 0, "maximum": 100},
        },
    });
    let stream = |name: &str, partitions, origin| {
        Ok::<_, AnyError>(StreamPlan {
            name: name.parse()?,
            generation: 0,
            partitions,
            retention: Retention::default(),
            origin,
        })
    };
    let ingested = IngestedStream {
        schema: Some(Arc::new(Schema::compile(&schema)?)),
        key: vec![".deviceId".parse()?],
        event_id: None,
        event_time: Some(EventTimeField {
            path: ".timestamp".parse()?,
            format: TimeFormat::Rfc3339,
        }),
        disorder: Duration::from_secs(2),
        idle: None,
        heartbeat: false,
        max_ahead: Duration::from_mins(5),
        max_behind: None,
        on_late: OnLate::Drop,
        deduplicate: None,
    };
    let http = HttpIngest {
        method: HttpMethod::Post,
        path: HttpPath { text: "/cpu".into(), parameters: Vec::new() },
        accept: vec![BodyKind::Json, BodyKind::JsonArray, BodyKind::Ndjson],
        headers: Vec::new(),
        all_or_nothing: false,
        max_events: 10_000,
        limits: HttpLimits { rate: None, concurrent: 1024, timeout: Duration::from_secs(30) },
        respond: None,
        invalid_status: 422,
        dead_letter: false,
        identity: Identity::Generated,
    };
    Ok(Plan {
        pipeline: "bench".into(),
        streams: vec![
            stream("cpu", 16, StreamOrigin::Ingested(ingested))?,
            stream("dead-letters", 1, StreamOrigin::DeadLetters)?,
        ],
        ingest: vec![IngestPlan {
            name: "measurements".into(),
            to: "cpu".parse()?,
            map: None,
            max_body_bytes: 1 << 20,
            source: IngestSource::Http(http),
        }],
        stages: Vec::new(),
        sinks: Vec::new(),
        query: QueryPlan::default(),
        exposure: millrace_plan::model::ExposurePlan::default(),
    })
}
