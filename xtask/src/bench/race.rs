//! The race end to end: from the arrival of the record that releases an event to the delivery of
//! that event by MQTT.
//!
//! A tick's events are released by the first message of the next tick, which lies further ahead
//! than the stream's `disorder`. Both ends are on this machine and in this process, so the client
//! itself is part of the figure.

use std::collections::HashMap;
use std::error::Error;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use millrace_simulate::race::RaceSettings;
use millrace_simulate::race::RaceSimulation;
use millrace_simulate::race::Track;
use millrace_simulate::race::topic;
use millrace_simulate::send::BrokerAddress;
use rumqttc::AsyncClient;
use rumqttc::Event;
use rumqttc::EventLoop;
use rumqttc::MqttOptions;
use rumqttc::Packet;
use rumqttc::QoS;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::bench::process::Running;
use crate::bench::report::Figure;
use crate::bench::report::Measurement;
use crate::bench::report::Percentiles;

/// Between two ticks of the race, in milliseconds.
const TICK: i64 = 200;
/// About the length of a car's message.
pub(super) const MESSAGE_BYTES: u64 = 107;
/// Latencies of the first seconds are left out: everything is made at first use.
const WARM_UP: Duration = Duration::from_secs(3);

/// How long the process is left alone after the race before its memory is read.
const SETTLE: Duration = Duration::from_secs(10);

/// Measures for so many seconds at 30 messages a second; then the memory of the process that is
/// idle again.
pub(super) fn measure(seconds: u64) -> Result<[Figure; 2], Box<dyn Error>> {
    let running = Running::start()?;
    let address = running.ready["mqtt"].as_str().unwrap_or_default();
    let address: BrokerAddress = address.parse()?;
    let cpu = running.cpu_seconds()?;
    let latencies = latencies_at(&address, seconds)?;
    let race = Measurement {
        what: format!(
            "race end to end, 30 messages/s, {} deliveries: from the releasing record's sending \
             to delivery by MQTT",
            latencies.len()
        ),
        bytes: Some(MESSAGE_BYTES),
        batch: Some(1),
        acknowledged: Some("delivery of the result".to_owned()),
        micros: Some(Percentiles::of(latencies)),
        cpu_seconds: Some(running.cpu_seconds()? - cpu),
        events: Some(seconds * 30),
        resident_kib: Some(running.memory_kib("VmRSS")?),
        peak_kib: Some(running.memory_kib("VmHWM")?),
        ..Measurement::default()
    };
    std::thread::sleep(SETTLE);
    let afterwards = Measurement {
        what: format!("the same process, idle again after {seconds} s of the race"),
        resident_kib: Some(running.memory_kib("VmRSS")?),
        peak_kib: Some(running.memory_kib("VmHWM")?),
        ..Measurement::default()
    };
    let method = format!("release program, QoS 1, {seconds} s; the client is part of the times");
    Ok([
        Figure { target: "p99 < 20 ms", method: method.clone(), measurement: race },
        Figure { target: "< 40 MiB", method, measurement: afterwards },
    ])
}

/// Lets six cars race at an endpoint for so many seconds. Returns the microseconds from the sending
/// of each releasing record to each delivery.
pub(super) fn latencies_at(
    address: &BrokerAddress,
    seconds: u64,
) -> Result<Vec<u64>, Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(latencies(address, seconds))
}

async fn latencies(address: &BrokerAddress, seconds: u64) -> Result<Vec<u64>, Box<dyn Error>> {
    let (viewer, viewer_events) = connect(address, "viewer");
    // Nothing is looked at before the end; six cars have no more than so many deliveries.
    let most = usize::try_from(seconds)?.saturating_mul(100);
    let (delivered, mut deliveries) = mpsc::channel(most.max(1));
    viewer.subscribe("carStatus", QoS::AtLeastOnce).await?;
    tokio::spawn(receive(viewer_events, delivered));
    let (car, car_events) = connect(address, "cars");
    let (nothing, _) = mpsc::channel(1);
    tokio::spawn(receive(car_events, nothing));

    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
    let race = RaceSimulation::new(RaceSettings {
        track: Track::default(),
        cars: 6,
        rate: 5.0,
        seed: 1,
        race: 0,
        start: i64::try_from(now)?,
        laps: None,
        duration: Some(Duration::from_secs(seconds)),
        jitter: Duration::from_millis(5),
    });
    let begin = Instant::now();
    let mut sent = HashMap::new();
    for tick in race {
        for (delay, message) in &tick.messages {
            tokio::time::sleep_until(begin + tick.elapsed + *delay).await;
            sent.entry(message.timestamp).or_insert_with(Instant::now);
            car.publish(topic(0, 1), QoS::AtLeastOnce, false, message.payload()).await?;
        }
    }
    // The last deliveries are under way.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut latencies = Vec::new();
    while let Ok((at, payload)) = deliveries.try_recv() {
        let status: Value = serde_json::from_slice(&payload)?;
        let timestamp = status["timestamp"].as_i64().unwrap_or_default();
        if let Some(released) = sent.get(&(timestamp + TICK))
            && *released > begin + WARM_UP
        {
            let micros = at.saturating_duration_since(*released).as_micros();
            latencies.push(u64::try_from(micros)?);
        }
    }
    Ok(latencies)
}

fn connect(address: &BrokerAddress, name: &str) -> (AsyncClient, EventLoop) {
    let mut options =
        MqttOptions::new(format!("bench-{name}"), address.host.as_str(), address.port);
    options.set_keep_alive(Duration::from_secs(15));
    AsyncClient::new(options, 100)
}

/// Polls a connection and hands on what is delivered, with the time at which it was.
async fn receive(mut events: EventLoop, delivered: mpsc::Sender<(Instant, Vec<u8>)>) {
    while let Ok(event) = events.poll().await {
        if let Event::Incoming(Packet::Publish(publish)) = event
            && delivered.send((Instant::now(), publish.payload.to_vec())).await.is_err()
        {
            return;
        }
    }
}
