//! Connections over WebSocket: an answer to each message, in order, and how they end.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::SinkExt as _;
use futures::StreamExt as _;
use millrace_core::EventId;
use millrace_plan::model::*;
use serde_json::json;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;

use crate::client::send;
use crate::server::*;

type Connection = WebSocketStream<TcpStream>;

fn live() -> WebSocketIngest {
    WebSocketIngest {
        path: path("/live/{device}"),
        headers: Vec::new(),
        limits: http().limits,
        identity: Identity::Content,
        idle_timeout: Duration::from_mins(1),
    }
}

async fn serving(live: WebSocketIngest) -> Server {
    let plan = IngestPlan {
        map: Some(program(
            ".device = %path.device",
            millrace_plan::program::Place::Http,
            &live.path,
        )),
        max_body_bytes: 1000,
        ..way(IngestSource::WebSocket(live))
    };
    serve_all(measurements(), vec![plan]).await
}

async fn connect(server: &Server) -> Connection {
    let stream = TcpStream::connect(server.address).await.unwrap();
    let url = format!("ws://{}/live/d1", server.address);
    client_async(url, stream).await.unwrap().0
}

async fn next(connection: &mut Connection) -> Option<Message> {
    let next = timeout(Duration::from_secs(30), connection.next()).await.unwrap();
    next.map(Result::unwrap)
}

async fn told(connection: &mut Connection) -> serde_json::Value {
    let message = next(connection).await.unwrap();
    serde_json::from_str(message.to_text().unwrap()).unwrap()
}

async fn closed(connection: &mut Connection) -> (u16, String) {
    match next(connection).await {
        Some(Message::Close(Some(frame))) => (frame.code.into(), frame.reason.to_string()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn each_message_is_answered_in_order_with_its_id_or_its_problem() {
    let server = serving(live()).await;
    let mut connection = connect(&server).await;
    connection.send(Message::text(r#"{"cpu": 1}"#)).await.unwrap();
    connection.send(Message::text("{")).await.unwrap();
    connection.send(Message::binary(&br#"{"cpu": 101}"#[..])).await.unwrap();
    let value = r#"{"cpu":1,"device":"d1"}"#;
    let id = EventId::of_content("coordinates", b"d1", value.as_bytes());
    assert_eq!(told(&mut connection).await, json!({"message": 1, "id": id.to_string()}));
    assert_eq!(
        told(&mut connection).await,
        json!({"message": 2, "problem": {
            "type": "about:blank", "title": "Bad Request", "status": 400,
            "detail": "the body is not JSON: EOF while parsing an object at line 1 column 1",
        }})
    );
    let third = told(&mut connection).await;
    assert_eq!((&third["message"], &third["problem"]["status"]), (&json!(3), &json!(422)));
    assert_eq!(third["problem"]["errors"][0]["pointer"], "/cpu");
    assert_eq!(server.values(), [value]);
}

#[tokio::test]
async fn messages_that_wait_together_share_appends_and_keep_their_order() {
    let server = serving(live()).await;
    let mut connection = connect(&server).await;
    for number in 0..5000 {
        connection.feed(Message::text(format!(r#"{{"cpu": 1, "n": {number}}}"#))).await.unwrap();
    }
    connection.flush().await.unwrap();
    for number in 1..=5000 {
        let answer = told(&mut connection).await;
        assert_eq!(answer["message"], number);
        assert!(answer["id"].is_string());
    }
    let values = server.values();
    assert_eq!(values.len(), 5000);
    assert_eq!(values[4999], r#"{"cpu":1,"device":"d1","n":4999}"#);
    let appends = server.log.attempts.load(Ordering::SeqCst);
    assert!(appends < 2500, "{appends} appends for 5000 messages");
}

#[tokio::test]
async fn a_log_that_does_not_accept_is_told_for_each_message() {
    let server = serving(live()).await;
    let mut connection = connect(&server).await;
    server.log.refuse(1);
    connection.send(Message::text(r#"{"cpu": 1}"#)).await.unwrap();
    let answer = told(&mut connection).await;
    assert_eq!((&answer["message"], &answer["problem"]["status"]), (&json!(1), &json!(503)));
    connection.send(Message::text(r#"{"cpu": 1}"#)).await.unwrap();
    assert!(told(&mut connection).await["id"].is_string());
    assert_eq!(server.values().len(), 1);
}

#[tokio::test]
async fn what_was_answered_is_stored_when_the_client_is_killed() {
    let server = serving(live()).await;
    let mut connection = connect(&server).await;
    connection.send(Message::text(r#"{"cpu": 1}"#)).await.unwrap();
    assert!(told(&mut connection).await["id"].is_string());
    connection.send(Message::text(r#"{"cpu": 2}"#)).await.unwrap();
    drop(connection);
    // The place is given back.
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    let free = r#"millrace_http_ingest_in_flight{route="cpu"} 0"#;
    while !server.metrics().contains(free) {
        assert!(std::time::Instant::now() < deadline);
        tokio::task::yield_now().await;
    }
    assert_eq!(server.values()[0], r#"{"cpu":1,"device":"d1"}"#);
}

#[tokio::test]
async fn a_stop_answers_what_has_come_and_closes_with_1001() {
    let server = serving(live()).await;
    let mut connection = connect(&server).await;
    connection.send(Message::text(r#"{"cpu": 1}"#)).await.unwrap();
    assert_eq!(told(&mut connection).await["message"], 1);
    server.closing.cancel();
    assert_eq!(closed(&mut connection).await, (1001, "the process stops".into()));
}

#[tokio::test]
async fn a_message_that_is_too_large_closes_with_1009_after_the_answers() {
    let server = serving(live()).await;
    for length in [1001, 4 << 20] {
        let mut connection = connect(&server).await;
        connection.feed(Message::text(r#"{"cpu": 1}"#)).await.unwrap();
        // Of the larger one not all is read, so that it may not be sent to its end.
        let _ = connection.send(Message::text("x".repeat(length))).await;
        assert_eq!(told(&mut connection).await["message"], 1);
        if length == 1001 {
            let reason = "the message is too large".to_owned();
            assert_eq!(closed(&mut connection).await, (1009, reason));
        }
    }
}

#[tokio::test]
async fn a_key_of_the_opening_request_does_not_make_all_messages_one() {
    let server = serving(live()).await;
    let stream = TcpStream::connect(server.address).await.unwrap();
    let request = tokio_tungstenite::tungstenite::ClientRequestBuilder::new(
        format!("ws://{}/live/d1", server.address).parse().unwrap(),
    )
    .with_header("idempotency-key", "k");
    let mut connection = client_async(request, stream).await.unwrap().0;
    connection.send(Message::text(r#"{"cpu": 1}"#)).await.unwrap();
    connection.send(Message::text(r#"{"cpu": 2}"#)).await.unwrap();
    assert_ne!(told(&mut connection).await["id"], told(&mut connection).await["id"]);
}

#[tokio::test]
async fn messages_beyond_the_rate_are_told_to_wait() {
    let limits = HttpLimits { rate: Some(1), ..http().limits };
    let server = serving(WebSocketIngest { limits, ..live() }).await;
    let mut connection = connect(&server).await;
    for _ in 0..2 {
        connection.send(Message::text(r#"{"cpu": 1}"#)).await.unwrap();
    }
    assert!(told(&mut connection).await["id"].is_string());
    assert_eq!(told(&mut connection).await["problem"]["status"], 429);
}

#[tokio::test]
async fn silence_is_asked_after_and_then_ends_the_connection() {
    let idle_timeout = Duration::from_millis(200);
    let server = serving(WebSocketIngest { idle_timeout, ..live() }).await;
    // Reading answers pings, and so keeps the connection.
    let mut connection = connect(&server).await;
    let mut pings = 0;
    while pings < 4 {
        assert!(matches!(next(&mut connection).await, Some(Message::Ping(_))));
        pings += 1;
    }
    // A bare socket answers nothing.
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    let opening = "GET /live/d1 HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    tokio::io::AsyncWriteExt::write_all(&mut silent, opening.as_bytes()).await.unwrap();
    let mut all = Vec::new();
    let reading = tokio::io::AsyncReadExt::read_to_end(&mut silent, &mut all);
    timeout(Duration::from_secs(30), reading).await.unwrap().unwrap();
    let text = String::from_utf8_lossy(&all);
    assert!(text.ends_with("\u{3}\u{fffd}neither a message nor a pong"), "{text:?}");
}

#[tokio::test]
async fn connections_beyond_the_places_and_plain_requests_are_refused() {
    let limits = HttpLimits { concurrent: 1, ..http().limits };
    let server = serving(WebSocketIngest { limits, ..live() }).await;
    let answer = send(server.address, "GET /live/d1", &[], "").await;
    assert_eq!((answer.status, answer.header("upgrade")), (426, Some("websocket")));
    let _connection = connect(&server).await;
    let answer = send(server.address, "GET /live/d1", &[], "").await;
    assert_eq!(answer.problem(), (503, "1 connections are open already".into()));
}
