//! The client of an external broker, against a real mosquitto that is killed and comes back.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail by panicking")]

mod support;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use millrace_ingest::Acceptor;
use millrace_ingest::mqtt::connect::MqttSubscriptions;
use millrace_observe::Observer;
use millrace_plan::model::CredentialsSource;
use millrace_plan::model::IngestPlan;
use millrace_plan::model::IngestSource;
use millrace_plan::model::MqttBroker;
use millrace_plan::model::MqttConnect;
use millrace_plan::model::SecretSource;
use support::MemoryLog;
use support::broker::Broker;
use support::broker::until;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

fn message(time: usize) -> String {
    format!(r#"{{"timestamp":{time},"carIndex":2,"location":{{"lat":51.5,"long":-0.5}}}}"#)
}

impl Broker {
    async fn publish(&self, topic: &str, message: &str) {
        let status = Command::new("mosquitto_pub")
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string()])
            .args(["-q", "1", "-t", topic, "-m", message])
            .status()
            .await
            .unwrap();
        assert!(status.success());
    }

    fn connect(&self, scheme: &str, host: &str) -> MqttConnect {
        MqttConnect {
            broker: MqttBroker {
                url: format!("{scheme}://{host}:{}", self.port),
                client_id: "race-cars".into(),
                credentials: None,
                certificate_authority: None,
            },
            topics: vec!["carCoordinates/+".into()],
            shared_group: None,
            qos: 1,
        }
    }
}

/// Waits for a condition that nothing announces.
struct Client {
    log: Arc<MemoryLog>,
    observer: Observer,
    cancel: CancellationToken,
    subscriptions: MqttSubscriptions,
}

impl Client {
    fn start(connect: MqttConnect, log: Arc<MemoryLog>) -> Self {
        let ingest = IngestPlan { source: IngestSource::MqttConnect(connect), ..support::cars() };
        let plan = support::plan(support::coordinates(), 1, vec![ingest]);
        let observer = Observer::default();
        let acceptor = Acceptor::new(&plan, log.clone(), &observer);
        let cancel = CancellationToken::new();
        let secrets = Path::new("secrets");
        let subscriptions = MqttSubscriptions::start(&plan, &acceptor, &observer, secrets, &cancel);
        Self { log, observer, cancel, subscriptions }
    }

    async fn ready(&self) {
        until(async || self.observer.not_ready().is_empty()).await;
    }

    async fn stop(self) {
        self.cancel.cancel();
        self.subscriptions.closed().await;
    }

    /// Waits until events of these times are in the log, in this order.
    async fn has(&self, times: &[i64]) {
        until(async || {
            let mut seen = Vec::new();
            for record in self.log.records("coordinates", 0) {
                if !seen.contains(&record.event_time) {
                    seen.push(record.event_time);
                }
            }
            seen == times
        })
        .await;
    }
}

#[tokio::test]
async fn messages_are_stored_in_order_and_invalid_ones_are_dead_letters() {
    let broker = Broker::start("").await;
    let client = Client::start(broker.connect("mqtt", "127.0.0.1"), support::race_log());
    client.ready().await;
    for time in 1..=3 {
        broker.publish("carCoordinates/spa", &message(time)).await;
    }
    broker.publish("carCoordinates/spa", "{").await;
    client.has(&[1, 2, 3]).await;
    client.log.reached("dead-letters", 0, 1).await;
    assert_eq!(client.log.records("coordinates", 0)[0].key, "spa");
    assert_eq!(client.log.dead_letters()[0].context, "carCoordinates/spa");
    client.stop().await;
}

#[tokio::test]
async fn what_comes_while_we_are_away_or_the_broker_is_killed_is_stored_later() {
    let mut broker = Broker::start("").await;
    let client = Client::start(broker.connect("mqtt", "127.0.0.1"), support::race_log());
    client.ready().await;
    broker.publish("carCoordinates/spa", &message(1)).await;
    client.has(&[1]).await;
    let log = Arc::clone(&client.log);
    client.stop().await;
    broker.publish("carCoordinates/spa", &message(2)).await;

    let client = Client::start(broker.connect("mqtt", "127.0.0.1"), log);
    client.has(&[1, 2]).await;
    broker.kill();
    until(async || !client.observer.not_ready().is_empty()).await;
    assert!(
        client.observer.not_ready()[0]
            .starts_with("ingest cars is waiting: the connection to the broker has ended: "),
        "{:?}",
        client.observer.not_ready()
    );
    broker.run();
    client.ready().await;
    broker.publish("carCoordinates/spa", &message(3)).await;
    client.has(&[1, 2, 3]).await;
    client.stop().await;
}

#[tokio::test]
async fn nothing_is_acknowledged_while_the_log_refuses() {
    let broker = Broker::start("").await;
    let client = Client::start(broker.connect("mqtt", "127.0.0.1"), support::race_log());
    client.ready().await;
    client.log.refuse(usize::MAX);
    broker.publish("carCoordinates/spa", &message(1)).await;
    until(async || client.log.attempts.load(Ordering::SeqCst) > 2).await;
    assert_eq!(
        client.observer.not_ready(),
        ["ingest cars is waiting: the log does not accept at present: the disk is full"]
    );
    let log = Arc::clone(&client.log);
    client.stop().await;
    assert!(log.entries("coordinates", 0).is_empty());

    // It was not acknowledged, so it comes again.
    log.refuse(0);
    let client = Client::start(broker.connect("mqtt", "127.0.0.1"), log);
    client.has(&[1]).await;
    client.stop().await;
}

#[tokio::test]
async fn members_of_a_shared_group_split_the_messages() {
    let broker = Broker::start("").await;
    let member = |id: &str| {
        let mut connect = broker.connect("mqtt", "127.0.0.1");
        connect.broker.client_id = id.into();
        connect.shared_group = Some("g".into());
        connect
    };
    let one = Client::start(member("one"), support::race_log());
    let two = Client::start(member("two"), support::race_log());
    one.ready().await;
    two.ready().await;
    for time in 1..=6 {
        broker.publish("carCoordinates/spa", &message(time)).await;
    }
    let times = |client: &Client| {
        let records = client.log.records("coordinates", 0).into_iter();
        records.map(|record| record.event_time).collect::<Vec<_>>()
    };
    until(async || times(&one).len() + times(&two).len() >= 6).await;
    let mut all = [times(&one), times(&two)].concat();
    all.sort_unstable();
    assert_eq!(all, [1, 2, 3, 4, 5, 6]);
    one.stop().await;
    two.stop().await;
}

async fn run(folder: &Path, program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).current_dir(folder).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn a_broker_by_tls_is_trusted_by_its_ca_file_and_told_user_and_password() {
    let files = tempfile::tempdir().unwrap();
    let file = |name: &str| files.path().join(name).to_str().unwrap().to_owned();
    let make = [
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
        "-addext",
        "subjectAltName=DNS:localhost",
        // A certificate that may sign others is no server certificate to rustls.
        "-addext",
        "basicConstraints=critical,CA:FALSE",
        "-keyout",
        "key.pem",
        "-out",
        "cert.pem",
    ];
    run(files.path(), "openssl", &make).await;
    run(files.path(), "mosquitto_passwd", &["-b", "-c", "users", "ann", "secret"]).await;
    let broker = Broker::start(&format!(
        "certfile {}\nkeyfile {}\nallow_anonymous false\npassword_file {}",
        file("cert.pem"),
        file("key.pem"),
        file("users")
    ))
    .await;
    std::fs::write(file("username"), "ann\n").unwrap();
    std::fs::write(file("password"), "wrong\n").unwrap();
    let mut connect = broker.connect("mqtts", "localhost");
    connect.broker.credentials = Some(CredentialsSource::Folder(files.path().to_owned()));
    connect.broker.certificate_authority = Some(SecretSource::File(file("cert.pem").into()));
    let client = Client::start(connect.clone(), support::race_log());
    until(async || client.observer.not_ready()[0].contains("is waiting")).await;
    // A corrected password is taken over without a restart.
    std::fs::write(file("password"), "secret\n").unwrap();
    client.ready().await;
    client.stop().await;

    connect.broker.certificate_authority = None;
    let client = Client::start(connect, support::race_log());
    until(async || client.observer.not_ready()[0].contains("is waiting")).await;
    let reason = client.observer.not_ready().remove(0);
    assert!(reason.contains("certificate"), "{reason}");
    client.stop().await;
}
