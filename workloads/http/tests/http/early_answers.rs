//! Answers that come before the request's body has, as for those who may not send it.

use axum::http::Request;
use bytes::Bytes;
use futures::SinkExt as _;
use futures::StreamExt as _;
use futures::channel::mpsc;
use http_body::Frame;
use http_body_util::BodyExt as _;
use http_body_util::StreamBody;
use hyper_util::rt::TokioExecutor;
use hyper_util::rt::TokioIo;
use millrace_plan::model::ExposurePlan;
use tokio::io::AsyncWriteExt as _;

use crate::support::Served;
use crate::support::ask;
use crate::support::is_closed;
use crate::support::read;

const HEAD: &str = "POST /who HTTP/1.1\r\nHost: localhost\r\nContent-Length: ";

#[tokio::test]
async fn over_http_2_the_rest_of_the_body_is_taken_after_the_answer() {
    let served = Served::new(&ExposurePlan::default()).await;
    let io = TokioIo::new(served.connect().await);
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    let (mut body, frames) = mpsc::channel::<Bytes>(0);
    let frames = frames.map(|bytes| Ok::<_, std::io::Error>(Frame::data(bytes)));
    let request = Request::post("http://localhost/who").body(StreamBody::new(frames)).unwrap();
    let answer = sender.send_request(request).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "nobody");
    for _ in 0..40 {
        // Fails when the other end has reset the stream.
        body.send(Bytes::from(vec![b'x'; 16 * 1024])).await.unwrap();
    }
}

#[tokio::test]
async fn over_http_1_the_connection_serves_on_after_the_rest_of_the_body() {
    let served = Served::new(&ExposurePlan::default()).await;
    let mut connection = served.connect().await;
    connection.write_all(format!("{HEAD}300000\r\n\r\n").as_bytes()).await.unwrap();
    assert_eq!(read(&mut connection).await.body, "nobody");
    connection.write_all(&vec![b'x'; 300_000]).await.unwrap();
    assert_eq!(ask(&mut connection, "GET", "/client", &[]).await.body, "127.0.0.1");
}

#[tokio::test(start_paused = true)]
async fn a_rest_that_does_not_come_ends_the_connection_after_two_seconds() {
    let served = Served::new(&ExposurePlan::default()).await;
    let mut connection = served.connect().await;
    connection.write_all(format!("{HEAD}300000\r\n\r\n").as_bytes()).await.unwrap();
    assert_eq!(read(&mut connection).await.body, "nobody");
    let begin = tokio::time::Instant::now();
    assert!(is_closed(&mut connection).await);
    assert_eq!(begin.elapsed().as_secs(), 2);
}

#[tokio::test]
async fn who_waits_with_the_body_for_leave_is_not_asked_for_it() {
    let served = Served::new(&ExposurePlan::default()).await;
    let mut connection = served.connect().await;
    let head = format!("{HEAD}300000\r\nExpect: 100-continue\r\n\r\n");
    connection.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(read(&mut connection).await.status, 200);
    assert!(is_closed(&mut connection).await);
}
