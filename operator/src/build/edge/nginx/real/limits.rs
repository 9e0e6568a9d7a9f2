//! What is too much.

use super::bed::Bed;
use super::pipeline;

#[tokio::test]
async fn a_body_above_the_limit_of_its_way_in_is_refused() {
    let bed = Bed::start(&pipeline("{}")).await;
    let post = async |path: &str, length: usize| {
        let lines = format!("POST {path} HTTP/1.1\r\nContent-Length: {length}\r\n");
        bed.ask_with_body(&lines, &"x".repeat(length)).await
    };
    assert_eq!(post("/small", 10).await.told()["length"], 10);
    let refused = post("/small", 11).await;
    assert_eq!(
        (refused.status, refused.header("content-type")),
        (413, Some("application/problem+json"))
    );
    assert_eq!(post("/cars", 1 << 20).await.told()["length"], 1 << 20);
    assert_eq!(post("/cars", (1 << 20) + 1).await.status, 413);
    assert_eq!(post("/large", 16 << 20).await.told()["length"], 16 << 20);
    let chunked = "POST /small HTTP/1.1\r\nTransfer-Encoding: chunked\r\n";
    assert_eq!(bed.ask_with_body(chunked, "b\r\nxxxxxxxxxxx\r\n0\r\n\r\n").await.status, 413);
    assert_eq!(
        bed.ask_with_body(chunked, "a\r\nxxxxxxxxxx\r\n0\r\n\r\n").await.told()["length"],
        10
    );
}

#[tokio::test]
async fn headers_above_the_limit_are_refused() {
    let bed = Bed::start(&pipeline("{limits: {headerBytes: 4096}}")).await;
    let with = async |bytes: usize| {
        bed.ask(&format!("GET /x HTTP/1.1\r\nX-Long: {}\r\n", "x".repeat(bytes))).await
    };
    assert_eq!(with(3900).await.status, 200);
    let refused = with(4200).await;
    assert_eq!(
        (refused.status, refused.header("content-type")),
        (431, Some("application/problem+json"))
    );
}

#[tokio::test]
async fn a_client_that_sends_too_much_is_told_to_come_again() {
    let bed = Bed::start(&pipeline("{edge: {requests: {perSecond: 1, burst: 2}}}")).await;
    let mut refused = None;
    for _ in 0..10 {
        let answer = bed.get("/x").await;
        if answer.status == 429 {
            refused = Some(answer);
        }
    }
    let refused = refused.unwrap();
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(refused.header("content-type"), Some("application/problem+json"));
}

#[tokio::test]
async fn the_requests_of_a_second_may_come_at_once() {
    let bed = Bed::start(&pipeline("{edge: {requests: {perSecond: 20}}}")).await;
    for _ in 0..15 {
        assert_eq!(bed.get("/x").await.status, 200);
    }
}

#[tokio::test]
async fn a_client_has_no_more_connections_than_it_may() {
    use tokio::io::AsyncReadExt as _;
    use tokio::io::AsyncWriteExt as _;
    let bed = Bed::start(&pipeline("{edge: {connections: 1}}")).await;
    let mut first = bed.connect(bed.places.https).await;
    let live = b"GET /api/v1/events HTTP/1.1\r\nHost: race.example.com\r\n\r\n";
    first.write_all(live).await.unwrap();
    let mut buffer = [0; 64];
    assert!(first.read(&mut buffer).await.unwrap() > 0);
    let refused = bed.get("/x").await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("1")));
    let mut mqtt = bed.connect(bed.places.mqtt).await;
    mqtt.write_all(b"hello").await.unwrap();
    assert_eq!(mqtt.read(&mut buffer).await.unwrap(), 5);
    assert!(bed.try_connect(bed.places.mqtt).await.is_err());
}
