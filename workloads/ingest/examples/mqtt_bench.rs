//! Load on the MQTT endpoint: messages of quality 1 over many connections into a durable log, with the
//! clients in the same process. Prints one JSON object.
//!
//! `cargo run --release -p millrace-ingest --example mqtt_bench -- [connections] [window] [seconds] [map]`
#![allow(clippy::print_stdout, reason = "printing the result is what it is for")]

#[path = "../../log/examples/process/mod.rs"]
mod process;

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use millrace_core::time::TimeFormat;
use millrace_ingest::Acceptor;
use millrace_ingest::mqtt::MqttEndpoint;
use millrace_ingest::mqtt::MqttSettings;
use millrace_log::Log;
use millrace_log::StreamConfig;
use millrace_log::embedded::EmbeddedLog;
use millrace_log::embedded::EmbeddedLogOptions;
use millrace_observe::Observer;
use millrace_plan::Plan;
use millrace_plan::model::EventTimeField;
use millrace_plan::model::IngestPlan;
use millrace_plan::model::IngestSource;
use millrace_plan::model::IngestedStream;
use millrace_plan::model::MqttListen;
use millrace_plan::model::OnLate;
use millrace_plan::model::QueryPlan;
use millrace_plan::model::Retention;
use millrace_plan::model::StreamOrigin;
use millrace_plan::model::StreamPlan;
use millrace_plan::program::Place;
use millrace_plan::program::Program;
use millrace_plan::schema::Schema;
use process::peak_resident_kib;
use process::process_cpu;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

/// Time of each client's first message, in milliseconds since 1970.
const START: u64 = 1_541_693_114_862;

type AnyError = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), AnyError> {
    let number = |position: usize, default: u64| {
        std::env::args().nth(position).map_or(Ok(default), |text| text.parse())
    };
    let (connections, window, seconds) = (number(1, 200)?, number(2, 50)?, number(3, 10)?);
    let mapped = std::env::args().nth(4).is_some_and(|text| text == "map");
    let window = usize::try_from(window)?;
    tokio::runtime::Runtime::new()?.block_on(run(connections, window, seconds, mapped))
}

async fn run(connections: u64, window: usize, seconds: u64, mapped: bool) -> Result<(), AnyError> {
    let folder = tempfile::tempdir()?;
    let log: Arc<dyn Log> = EmbeddedLog::open(EmbeddedLogOptions::new(folder.path().join("log")))?;
    let plan = plan(mapped)?;
    let streams = plan.streams.iter().map(|stream| StreamConfig {
        name: stream.name.clone(),
        partitions: stream.partitions,
        retention: stream.retention,
    });
    log.ensure_streams(&streams.collect::<Vec<_>>()).await?;
    let observer = Observer::default();
    let acceptor = Acceptor::new(&plan, Arc::clone(&log), &observer);
    let settings =
        MqttSettings { address: SocketAddr::from(([127, 0, 0, 1], 0)), ..MqttSettings::default() };
    let cancel = CancellationToken::new();
    let endpoint = MqttEndpoint::start(settings, acceptor, &observer, cancel.clone()).await?;

    let stop = Arc::new(AtomicBool::new(false));
    let confirmed = Arc::new(AtomicU64::new(0));
    let clients: Vec<_> = (0..connections)
        .map(|client| {
            let (stop, confirmed) = (Arc::clone(&stop), Arc::clone(&confirmed));
            tokio::spawn(publish(endpoint.address(), client, window, stop, confirmed))
        })
        .collect();
    // The first second is for connecting and warming up.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = (
        confirmed.load(Ordering::Relaxed),
        process_cpu().unwrap_or_default(),
        log.statistics().syncs,
    );
    let begun = Instant::now();
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let elapsed = begun.elapsed().as_secs_f64();
    let after = (
        confirmed.load(Ordering::Relaxed),
        process_cpu().unwrap_or_default(),
        log.statistics().syncs,
    );
    stop.store(true, Ordering::Relaxed);
    let mut latencies = Vec::new();
    for client in clients {
        latencies.extend(client.await??);
    }
    latencies.sort_unstable();
    let percentile = |part: usize| latencies.get(latencies.len() * part / 1000).copied();
    // Rates of a benchmark need no more digits than a double has.
    #[allow(clippy::cast_precision_loss)]
    let rate = (after.0 - before.0) as f64 / elapsed;
    println!(
        "{}",
        serde_json::json!({
            "what": format!(
                "MQTT into the log, {connections} connections, clients in the same process, {}",
                if mapped { "validated and mapped" } else { "validated" },
            ),
            "bytes": body(0, START).len(),
            "batch": 1,
            "acknowledged": "PUBACK after fdatasync, QoS 1",
            "window": window,
            "perSecond": rate.round(),
            "micros": {
                "p50": percentile(500), "p99": percentile(990), "p999": percentile(999),
            },
            "cpuSeconds": after.1 - before.1,
            "events": after.0 - before.0,
            "peakKib": peak_resident_kib().ok(),
            "syncs": after.2 - before.2,
            "seconds": elapsed,
        })
    );
    cancel.cancel();
    endpoint.closed().await;
    log.close().await;
    Ok(())
}

/// A client that keeps `window` messages unconfirmed; returns a sample of the times, in
/// microseconds, until the PUBACK.
async fn publish(
    address: SocketAddr,
    client: u64,
    window: usize,
    stop: Arc<AtomicBool>,
    confirmed: Arc<AtomicU64>,
) -> Result<Vec<u64>, AnyError> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let id = format!("bench{client:05}");
    let mut connect = b"\x10\x16\x00\x04MQTT\x04\x02\x00\x00\x00\x0a".to_vec();
    connect.extend(id.as_bytes());
    stream.write_all(&connect).await?;
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).await?;
    if answer != [0x20, 2, 0, 0] {
        return Err("the connection was refused".into());
    }
    let (mut reader, mut writer) = stream.split();
    let mut sent = vec![Instant::now(); 1 << 16];
    let mut latencies = Vec::new();
    let mut packets = Vec::new();
    let mut answers = vec![0; 4 * window];
    let (mut next, mut unconfirmed, mut have) = (1_u16, 0, 0);
    let mut time = START;
    while !stop.load(Ordering::Relaxed) || unconfirmed > 0 {
        packets.clear();
        while unconfirmed < window && !stop.load(Ordering::Relaxed) {
            time += 200;
            packet(&mut packets, next, client, time);
            sent[usize::from(next)] = Instant::now();
            next = next.checked_add(1).unwrap_or(1);
            unconfirmed += 1;
        }
        writer.write_all(&packets).await?;
        have += reader.read(&mut answers[have..]).await?;
        if have == 0 {
            return Err("the connection was closed".into());
        }
        let whole = have - have % 4;
        for puback in answers[..whole].chunks_exact(4) {
            let id = u16::from_be_bytes([puback[2], puback[3]]);
            if id.is_multiple_of(16) {
                latencies.push(u64::try_from(sent[usize::from(id)].elapsed().as_micros())?);
            }
            unconfirmed -= 1;
        }
        confirmed.fetch_add((whole / 4) as u64, Ordering::Relaxed);
        answers.copy_within(whole..have, 0);
        have -= whole;
    }
    Ok(latencies)
}

fn packet(packets: &mut Vec<u8>, id: u16, car: u64, time: u64) {
    let body = body(car, time);
    let topic = b"carCoordinates";
    let length = 2 + topic.len() + 2 + body.len();
    packets.push(0x32);
    // A body of about 110 bytes always takes two length bytes or one.
    if length < 128 {
        packets.push(u8::try_from(length).unwrap_or_default());
    } else {
        packets.push(u8::try_from(length % 128 + 128).unwrap_or_default());
        packets.push(u8::try_from(length / 128).unwrap_or_default());
    }
    packets.extend([0, u8::try_from(topic.len()).unwrap_or_default()]);
    packets.extend(topic);
    packets.extend(id.to_be_bytes());
    packets.extend(body.as_bytes());
}

fn body(car: u64, time: u64) -> String {
    format!(
        r#"{{"timestamp":{time},"carIndex":{car},"location":{{"lat":51.349937311969725,"long":-0.544958142167281}}}}"#
    )
}

fn plan(mapped: bool) -> Result<Plan, AnyError> {
    let schema = serde_json::json!({
        "type": "object",
        "required": ["timestamp", "carIndex", "location"],
        "properties": {
            "timestamp": {"type": "integer"},
            "carIndex": {"type": "integer"},
            "location": {
                "type": "object",
                "required": ["lat", "long"],
                "properties": {
                    "lat": {"type": "number", "minimum": -90, "maximum": 90},
                    "long": {"type": "number", "minimum": -180, "maximum": 180},
                },
            },
        },
    });
    let map = r#".race = split(%topic, "/")[1] || "race""#;
    let stream = |name: &str, origin| -> Result<StreamPlan, AnyError> {
        Ok(StreamPlan {
            name: name.parse()?,
            generation: 0,
            partitions: 1,
            retention: Retention::default(),
            origin,
        })
    };
    let ingested = IngestedStream {
        schema: Some(Arc::new(Schema::compile(&schema)?)),
        key: vec![if mapped { ".race" } else { ".carIndex" }.parse()?],
        event_id: None,
        event_time: Some(EventTimeField {
            path: ".timestamp".parse()?,
            format: TimeFormat::UnixMillis,
        }),
        disorder: Duration::from_millis(50),
        idle: None,
        heartbeat: false,
        max_ahead: Duration::from_mins(5),
        max_behind: None,
        on_late: OnLate::Drop,
        deduplicate: None,
    };
    Ok(Plan {
        pipeline: "bench".into(),
        streams: vec![
            stream("coordinates", StreamOrigin::Ingested(ingested))?,
            stream("dead-letters", StreamOrigin::DeadLetters)?,
        ],
        ingest: vec![IngestPlan {
            name: "cars".into(),
            to: "coordinates".parse()?,
            map: if mapped { Some(Program::compile(map, Place::Ingest)?) } else { None },
            max_body_bytes: 1 << 20,
            source: IngestSource::MqttListen(MqttListen { topics: vec!["carCoordinates".into()] }),
        }],
        stages: Vec::new(),
        sinks: Vec::new(),
        query: QueryPlan::default(),
        exposure: millrace_plan::model::ExposurePlan::default(),
    })
}
