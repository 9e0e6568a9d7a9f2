//! What `webhook` sinks send, to a real server on a socket.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail by panicking")]

#[path = "../../ingest/tests/support/mod.rs"]
mod support;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use axum::response::Response;
use axum::routing::post;
use millrace_core::EventId;
use millrace_core::Headers;
use millrace_core::Record;
use millrace_log::Append;
use millrace_log::Entry;
use millrace_log::Log;
use millrace_observe::Observer;
use millrace_plan::Plan;
use millrace_plan::model::SecretSource;
use millrace_plan::model::SinkPlan;
use millrace_plan::model::SinkTarget;
use millrace_plan::model::WebhookSink;
use millrace_plan::program::Place;
use millrace_plan::program::Program;
use millrace_sinks::WebhookSinks;
use parking_lot::Mutex;
use support::MemoryLog;
use support::broker::until;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// A request that arrived.
#[derive(Debug, Clone)]
struct Seen {
    at: Instant,
    headers: HeaderMap,
    body: String,
}

impl Seen {
    fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }
}

/// What the server answers: a status, a header and a text.
type Answer = (u16, Option<(&'static str, &'static str)>, &'static str);

/// A server that remembers requests. It gives the answers that it was told, then 200; bodies that
/// contain `held` get none as long as they are held.
struct Server {
    address: String,
    seen: Mutex<Vec<Seen>>,
    answers: Mutex<VecDeque<Answer>>,
    is_held: watch::Sender<bool>,
}

impl Server {
    async fn start(answers: &[Answer]) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Arc::new(Self {
            address: format!("http://{}/alerts", listener.local_addr().unwrap()),
            seen: Mutex::default(),
            answers: Mutex::new(answers.iter().copied().collect()),
            is_held: watch::Sender::new(true),
        });
        let router = Router::new().route("/alerts", post(answer)).with_state(Arc::clone(&server));
        tokio::spawn(async move { axum::serve(listener, router).await });
        server
    }

    fn bodies(&self) -> Vec<String> {
        self.seen.lock().iter().map(|seen| seen.body.clone()).collect()
    }
}

async fn answer(State(server): State<Arc<Server>>, headers: HeaderMap, body: Bytes) -> Response {
    let body = String::from_utf8(body.to_vec()).unwrap();
    let is_held = body.contains("held");
    server.seen.lock().push(Seen { at: Instant::now(), headers, body });
    if is_held {
        let mut held = server.is_held.subscribe();
        held.wait_for(|held| !held).await.unwrap();
    }
    let (status, header, text) = server.answers.lock().pop_front().unwrap_or((200, None, ""));
    let mut response = (StatusCode::from_u16(status).unwrap(), text).into_response();
    if let Some((name, value)) = header {
        response.headers_mut().insert(name, value.parse().unwrap());
    }
    response
}

fn sink(server: &Server) -> WebhookSink {
    WebhookSink {
        url: server.address.clone(),
        body: None,
        headers: Vec::new(),
        secret_headers: Vec::new(),
        signing_secret: None,
        timeout: Duration::from_secs(30),
        retries: 10,
        concurrent: 1,
    }
}

async fn append(log: &MemoryLog, key: &'static str, value: &str) {
    let record = Record {
        key: key.into(),
        event_time: 7,
        ingest_time: 8,
        id: EventId::of_content("coordinates", key.as_bytes(), value.as_bytes()),
        headers: Headers::default(),
        value: value.to_owned().into(),
    };
    let stream = "coordinates".parse().unwrap();
    let entry = Entry::Record(record);
    log.append(vec![Append { stream, partition: 0, entry }]).await.unwrap();
}

fn id_of(key: &str, value: &str) -> String {
    EventId::of_content("coordinates", key.as_bytes(), value.as_bytes()).to_string()
}

struct Running {
    observer: Arc<Observer>,
    cancel: CancellationToken,
    sinks: WebhookSinks,
}

impl Running {
    fn start(webhook: &WebhookSink, log: &Arc<MemoryLog>) -> Self {
        let mut plan: Plan = support::plan(support::coordinates(), 1, vec![support::cars()]);
        plan.sinks.push(SinkPlan {
            name: "alerts".into(),
            generation: 0,
            from: vec!["coordinates".parse().unwrap()],
            target: SinkTarget::Webhook(webhook.clone()),
        });
        let (observer, cancel) = (Arc::new(Observer::default()), CancellationToken::new());
        let log: Arc<dyn Log> = log.clone();
        let sinks = WebhookSinks::start(&plan, &log, &observer, None, &cancel).unwrap();
        Self { observer, cancel, sinks }
    }

    async fn stop(self) {
        self.cancel.cancel();
        self.sinks.closed().await;
    }
}

/// Reasons of the dead letters.
fn reasons(log: &MemoryLog) -> Vec<String> {
    let letters = log.dead_letters();
    assert!(letters.iter().all(|letter| letter.stage == "sink/alerts"));
    letters.into_iter().map(|letter| letter.reason).collect()
}

/// The signature as another implementation makes it.
fn signature_by_python(secret: &str, seen: &Seen) -> String {
    let program = "import base64, hmac, sys
key, id, timestamp, body = (a.encode() for a in sys.argv[1:])
digest = hmac.digest(key, id + b'.' + timestamp + b'.' + body, 'sha256')
print('v1,' + base64.b64encode(digest).decode())";
    let (id, timestamp) = (seen.header("webhook-id"), seen.header("webhook-timestamp"));
    let arguments = ["-c", program, secret, id, timestamp, &seen.body];
    let output = Command::new("python3").args(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[tokio::test]
async fn every_record_is_a_signed_request_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let file: PathBuf = folder.path().join("secret");
    std::fs::write(&file, "a shared secret\n").unwrap();
    let token: PathBuf = folder.path().join("token");
    std::fs::write(&token, "Bearer abc\n").unwrap();
    let server = Server::start(&[]).await;
    let log = support::race_log();
    let compile = |source: &str| Program::compile(source, Place::Pipeline).unwrap();
    let sink = WebhookSink {
        secret_headers: vec![("authorization".into(), SecretSource::File(token))],
        signing_secret: Some(SecretSource::File(file)),
        body: Some(compile("if .skip == true { abort }\n.at = %eventTime")),
        headers: vec![("x-car".into(), compile("\"car \" + %key"))],
        ..sink(&server)
    };
    for n in 0..20 {
        append(&log, "spa", &format!(r#"{{"n":{n},"skip":{}}}"#, n == 7)).await;
    }
    let running = Running::start(&sink, &log);
    until(async || server.seen.lock().len() == 19).await;
    let expected: Vec<_> = (0..20)
        .filter(|n| *n != 7)
        .map(|n| format!(r#"{{"at":7,"n":{n},"skip":false}}"#))
        .collect();
    assert_eq!(server.bodies(), expected);
    let seen = server.seen.lock()[1].clone();
    assert_eq!(seen.header("webhook-id"), id_of("spa", r#"{"n":1,"skip":false}"#));
    assert_eq!(seen.header("content-type"), "application/json");
    assert_eq!(seen.header("x-car"), "car spa");
    assert_eq!(seen.header("authorization"), "Bearer abc");
    assert_eq!(seen.header("webhook-signature"), signature_by_python("a shared secret", &seen));
    until(async || running.observer.not_ready().is_empty()).await;
    let text = running.observer.encode().unwrap();
    for line in [
        "millrace_webhook_events_total{sink=\"alerts\",result=\"sent\"} 19",
        "millrace_webhook_events_total{sink=\"alerts\",result=\"skipped\"} 1",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    running.stop().await;
}

#[tokio::test]
async fn a_passing_failure_is_tried_again_when_the_receiver_says_and_holds_its_key_up() {
    let answers = [(503, None, ""), (429, Some(("retry-after", "2")), ""), (200, None, "")];
    let server = Server::start(&answers).await;
    let log = support::race_log();
    append(&log, "spa", "1").await;
    append(&log, "spa", "2").await;
    let running = Running::start(&sink(&server), &log);
    until(async || server.seen.lock().len() == 4).await;
    assert_eq!(server.bodies(), ["1", "1", "1", "2"]);
    let seen = server.seen.lock().clone();
    assert!(seen[..3].iter().all(|seen| seen.header("webhook-id") == id_of("spa", "1")));
    let pause = seen[1].at - seen[0].at;
    assert!(
        (Duration::from_millis(490)..Duration::from_millis(1900)).contains(&pause),
        "{pause:?}"
    );
    assert!(seen[2].at - seen[1].at >= Duration::from_millis(1990));
    assert_eq!(reasons(&log), Vec::<String>::new());
    running.stop().await;
}

#[tokio::test]
async fn what_the_receiver_never_takes_is_a_dead_letter_and_the_rest_goes_on() {
    let answers = [
        (400, None, "no such car"),
        (302, Some(("location", "http://127.0.0.1:1/")), ""),
        (503, None, "busy"),
        (500, None, ""),
    ];
    let server = Server::start(&answers).await;
    let log = support::race_log();
    for value in ["1", "2", "3", "4"] {
        append(&log, "spa", value).await;
    }
    let running = Running::start(&WebhookSink { retries: 1, ..sink(&server) }, &log);
    until(async || server.bodies() == ["1", "2", "3", "3", "4"]).await;
    assert_eq!(
        reasons(&log),
        [
            "the receiver answers 400 Bad Request: no such car",
            "the receiver answers 302 Found",
            "the receiver answers 500 Internal Server Error (after 2 attempts)",
        ]
    );
    running.stop().await;
}

#[tokio::test]
async fn an_attempt_that_takes_too_long_fails() {
    let server = Server::start(&[]).await;
    let log = support::race_log();
    append(&log, "spa", "\"held\"").await;
    let timeout = Duration::from_millis(100);
    let running = Running::start(&WebhookSink { retries: 0, timeout, ..sink(&server) }, &log);
    until(async || !log.dead_letters().is_empty()).await;
    let reason = reasons(&log).remove(0);
    assert!(reason.contains("operation timed out (after 1 attempts)"), "{reason}");
    running.stop().await;
}

#[tokio::test]
async fn other_keys_go_on_and_a_restart_sends_what_was_not_answered_with_the_same_id() {
    let server = Server::start(&[]).await;
    let log = support::race_log();
    for (key, value) in [("a", "\"held\""), ("b", "1"), ("a", "2"), ("b", "3")] {
        append(&log, key, value).await;
    }
    let sink = WebhookSink { concurrent: 2, ..sink(&server) };
    let running = Running::start(&sink, &log);
    until(async || server.seen.lock().len() == 3).await;
    let mut bodies = server.bodies();
    bodies[..2].sort_unstable();
    assert_eq!(bodies, ["\"held\"", "1", "3"]);
    running.stop().await;

    server.is_held.send_replace(false);
    let running = Running::start(&sink, &log);
    until(async || server.bodies().iter().any(|body| body == "2")).await;
    let seen = server.seen.lock().clone();
    let held: Vec<_> = seen.iter().filter(|seen| seen.body == "\"held\"").collect();
    assert_eq!(held.len(), 2);
    assert!(held.iter().all(|seen| seen.header("webhook-id") == id_of("a", "\"held\"")));
    let stream = "coordinates".parse().unwrap();
    until(async || log.group_offset("sink/alerts", &stream, 0).await.unwrap() == Some(4)).await;
    running.stop().await;
}
