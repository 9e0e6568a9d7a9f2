//! A broker that breaks connections: every message must reach it all the same.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use millrace_simulate::Statistics;
use millrace_simulate::race::RaceSettings;
use millrace_simulate::race::RaceSimulation;
use millrace_simulate::race::Track;
use millrace_simulate::send::BrokerAddress;
use millrace_simulate::send::MqttTarget;
use millrace_simulate::send::Pace;
use millrace_simulate::send::publish;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

const CONNECT: u8 = 1;
const PUBLISH: u8 = 3;

/// Reads one MQTT packet: its type and its body.
async fn packet(stream: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let first = stream.read_u8().await.ok()?;
    let (mut length, mut shift) = (0, 0);
    loop {
        let byte = stream.read_u8().await.ok()?;
        length |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
        shift += 7;
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some((first >> 4, body))
}

/// Confirms so many publishes of a connection and then closes it without a word; returns the
/// payloads that it confirmed.
async fn serve(stream: &mut TcpStream, confirm: usize) -> Vec<Vec<u8>> {
    let mut confirmed = Vec::new();
    while let Some((kind, body)) = packet(stream).await {
        if kind == CONNECT {
            stream.write_all(&[0x20, 2, 0, 0]).await.unwrap();
        } else if kind == PUBLISH {
            if confirmed.len() == confirm {
                return confirmed;
            }
            let topic = usize::from(u16::from_be_bytes([body[0], body[1]]));
            let id = [body[2 + topic], body[3 + topic]];
            stream.write_all(&[0x40, 2, id[0], id[1]]).await.unwrap();
            confirmed.push(body[4 + topic..].to_vec());
        }
    }
    confirmed
}

#[tokio::test]
async fn every_message_is_confirmed_in_the_end_though_connections_break() {
    let race = RaceSettings {
        track: Track::default(),
        cars: 6,
        rate: 5.0,
        seed: 1,
        race: 0,
        start: 0,
        laps: None,
        duration: Some(Duration::from_secs(20)),
        jitter: Duration::from_millis(5),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = BrokerAddress {
        host: "127.0.0.1".into(),
        port: listener.local_addr().unwrap().port(),
        tls: false,
    };
    let broker = tokio::spawn(async move {
        let mut confirmed = Vec::new();
        for confirm in [0, 1, 70, 150, usize::MAX] {
            let (mut stream, _) = listener.accept().await.unwrap();
            confirmed.extend(serve(&mut stream, confirm).await);
        }
        confirmed
    });

    let statistics = Arc::new(Statistics::default());
    let target = MqttTarget { address, credentials: None, tls: None };
    let races = [race.clone()];
    publish(&races, &target, Pace::Unlimited, &statistics, &CancellationToken::new()).await;

    let confirmed = broker.await.unwrap();
    let sent: Vec<_> = RaceSimulation::new(race)
        .flat_map(|tick| tick.messages)
        .map(|(_, message)| message.payload())
        .collect();
    assert_eq!(sent.len(), 600);
    assert_eq!(
        confirmed.iter().collect::<BTreeSet<_>>(),
        sent.iter().collect::<BTreeSet<_>>(),
        "the broker confirmed each message at least once"
    );
    let snapshot = statistics.snapshot();
    assert_eq!((snapshot.sent, snapshot.acknowledged, snapshot.errors), (600, 600, 4));
    assert!(snapshot.repeated >= 4, "{snapshot:?}");
}
