//! Connections that last: live streams, WebSockets and MQTT.

use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;

use super::bed::Bed;
use super::pipeline;

#[tokio::test]
async fn an_event_arrives_before_the_answer_ends() {
    let bed = Bed::start(&pipeline("{}")).await;
    let mut stream = bed.connect(bed.places.https).await;
    stream
        .write_all(b"GET /api/v1/events HTTP/1.1\r\nHost: race.example.com\r\n\r\n")
        .await
        .unwrap();
    let mut seen = String::new();
    let mut buffer = [0; 1024];
    while !seen.contains("data: 1\n\n") {
        let read = tokio::time::timeout(Duration::from_secs(10), stream.read(&mut buffer)).await;
        let read = read.unwrap_or_else(|_| panic!("not within 10 s, but {seen}")).unwrap();
        assert!(read > 0, "{seen}");
        seen.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
    }
}

#[tokio::test]
async fn a_websocket_is_opened_where_there_is_one_and_nowhere_else() {
    let bed = Bed::start(&pipeline("{}")).await;
    let opening = |path: &str| {
        format!(
            "GET {path} HTTP/1.1\r\nHost: race.example.com\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
    };
    let mut stream = bed.connect(bed.places.https).await;
    stream.write_all(opening("/live/7").as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
    // A text of two bytes, masked by zeros, and the same unmasked.
    stream.write_all(&[0x81, 0x82, 0, 0, 0, 0, b'h', b'i']).await.unwrap();
    let mut echo = [0; 4];
    stream.read_exact(&mut echo).await.unwrap();
    assert_eq!(&echo, &[0x81, 2, b'h', b'i']);

    let elsewhere = bed.ask(
        "GET /x HTTP/1.1\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: a\r\n",
    );
    assert_eq!(elsewhere.await.told()["headers"].get("upgrade"), None);
}

#[tokio::test]
async fn mqtt_goes_on_without_its_tls() {
    let bed = Bed::start(&pipeline("{}")).await;
    let mut stream = bed.connect(bed.places.mqtt).await;
    stream.write_all(b"\x10\x0c\x00\x04MQTT").await.unwrap();
    let mut echo = [0; 8];
    stream.read_exact(&mut echo).await.unwrap();
    assert_eq!(&echo, b"\x10\x0c\x00\x04MQTT");
}
