//! Limits of connections, and their end.

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt as _;
use hyper_util::rt::TokioExecutor;
use hyper_util::rt::TokioIo;
use millrace_plan::model::ExposurePlan;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;

use crate::support::Served;
use crate::support::ask;
use crate::support::is_closed;
use crate::support::read;

#[tokio::test(start_paused = true)]
async fn a_connection_serves_one_request_after_the_other() {
    let served = Served::new(&ExposurePlan::default()).await;
    let mut connection = served.connect().await;
    for _ in 0..3 {
        assert_eq!(ask(&mut connection, "GET", "/client", &[]).await.body, "127.0.0.1");
    }
    // Also after it has been idle for so long that nothing is kept for it.
    tokio::time::sleep(Duration::from_millis(1300)).await;
    assert_eq!(ask(&mut connection, "GET", "/client", &[]).await.body, "127.0.0.1");
    assert!((served.metric("millrace_http_open_connections") - 1.0).abs() < f64::EPSILON);
    drop(connection);
    served.metric_becomes("millrace_http_open_connections", 0.0).await;
}

#[tokio::test]
async fn requests_that_are_sent_ahead_are_answered_in_order() {
    let served = Served::new(&ExposurePlan::default()).await;
    let mut connection = served.connect().await;
    let one = "GET /who HTTP/1.1\r\nHost: localhost\r\n\r\n";
    connection.write_all(one.repeat(3).as_bytes()).await.unwrap();
    let mut text = String::new();
    let mut buffer = [0; 4096];
    while text.matches("nobody").count() < 3 {
        let length = connection.read(&mut buffer).await.unwrap();
        assert!(length > 0, "{text}");
        text.push_str(&String::from_utf8_lossy(&buffer[..length]));
    }
}

#[tokio::test(start_paused = true)]
async fn headers_that_come_too_slowly_end_their_connection_alone() {
    let served = Served::new(&ExposurePlan::default()).await;
    let mut slow = served.connect().await;
    slow.write_all(b"GET /who HTTP/1.1\r\nHost: localhost\r\n").await.unwrap();
    let begin = tokio::time::Instant::now();
    let dripping = async {
        // A header a second is not enough.
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            if slow.write_all(b"X: y\r\n").await.is_err() {
                return;
            }
            let mut buffer = [0; 4096];
            let reading = slow.read(&mut buffer);
            if let Ok(length) = tokio::time::timeout(Duration::from_millis(1), reading).await {
                let text = String::from_utf8_lossy(&buffer[..length.unwrap()]).into_owned();
                assert!(text.starts_with("HTTP/1.1 408 "), "{text}");
                return;
            }
        }
    };
    dripping.await;
    let taken = begin.elapsed().as_secs();
    assert!((9..=12).contains(&taken), "{taken}");
    assert_eq!(served.get("/who", &[]).await.status, 200);
    assert!((served.metric("millrace_http_timeouts_total") - 1.0).abs() < f64::EPSILON);
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_requests_is_closed_after_75_seconds() {
    let served = Served::new(&ExposurePlan::default()).await;
    let (mut silent, mut used) = (served.connect().await, served.connect().await);
    assert_eq!(ask(&mut used, "GET", "/who", &[]).await.status, 200);
    let begin = tokio::time::Instant::now();
    assert!(is_closed(&mut silent).await && is_closed(&mut used).await);
    let taken = begin.elapsed().as_secs();
    assert!((74..=80).contains(&taken), "{taken}");
    served.metric_becomes("millrace_http_idle_connections_closed_total", 2.0).await;
}

#[tokio::test]
async fn headers_that_are_too_large_are_refused() {
    let exposure = ExposurePlan { max_header_bytes: 2048, ..ExposurePlan::default() };
    let served = Served::new(&exposure).await;
    let with = |length| format!("X-Long: {}", "x".repeat(length));
    assert_eq!(served.get("/who", &[&with(1500)]).await.status, 200);
    assert_eq!(served.get("/who", &[&with(3000)]).await.status, 431);
    assert_eq!(served.get("/who", &[&with(100_000)]).await.status, 431);
}

#[tokio::test]
async fn at_the_limit_the_connection_that_is_idle_for_longest_goes() {
    let exposure = ExposurePlan { max_connections: 3, ..ExposurePlan::default() };
    let served = Served::new(&exposure).await;
    let mut first = served.connect().await;
    assert_eq!(ask(&mut first, "GET", "/who", &[]).await.status, 200);
    served.metric_becomes("millrace_http_open_connections", 1.0).await;
    // It has become idle before the second comes.
    tokio::time::sleep(Duration::from_millis(1300)).await;
    let mut second = served.connect().await;
    served.metric_becomes("millrace_http_open_connections", 2.0).await;
    let mut busy = served.connect().await;
    busy.write_all(b"GET /never HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    served.metric_becomes("millrace_http_open_connections", 3.0).await;

    assert_eq!(served.get("/who", &[]).await.status, 200);
    assert!(is_closed(&mut first).await);
    assert_eq!(ask(&mut second, "GET", "/who", &[]).await.status, 200);
    assert!((served.metric("millrace_http_evicted_connections_total") - 1.0).abs() < f64::EPSILON);
}

#[tokio::test]
async fn where_no_connection_is_idle_a_new_one_waits() {
    let exposure = ExposurePlan { max_connections: 1, ..ExposurePlan::default() };
    let served = Served::new(&exposure).await;
    let mut busy = served.connect().await;
    busy.write_all(b"GET /slow HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    served.metric_becomes("millrace_http_open_connections", 1.0).await;
    let (waiting, slow) = tokio::join!(served.get("/who", &[]), read(&mut busy));
    assert_eq!((waiting.status, slow.body.as_str()), (200, "slow"));
}

#[tokio::test]
async fn stopping_ends_idle_connections_at_once_and_waits_for_answers() {
    let served = Served::new(&ExposurePlan::default()).await;
    let (mut idle, mut busy) = (served.connect().await, served.connect().await);
    // Once it is told to go on, the request is being answered.
    let head =
        b"POST /length HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n";
    busy.write_all(head).await.unwrap();
    assert_eq!(read(&mut busy).await.status, 100);
    served.shutdown.cancel();
    assert!(is_closed(&mut idle).await);
    assert!(!served.server.is_finished());
    busy.write_all(b"abc").await.unwrap();
    let answer = read(&mut busy).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "3"));
    served.server.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn stopping_does_not_wait_for_answers_without_end() {
    let served = Served::new(&ExposurePlan::default()).await;
    let mut busy = served.connect().await;
    busy.write_all(b"GET /never HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    served.metric_becomes("millrace_http_open_connections", 1.0).await;
    let begin = tokio::time::Instant::now();
    served.shutdown.cancel();
    served.server.await.unwrap().unwrap();
    assert_eq!(begin.elapsed().as_secs(), 2);
    assert!(is_closed(&mut busy).await);
}

#[tokio::test]
async fn http_2_is_spoken_with_those_who_begin_with_it() {
    let served = Served::new(&ExposurePlan::default()).await;
    let io = TokioIo::new(served.connect().await);
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    let driving = tokio::spawn(connection);
    let requests = (0..20).map(|_| {
        let request = Request::get("http://localhost/client").body(Body::empty()).unwrap();
        sender.send_request(request)
    });
    for answer in futures::future::join_all(requests.collect::<Vec<_>>()).await {
        let answer = answer.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "127.0.0.1");
    }
    let large = Request::get("http://localhost/who").header("x", "y".repeat(40_000));
    let answer = sender.send_request(large.body(Body::empty()).unwrap()).await;
    assert!(answer.is_err() || answer.is_ok_and(|answer| answer.status() == 431));
    served.shutdown.cancel();
    served.server.await.unwrap().unwrap();
    let _ = driving.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_takes_nothing_of_an_answer_over_http_2_loses_the_connection_after_a_minute() {
    let served = Served::new(&ExposurePlan::default()).await;
    let io = TokioIo::new(served.connect().await);
    let (mut sender, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(0)
        .handshake(io)
        .await
        .unwrap();
    let driving = tokio::spawn(connection);
    let request = Request::get("http://localhost/client").body(Body::empty()).unwrap();
    let answer = sender.send_request(request).await.unwrap();
    assert_eq!(answer.status(), 200);
    let begin = tokio::time::Instant::now();
    let _ = driving.await.unwrap();
    let taken = begin.elapsed().as_secs();
    assert!((59..=62).contains(&taken), "{taken}");
    assert!((served.metric("millrace_http_timeouts_total") - 1.0).abs() < f64::EPSILON);
    drop(answer);
}
