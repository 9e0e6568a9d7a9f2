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
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::bench::process::Running;
use crate::bench::report::Figure;

/// Between two ticks of the race, in milliseconds.
const TICK: i64 = 200;
/// Latencies of the first seconds are left out: everything is made at first use.
const WARM_UP: Duration = Duration::from_secs(3);

/// Measures for so many seconds at 30 messages a second.
pub(super) fn measure(seconds: u64) -> Result<Figure, Box<dyn Error>> {
    let running = Running::start()?;
    let address: BrokerAddress = running.ready["mqtt"].as_str().unwrap_or_default().parse()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut latencies = runtime.block_on(latencies(&address, seconds))?;
    latencies.sort_unstable();
    let percentile = |percent: usize| {
        let index = (latencies.len() * percent / 100).min(latencies.len().saturating_sub(1));
        latencies.get(index).copied().unwrap_or_default().as_secs_f64() * 1000.0
    };
    Ok(Figure {
        what: "race end to end, from the releasing record's arrival to delivery by MQTT".to_owned(),
        value: format!("p99 {:.1} ms, median {:.1} ms", percentile(99), percentile(50)),
        target: "p99 < 20 ms".to_owned(),
        method: format!(
            "release program, 30 messages/s at QoS 1 for {seconds} s, {} deliveries, client included",
            latencies.len()
        ),
        details: json!({
            "deliveries": latencies.len(),
            "p50Millis": percentile(50),
            "p90Millis": percentile(90),
            "p99Millis": percentile(99),
            "maxMillis": percentile(100),
            "residentKib": running.memory_kib("VmRSS")?,
        }),
    })
}

async fn latencies(address: &BrokerAddress, seconds: u64) -> Result<Vec<Duration>, Box<dyn Error>> {
    let (viewer, viewer_events) = connect(address, "viewer");
    let (delivered, mut deliveries) = mpsc::channel(10_000);
    viewer.subscribe("carStatus", QoS::AtLeastOnce).await?;
    tokio::spawn(receive(viewer_events, delivered));
    let (car, car_events) = connect(address, "cars");
    let (confirmed, mut confirmations) = mpsc::channel(10_000);
    tokio::spawn(receive(car_events, confirmed));

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
        while confirmations.try_recv().is_ok() {}
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
            latencies.push(at.saturating_duration_since(*released));
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
