//! Live streams over real sockets: positions, resumption, bounds and the end.

use std::time::Duration;

use millrace_core::Mark;
use millrace_log::Entry;

use crate::fixtures::Follower;
use crate::fixtures::Served;
use crate::fixtures::event;
use crate::fixtures::letter;
use crate::fixtures::standing;
use crate::socket::OPENING;
use crate::socket::Socket;

const EVENTS: &str = "/api/v1/streams/positions/events";

async fn follow(served: &Served, query: &str, headers: &[&str]) -> Follower {
    Follower::new(served.send("GET", &format!("{EVENTS}{query}"), headers).await)
}

#[tokio::test]
async fn a_client_gets_what_is_there_and_then_what_comes() {
    let served = Served::new().await;
    let mark = Entry::Mark(Mark::Task { task: 0, watermark: 1 });
    served.append("positions", 1, vec![standing(1, 1), mark, standing(2, 2)]).await;
    let mut client = follow(&served, "?from=start", &[]).await;
    let (id, data) = client.next().await;
    assert_eq!(id, "0-0,1-1");
    assert_eq!(data["partition"], 1);
    assert_eq!(data["value"]["car"], 1);
    assert_eq!(client.next().await.0, "0-0,1-3");
    served.append("positions", 0, vec![standing(3, 3)]).await;
    let (id, data) = client.next().await;
    assert_eq!((id.as_str(), data["value"]["car"].as_i64()), ("0-1,1-3", Some(3)));
}

#[tokio::test]
async fn a_client_that_returns_goes_on_where_it_was() {
    let served = Served::new().await;
    served.append("positions", 0, (1..=3).map(|car| standing(car, 1)).collect()).await;
    served.append("positions", 1, (4..=6).map(|car| standing(car, 1)).collect()).await;
    // The address still says `start`: what the client had last counts for more.
    let mut client = follow(&served, "?from=start", &["Last-Event-ID: 0-2,1-3"]).await;
    let (id, data) = client.next().await;
    assert_eq!((id.as_str(), data["value"]["car"].as_i64()), ("0-3,1-3", Some(3)));
    let mut by_cursor = follow(&served, "?from=0-3,1-2", &[]).await;
    assert_eq!(by_cursor.next().await.1["value"]["car"], 6);
}

#[tokio::test]
async fn one_partition_can_be_followed_from_now() {
    let served = Served::new().await;
    served.append("positions", 1, vec![standing(1, 1)]).await;
    let mut client = follow(&served, "?partition=1", &[]).await;
    // The head of the answer shows that the client's position has been taken.
    client.opened().await;
    served.append("positions", 0, vec![standing(2, 1)]).await;
    served.append("positions", 1, vec![standing(3, 1)]).await;
    let (id, data) = client.next().await;
    assert_eq!((id.as_str(), data["value"]["car"].as_i64()), ("1-2", Some(3)));
}

#[tokio::test]
async fn line_breaks_within_an_event_do_not_break_it() {
    let served = Served::new().await;
    served.append("positions", 0, vec![event("{\r\n\"a\":\n\"b\\n\"}", 1)]).await;
    let mut client = follow(&served, "?from=start", &[]).await;
    assert_eq!(client.next().await.1["value"]["a"], "b\n");
}

#[tokio::test]
async fn dead_letters_are_followed_as_bytes() {
    let served = Served::new().await;
    served.append("dead-letters", 0, vec![letter("ingest/cars", b"\xff")]).await;
    let path = "/api/v1/streams/dead-letters/events?from=start";
    let mut client = Follower::new(served.send("GET", path, &[]).await);
    let (_, data) = client.next().await;
    assert_eq!(data["valueBase64"], "/w==");
    assert_eq!(data["headers"]["deadLetterStage"], "ingest/cars");
}

#[tokio::test]
async fn live_streams_and_clients_that_do_not_read_end_with_the_process() {
    let served = Served::new().await;
    let large = format!(r#"{{"a":"{}"}}"#, "x".repeat(900_000));
    for _ in 0..20 {
        served.append("positions", 0, vec![event(&large, 1)]).await;
    }
    let mut reading = follow(&served, "?partition=1", &[]).await;
    reading.opened().await;
    let _silent = served.send("GET", &format!("{EVENTS}?from=start"), &[]).await;
    served.shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(4), served.server).await.unwrap().unwrap().unwrap();
    reading.ended().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_not_read_for() {
    let served = Served::new().await;
    let large = format!(r#"{{"a":"{}"}}"#, "x".repeat(100_000));
    served.append("positions", 0, (0..120).map(|_| event(&large, 1)).collect()).await;
    let mut silent = follow(&served, "?from=start", &[]).await;
    silent.opened().await;
    let mut reading = follow(&served, "?from=start", &[]).await;
    for _ in 0..120 {
        reading.next().await;
    }
    // The sockets' buffers take a few of the 120 records; the rest stays in the log.
    let metrics = String::from_utf8(served.get("/metrics").await.body).unwrap();
    let sent = metrics
        .lines()
        .find_map(|line| line.strip_prefix("millrace_http_live_records_total "))
        .and_then(|count| count.parse::<u32>().ok())
        .unwrap();
    assert!((120..220).contains(&sent), "{sent}");
}

#[tokio::test]
async fn there_are_no_more_live_streams_than_the_limit() {
    let served = Served::new().await;
    let mut clients = Vec::new();
    for _ in 0..millrace_query::MAX_LIVE_STREAMS {
        let mut client = follow(&served, "", &[]).await;
        client.opened().await;
        clients.push(client);
    }
    let refused = served.get(EVENTS).await;
    assert_eq!(refused.status, 503);
    assert_eq!(refused.detail(), "256 clients follow streams already; try again later");
    assert_eq!(refused.header("retry-after"), Some("1"));
    // A client that goes makes room as soon as the server notices.
    drop(clients);
    let mut room = false;
    while !room {
        let mut client = follow(&served, "", &[]).await;
        room = client.opened().await.starts_with("HTTP/1.1 200");
    }
}

#[tokio::test]
async fn several_streams_are_followed_in_one_connection_and_events_name_theirs() {
    let served = Served::new().await;
    served.append("positions", 1, vec![standing(1, 1), standing(2, 2)]).await;
    served.append("dead-letters", 0, vec![letter("ingest/cars", b"\xff")]).await;
    let path = "/api/v1/events?streams=positions,dead-letters&from=positions:1-1;dead-letters:0-0";
    let mut client = Follower::new(served.send("GET", path, &[]).await);
    let (id, data) = client.next().await;
    assert_eq!(id, "positions:0-0,1-2;dead-letters:0-0");
    assert_eq!((&data["stream"], &data["value"]["car"]), (&"positions".into(), &2.into()));
    let (id, data) = client.next().await;
    assert_eq!(id, "positions:0-0,1-2;dead-letters:0-1");
    assert_eq!((&data["stream"], &data["valueBase64"]), (&"dead-letters".into(), &"/w==".into()));
    for (path, detail) in [
        ("/api/v1/events", "parameter `streams`: write 1 to 16 streams with commas between them"),
        (
            "/api/v1/events?streams=positions,positions",
            "parameter `streams`: `positions` stands twice",
        ),
        (
            "/api/v1/events?streams=positions&from=0-1",
            "parameter `from`: `0-1` is not `now`, `start` or the id of an event",
        ),
    ] {
        let answer = served.get(path).await;
        assert_eq!((answer.status, &*answer.detail()), (400, detail), "{path}");
    }
}

#[tokio::test]
async fn a_websocket_carries_the_same_events_each_with_where_to_come_back() {
    let served = Served::new().await;
    served.append("positions", 1, vec![standing(1, 1)]).await;
    let mut client = Socket::open(&served, &format!("{EVENTS}?from=start"), &[]).await;
    let event = client.text().await;
    assert_eq!((&event["cursor"], &event["value"]["car"]), (&"0-0,1-1".into(), &1.into()));
    assert_eq!(event.get("stream"), None);
    served.append("positions", 0, vec![standing(2, 1)]).await;
    assert_eq!(client.text().await["cursor"], "0-1,1-1");

    let path = "/api/v1/events?streams=positions&from=positions:0-1,1-0";
    let mut again = Socket::open(&served, path, &["Origin: http://localhost"]).await;
    let event = again.text().await;
    assert_eq!((&event["stream"], &event["value"]["car"]), (&"positions".into(), &1.into()));

    served.shutdown.cancel();
    for client in [&mut client, &mut again] {
        let (code, reason) = client.closed().await;
        assert_eq!((code, &*reason), (1001, "the server stops: come back with `from`"));
    }
}

#[tokio::test]
async fn a_page_of_another_origin_opens_no_websocket() {
    let served = Served::new().await;
    let mut headers = OPENING.to_vec();
    headers.push("Origin: https://elsewhere.example");
    let mut client = Follower::new(served.send("GET", EVENTS, &headers).await);
    assert!(client.opened().await.starts_with("HTTP/1.1 403 "));
    let mut wrong = Follower::new(served.send("GET", EVENTS, &["Upgrade: websocket"]).await);
    assert!(wrong.opened().await.starts_with("HTTP/1.1 400 "));
}
