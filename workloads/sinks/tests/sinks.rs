//! What `mqtt` sinks send: to our own endpoint's subscribers and to a real mosquitto.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail by panicking")]

#[path = "../../ingest/tests/support/mod.rs"]
mod support;

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use async_trait::async_trait;
use millrace_core::EventId;
use millrace_core::Headers;
use millrace_core::Mark;
use millrace_core::Record;
use millrace_ingest::Acceptor;
use millrace_ingest::mqtt::MqttEndpoint;
use millrace_ingest::mqtt::MqttSettings;
use millrace_ingest::mqtt::OutgoingMessage;
use millrace_log::Append;
use millrace_log::Entry;
use millrace_log::Log;
use millrace_observe::Observer;
use millrace_plan::Plan;
use millrace_plan::model::MqttBroker;
use millrace_plan::model::MqttSink;
use millrace_plan::model::MqttTopic;
use millrace_plan::model::SinkPlan;
use millrace_plan::model::SinkTarget;
use millrace_plan::program::Place;
use millrace_plan::program::Program;
use millrace_sinks::DeliverError;
use millrace_sinks::MqttSinks;
use millrace_sinks::Publisher;
use parking_lot::Mutex;
use support::MemoryLog;
use support::broker::Broker;
use support::broker::until;
use tokio::io::AsyncBufReadExt as _;
use tokio::io::BufReader;
use tokio::io::Lines;
use tokio::process::Child;
use tokio::process::ChildStdout;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

fn sink(broker: Option<MqttBroker>) -> MqttSink {
    let topic = Program::compile(r#""carStatus/" + %key"#, Place::Pipeline).unwrap();
    let body = Program::compile("if .skip == true { abort }\n.n = to_int!(.n)", Place::Pipeline);
    MqttSink {
        topic: MqttTopic::Program(topic),
        body: Some(body.unwrap()),
        qos: 1,
        retain: false,
        broker,
    }
}

fn plan(mqtt: MqttSink) -> Plan {
    let mut plan = support::plan(support::coordinates(), 1, vec![support::cars()]);
    plan.sinks.push(SinkPlan {
        name: "status".into(),
        generation: 0,
        from: vec!["coordinates".parse().unwrap()],
        target: SinkTarget::Mqtt(mqtt),
    });
    plan
}

async fn append(log: &MemoryLog, value: &str) {
    let record = Record {
        key: "spa".into(),
        event_time: 7,
        ingest_time: 8,
        id: EventId::of_content("coordinates", b"spa", value.as_bytes()),
        headers: Headers::default(),
        value: value.to_owned().into(),
    };
    add(log, Entry::Record(record)).await;
}

async fn add(log: &MemoryLog, entry: Entry) {
    let stream = "coordinates".parse().unwrap();
    log.append(vec![Append { stream, partition: 0, entry }]).await.unwrap();
}

/// Remembers messages; refuses the first batches as often as told.
#[derive(Default)]
struct Remembering {
    messages: Mutex<Vec<OutgoingMessage>>,
    refuse: AtomicUsize,
}

#[async_trait]
impl Publisher for Remembering {
    async fn publish(&self, messages: Vec<OutgoingMessage>) -> Result<(), DeliverError> {
        let less = |n: usize| n.checked_sub(1);
        if self.refuse.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok() {
            return Err(DeliverError::Broker("no".into()));
        }
        self.messages.lock().extend(messages);
        Ok(())
    }
}

impl Remembering {
    fn bodies(&self) -> Vec<String> {
        let messages = self.messages.lock();
        messages.iter().map(|m| String::from_utf8(m.body.to_vec()).unwrap()).collect()
    }
}

fn shared(publisher: impl Publisher) -> Arc<dyn Publisher> {
    Arc::new(publisher)
}

struct Running {
    observer: Arc<Observer>,
    cancel: CancellationToken,
    sinks: MqttSinks,
}

impl Running {
    fn start(plan: &Plan, log: &Arc<MemoryLog>, endpoint: Option<&Arc<dyn Publisher>>) -> Self {
        let observer = Arc::new(Observer::default());
        let cancel = CancellationToken::new();
        let log: Arc<dyn Log> = log.clone();
        let sinks =
            MqttSinks::start(plan, &log, endpoint, &observer, Path::new("secrets"), &cancel);
        Self { observer, cancel, sinks }
    }

    async fn stop(self) {
        self.cancel.cancel();
        self.sinks.closed().await;
    }
}

#[tokio::test]
async fn records_are_sent_in_order_and_marks_and_aborts_are_not() {
    let log = support::race_log();
    let publisher = Arc::new(Remembering::default());
    append(&log, r#"{"n":"1"}"#).await;
    let running =
        Running::start(&plan(sink(None)), &log, Some(&(publisher.clone() as Arc<dyn Publisher>)));
    add(&log, Entry::Mark(Mark::Idle { watermark: 8 })).await;
    append(&log, r#"{"n":2,"skip":true}"#).await;
    append(&log, r#"{"n":3}"#).await;
    until(async || publisher.bodies() == [r#"{"n":1}"#, r#"{"n":3}"#]).await;
    assert!(publisher.messages.lock().iter().all(|m| m.topic == "carStatus/spa" && m.qos == 1));
    until(async || running.observer.not_ready().is_empty()).await;
    running.stop().await;
}

#[tokio::test]
async fn what_cannot_be_sent_is_a_dead_letter_and_the_rest_goes_on() {
    let log = support::race_log();
    let publisher = Arc::new(Remembering::default());
    for value in [r#"{"n":1}"#, r#"{"n":"x"}"#, r#"{"n":3}"#] {
        append(&log, value).await;
    }
    let running =
        Running::start(&plan(sink(None)), &log, Some(&(publisher.clone() as Arc<dyn Publisher>)));
    until(async || publisher.bodies() == [r#"{"n":1}"#, r#"{"n":3}"#]).await;
    let letters = log.dead_letters();
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].stage, "sink/status");
    assert_eq!(letters[0].original, r#"{"n":"x"}"#);
    assert_eq!(letters[0].key, "spa");
    let source = letters[0].source.as_ref().unwrap();
    assert_eq!((source.stream.as_str(), source.partition, source.offset), ("coordinates", 0, 1));
    assert!(letters[0].reason.starts_with("the body's program failed: "), "{}", letters[0].reason);
    let text = running.observer.encode().unwrap();
    for line in [
        "millrace_sink_messages_total{sink=\"status\",result=\"sent\"} 2",
        "millrace_sink_messages_total{sink=\"status\",result=\"refused\"} 1",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    running.stop().await;
}

#[tokio::test]
async fn a_restart_goes_on_where_the_sink_was_and_a_new_generation_begins_anew() {
    let log = support::race_log();
    let publisher = Arc::new(Remembering::default());
    append(&log, r#"{"n":1}"#).await;
    let mut plan = plan(sink(None));
    let running = Running::start(&plan, &log, Some(&(publisher.clone() as Arc<dyn Publisher>)));
    until(async || publisher.bodies().len() == 1).await;
    running.stop().await;
    append(&log, r#"{"n":2}"#).await;
    let running = Running::start(&plan, &log, Some(&(publisher.clone() as Arc<dyn Publisher>)));
    until(async || publisher.bodies() == [r#"{"n":1}"#, r#"{"n":2}"#]).await;
    running.stop().await;
    plan.sinks[0].generation = 1;
    let running = Running::start(&plan, &log, Some(&(publisher.clone() as Arc<dyn Publisher>)));
    until(async || publisher.bodies().len() == 4).await;
    running.stop().await;
    assert_eq!(publisher.bodies()[2..], [r#"{"n":1}"#, r#"{"n":2}"#]);
}

#[tokio::test]
async fn what_was_not_confirmed_is_sent_again_and_positions_are_committed_together() {
    let log = support::race_log();
    let publisher = Arc::new(Remembering::default());
    publisher.refuse.store(2, Ordering::SeqCst);
    for n in 0..2000 {
        append(&log, &format!("{{\"n\":{n}}}")).await;
    }
    let running =
        Running::start(&plan(sink(None)), &log, Some(&(publisher.clone() as Arc<dyn Publisher>)));
    until(async || publisher.bodies().len() == 2000).await;
    running.stop().await;
    let expected: Vec<_> = (0..2000).map(|n| format!("{{\"n\":{n}}}")).collect();
    assert_eq!(publisher.bodies(), expected);
    let group = log.group_offset("sink/status", &"coordinates".parse().unwrap(), 0).await;
    assert_eq!(group.unwrap(), Some(2000));
    assert!(log.group_commits.load(Ordering::SeqCst) <= 5);
}

#[tokio::test]
async fn a_subscriber_of_the_endpoint_gets_a_record_at_once() {
    let log = support::race_log();
    let plan = plan(sink(None));
    let observer = Observer::default();
    let acceptor = Acceptor::new(&plan, log.clone(), &observer);
    let settings =
        MqttSettings { address: SocketAddr::from(([127, 0, 0, 1], 0)), ..MqttSettings::default() };
    let endpoint =
        MqttEndpoint::start(settings, acceptor, &observer, CancellationToken::new()).await.unwrap();
    let running = Running::start(&plan, &log, Some(&shared(endpoint.publisher())));
    let mut subscriber = Subscriber::start(endpoint.address().port()).await;
    let mut fastest = Duration::MAX;
    for n in 0..20 {
        let begun = Instant::now();
        append(&log, &format!("{{\"n\":{n}}}")).await;
        assert_eq!(subscriber.message().await, format!("carStatus/spa {{\"n\":{n}}}"));
        fastest = fastest.min(begun.elapsed());
    }
    // Far above what it takes, and far below the time between two commits.
    assert!(fastest < Duration::from_millis(50), "{fastest:?}");
    running.stop().await;
}

/// A `mosquitto_sub` that has subscribed, and the messages that it gets.
struct Subscriber {
    _child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Subscriber {
    async fn start(port: u16) -> Self {
        let mut child = Command::new("stdbuf")
            .args(["-oL", "mosquitto_sub", "-h", "127.0.0.1", "-p", &port.to_string()])
            .args(["-q", "1", "-v", "-d", "-t", "carStatus/+"])
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut subscriber = Self { _child: child, lines };
        subscriber.line("Subscribed").await;
        subscriber
    }

    /// The next line that begins so; those of `-d` begin with other words than the topic.
    async fn line(&mut self, beginning: &str) -> String {
        let found = async {
            loop {
                let line = self.lines.next_line().await.unwrap().expect("the subscriber ended");
                if line.starts_with(beginning) {
                    return line;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(30), found).await.expect("nothing in 30 s")
    }

    async fn message(&mut self) -> String {
        self.line("carStatus/").await
    }
}

#[tokio::test]
async fn an_external_broker_gets_everything_in_order_though_it_is_killed_between() {
    let mut broker = Broker::start("").await;
    let settings = MqttBroker {
        url: format!("mqtt://127.0.0.1:{}", broker.port),
        client_id: "race-status".into(),
        credentials: None,
        certificate_authority: None,
    };
    let log = support::race_log();
    let running = Running::start(&plan(sink(Some(settings))), &log, None);
    let mut subscriber = Subscriber::start(broker.port).await;
    for n in 0..500 {
        append(&log, &format!("{{\"n\":{n}}}")).await;
    }
    for n in 0..500 {
        assert_eq!(subscriber.message().await, format!("carStatus/spa {{\"n\":{n}}}"));
    }
    broker.kill();
    append(&log, r#"{"n":500}"#).await;
    until(async || !running.observer.not_ready().is_empty()).await;
    let reason = running.observer.not_ready().remove(0);
    let expected = "sink status on coordinates partition 0 is waiting: cannot publish: \
                    the broker has not confirmed: ";
    assert!(reason.starts_with(expected), "{reason}");
    broker.run();
    // Nothing is lost or turned around; the subscriber may have come back later than the sink.
    until(async || running.observer.not_ready().is_empty()).await;
    let mut subscriber = Subscriber::start(broker.port).await;
    append(&log, r#"{"n":501}"#).await;
    assert_eq!(subscriber.message().await, r#"carStatus/spa {"n":501}"#);
    running.stop().await;
    let group = log.group_offset("sink/status", &"coordinates".parse().unwrap(), 0).await;
    assert_eq!(group.unwrap(), Some(502));
}
