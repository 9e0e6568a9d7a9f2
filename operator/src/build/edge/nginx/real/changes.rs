//! What changes while it runs.

use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;

use super::bed::Bed;
use super::pipeline;
use super::pods::until;

const SLOW: &[u8] =
    b"GET /api/v1/status HTTP/1.1\r\nHost: race.example.com\r\nConnection: close\r\n\r\n";

#[tokio::test]
async fn a_changed_certificate_is_served_and_cuts_nothing() {
    let bed = Bed::start(&pipeline("{}")).await;
    let before = bed.served().await;
    let mut running = bed.connect(bed.places.https).await;
    running.write_all(SLOW).await.unwrap();
    let mut mqtt = bed.connect(bed.places.mqtt).await;
    // A kept connection, which has had its first answer.
    let mut kept = bed.connect(bed.places.https).await;
    let get = b"GET /x HTTP/1.1\r\nHost: race.example.com\r\n\r\n";
    kept.write_all(get).await.unwrap();
    let mut buffer = [0; 4096];
    assert!(kept.read(&mut buffer).await.unwrap() > 0);

    let workers = bed.workers();
    bed.renew_certificate();
    assert_ne!(bed.certificate(), before);
    bed.retired(&workers).await;
    assert!(bed.served().await == bed.certificate(), "{}", bed.errors());

    bed.query.go.notify_one();
    let mut answer = String::new();
    running.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("at last") || answer.contains("at last"), "{answer}");
    mqtt.write_all(b"still").await.unwrap();
    assert_eq!(mqtt.read(&mut buffer).await.unwrap(), 5);
    // Its next request is answered, and told that it was the last one.
    kept.write_all(get).await.unwrap();
    let read = kept.read(&mut buffer).await.unwrap();
    let answer = String::from_utf8_lossy(&buffer[..read]).to_ascii_lowercase();
    assert!(answer.starts_with("http/1.1 200") && answer.contains("connection: close"), "{answer}");
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_changes_nothing_and_is_told_of() {
    let bed = Bed::start(&pipeline("{}")).await;
    let before = bed.served().await;
    bed.spoil_certificate();
    until("it is told of", async || bed.errors().contains("the one before stays in use")).await;
    assert_eq!(bed.served().await, before);
    let workers = bed.workers();
    bed.renew_certificate();
    bed.retired(&workers).await;
    assert_eq!(bed.served().await, bed.certificate());
}

#[tokio::test]
async fn nobody_is_let_in_before_there_are_pods() {
    let bed = Bed::begin(&pipeline("{}"), &[], "60").await;
    until("it waits", async || bed.errors().contains("waits for race-")).await;
    let port = (std::net::Ipv4Addr::LOCALHOST, bed.places.http);
    assert!(tokio::net::TcpStream::connect(port).await.is_err());
    bed.find(&[super::bed::INGEST]);
    bed.ready().await;
}

#[tokio::test]
async fn where_no_pods_come_it_says_so_to_those_who_ask() {
    let bed = Bed::begin(&pipeline("{}"), &[], "1").await;
    bed.names.set("race-query.factory.svc.cluster.local", &[]);
    until("it waits no longer", async || {
        let port = (std::net::Ipv4Addr::LOCALHOST, bed.places.https);
        tokio::net::TcpStream::connect(port).await.is_ok()
    })
    .await;
    assert_eq!(bed.get("/x").await.status, 503);
}

#[tokio::test]
async fn pods_that_come_and_go_are_followed() {
    let bed = Bed::start(&pipeline("{}")).await;
    let second = std::net::Ipv4Addr::new(127, 0, 0, 5);
    super::pods::Pod::serve("second", second, bed.places.query_http).await;
    let name = "race-query.factory.svc.cluster.local";
    bed.names.set(name, &[second]);
    until("the new one is asked", async || bed.get("/x").await.told()["pod"] == "second").await;
    bed.names.set(name, &[]);
    until("there is none", async || bed.get("/x").await.status == 503).await;
    bed.names.set(name, &[super::bed::QUERY]);
    until("the first one is back", async || bed.get("/x").await.status == 200).await;
}

#[tokio::test]
async fn at_the_end_what_is_under_way_is_answered() {
    let mut bed = Bed::start(&pipeline("{}")).await;
    let mut running = bed.connect(bed.places.https).await;
    running.write_all(SLOW).await.unwrap();
    until("the request is on its way", async || bed.get("/x").await.status == 200).await;
    bed.tell_to_end();
    until("nobody else comes in", async || {
        tokio::net::TcpStream::connect((std::net::Ipv4Addr::LOCALHOST, bed.places.https))
            .await
            .is_err()
    })
    .await;
    assert!(!bed.has_ended());
    bed.query.go.notify_one();
    let mut answer = String::new();
    running.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains("at last"), "{answer}");
    let mut ended = false;
    for _ in 0..400 {
        ended = bed.has_ended();
        if ended {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
    }
    assert!(ended);
}
