//! Limits: size, rate, places, time, and clients that do not keep to them.

use std::time::Duration;

use millrace_plan::model::*;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::client::answer;
use crate::client::request;
use crate::client::send;
use crate::server::*;

async fn limited(limits: HttpLimits) -> Server {
    serve(HttpIngest { limits, ..http() }).await
}

async fn small() -> Server {
    let plan = IngestPlan { max_body_bytes: 100, ..way(IngestSource::Http(http())) };
    serve_all(measurements(), vec![plan]).await
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_by_its_announced_length() {
    let server = small().await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = "POST /cpu HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\nexpect: 100-continue\r\ncontent-length: 101\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(
        answer(&mut stream).await.problem(),
        (413, "the body has more than 100 bytes".into())
    );
    assert_eq!(server.post("x".repeat(200_000)).await.status, 413);
}

#[tokio::test]
async fn a_body_of_unknown_length_is_refused_where_it_passes_the_limit() {
    let server = small().await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = "POST /cpu HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let chunk = format!("33\r\n{}\r\n", " ".repeat(0x33));
    stream.write_all(chunk.repeat(2).as_bytes()).await.unwrap();
    stream.write_all(b"0\r\n\r\n").await.unwrap();
    assert_eq!(answer(&mut stream).await.status, 413);
    assert!(server.values().is_empty());
}

#[tokio::test]
async fn a_client_that_waits_to_be_told_to_send_is_told() {
    let server = serve(http()).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let whole = request("POST /cpu", &[JSON, ("expect", "100-continue")], EVENT.as_bytes());
    let (head, body) = whole.split_at(whole.len() - EVENT.len());
    stream.write_all(head).await.unwrap();
    assert_eq!(answer(&mut stream).await.status, 100);
    stream.write_all(body).await.unwrap();
    assert_eq!(answer(&mut stream).await.told(), (202, ""));
}

#[tokio::test]
async fn a_client_that_sends_too_often_is_told_when_to_come_again() {
    let server = limited(HttpLimits { rate: Some(2), ..http().limits }).await;
    assert_eq!(server.post(EVENT).await.status, 202);
    assert_eq!(server.post(EVENT).await.status, 202);
    let answer = server.post(EVENT).await;
    assert_eq!(answer.problem(), (429, "this address sends more than is allowed".into()));
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(server.values().len(), 2);
    let metrics = server.metrics();
    assert!(
        metrics.contains(r#"millrace_http_ingest_refused_total{route="cpu",reason="rate"} 1"#),
        "{metrics}"
    );
}

#[tokio::test]
async fn requests_beyond_the_places_are_refused() {
    let server = limited(HttpLimits { concurrent: 1, ..http().limits }).await;
    let mut slow = TcpStream::connect(server.address).await.unwrap();
    let whole = request("POST /cpu", &[JSON, ("expect", "100-continue")], EVENT.as_bytes());
    let (head, body) = whole.split_at(whole.len() - 1);
    slow.write_all(&head[..=head.len() - EVENT.len()]).await.unwrap();
    // Now it holds the place: its body is waited for.
    assert_eq!(answer(&mut slow).await.status, 100);
    let refused = server.post(EVENT).await;
    assert_eq!(refused.problem(), (503, "1 requests are being answered already".into()));
    assert_eq!(refused.header("retry-after"), Some("1"));
    slow.write_all(&head[head.len() - EVENT.len() + 1..]).await.unwrap();
    slow.write_all(body).await.unwrap();
    assert_eq!(answer(&mut slow).await.status, 202);
    assert_eq!(server.post(EVENT).await.status, 202);
}

#[tokio::test]
async fn a_body_that_does_not_come_in_time_is_given_up() {
    let timeout = Duration::from_millis(100);
    let server = limited(HttpLimits { timeout, ..http().limits }).await;
    let mut slow = TcpStream::connect(server.address).await.unwrap();
    let whole = request("POST /cpu", &[JSON], EVENT.as_bytes());
    slow.write_all(&whole[..whole.len() - 1]).await.unwrap();
    assert_eq!(
        answer(&mut slow).await.problem(),
        (408, "the body did not arrive within 100ms".into())
    );
    // The rest of the body is not taken for a request.
    assert_eq!(slow.read(&mut [0; 8]).await.unwrap(), 0);
    assert!(server.values().is_empty());
}

#[tokio::test]
async fn a_client_that_goes_away_within_its_body_has_sent_nothing() {
    let server = limited(HttpLimits { concurrent: 1, ..http().limits }).await;
    let mut gone = TcpStream::connect(server.address).await.unwrap();
    let line = [NDJSON, ("expect", "100-continue")];
    let whole = request("POST /cpu", &line, format!("{EVENT}\n{EVENT}").as_bytes());
    let (head, body) = whole.split_at(whole.len() - 2 * EVENT.len() - 1);
    gone.write_all(head).await.unwrap();
    assert_eq!(answer(&mut gone).await.status, 100);
    gone.write_all(&body[..body.len() - 1]).await.unwrap();
    drop(gone);
    // Its place is free once it is noticed.
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while send(server.address, "POST /cpu", &[JSON], EVENT).await.status != 202 {
        assert!(std::time::Instant::now() < deadline);
    }
    assert_eq!(server.values(), [EVENT]);
}
