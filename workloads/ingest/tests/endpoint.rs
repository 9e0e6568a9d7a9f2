//! The MQTT endpoint as clients see it: Debian's `mosquitto_pub` and `mosquitto_sub`, and
//! bytes on a socket where those are too polite.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail by panicking")]

mod support;

use std::net::SocketAddr;
use std::path::Path;
use std::process::Output;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use millrace_ingest::Acceptor;
use millrace_ingest::mqtt::MqttEndpoint;
use millrace_ingest::mqtt::MqttSettings;
use millrace_ingest::mqtt::OutgoingMessage;
use millrace_observe::Observer;
use support::MemoryLog;
use tokio::io::AsyncBufReadExt as _;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::io::BufReader;
use tokio::io::Lines;
use tokio::net::TcpStream;
use tokio::process::Child;
use tokio::process::ChildStdout;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

const MESSAGE: &str = r#"{"timestamp":1541693114862,"carIndex":2,"location":{"lat":51.349937311969725,"long":-0.544958142167281}}"#;

struct Server {
    log: Arc<MemoryLog>,
    observer: Observer,
    endpoint: MqttEndpoint,
    cancel: CancellationToken,
}

impl Server {
    async fn start(settings: MqttSettings) -> Self {
        let log = support::race_log();
        let observer = Observer::default();
        let plan = support::plan(support::coordinates(), 1, vec![support::cars()]);
        let acceptor = Acceptor::new(&plan, log.clone(), &observer);
        let cancel = CancellationToken::new();
        let endpoint =
            MqttEndpoint::start(settings, acceptor, &observer, cancel.clone()).await.unwrap();
        Self { log, observer, endpoint, cancel }
    }

    async fn plain() -> Self {
        Self::start(settings()).await
    }

    /// Runs `mosquitto_pub` against the server with a message on its standard input.
    async fn publish(&self, arguments: &[&str], message: &[u8]) -> Output {
        let mut child = Command::new("mosquitto_pub")
            .args(["-h", "127.0.0.1", "-p", &self.endpoint.address().port().to_string(), "-s"])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(message).await.unwrap();
        drop(stdin);
        within(child.wait_with_output()).await.unwrap()
    }

    /// Starts `mosquitto_sub` and waits until it has subscribed.
    async fn subscribe(&self, arguments: &[&str]) -> Subscriber {
        // Line by line: mosquitto_sub would keep its output back while it is no terminal.
        let mut child = Command::new("stdbuf")
            .args([
                "-oL",
                "mosquitto_sub",
                "-h",
                "127.0.0.1",
                "-p",
                &self.endpoint.address().port().to_string(),
                "-d",
            ])
            .args(arguments)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut subscriber = Subscriber { _child: child, lines };
        subscriber.line(|line| line.starts_with("Subscribed")).await;
        subscriber
    }
}

struct Subscriber {
    _child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Subscriber {
    async fn line(&mut self, wanted: impl Fn(&str) -> bool) -> String {
        within(async {
            loop {
                let line = self.lines.next_line().await.unwrap().expect("the subscriber has ended");
                if wanted(&line) {
                    return line;
                }
            }
        })
        .await
    }

    /// The next message; the lines of `-d` begin with other words.
    async fn message(&mut self) -> String {
        self.line(|line| line.starts_with('{')).await
    }
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), future).await.expect("nothing in 30 s")
}

fn settings() -> MqttSettings {
    MqttSettings { address: SocketAddr::from(([127, 0, 0, 1], 0)), ..MqttSettings::default() }
}

fn text(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    format!("{}{}", String::from_utf8_lossy(out), String::from_utf8_lossy(err))
}

#[tokio::test]
async fn a_confirmed_message_is_in_the_log_at_every_quality_and_version() {
    let server = Server::plain().await;
    for (count, (version, qos)) in
        [("311", "0"), ("311", "1"), ("311", "2"), ("5", "0"), ("5", "1"), ("5", "2")]
            .iter()
            .enumerate()
    {
        let arguments = ["-V", version, "-q", qos, "-t", "carCoordinates/spa"];
        let output = server.publish(&arguments, MESSAGE.as_bytes()).await;
        assert!(output.status.success(), "{}", text(&output));
        server.log.reached("coordinates", 0, count + 1).await;
    }
    let records = server.log.records("coordinates", 0);
    assert!(records.iter().all(|record| record.key == "spa" && record.id == records[0].id));
}

#[tokio::test]
async fn version_5_learns_by_a_reason_code_what_version_3_1_1_cannot() {
    let server = Server::plain().await;
    let year_3000 = MESSAGE.replace("1541693114862", "32503680000000");
    let cases = [
        ("carCoordinates", "{".to_owned(), "Payload format invalid"),
        (
            "carCoordinates",
            MESSAGE.replace("51.349937311969725", "\"north\""),
            "Payload format invalid",
        ),
        ("carCoordinates", MESSAGE.replace("51.349937311969725", "91"), "Payload format invalid"),
        ("carCoordinates", MESSAGE.replace("51.349937311969725", "NaN"), "Payload format invalid"),
        ("carCoordinates", year_3000, "Payload format invalid"),
        ("carStatus", MESSAGE.to_owned(), "Topic Name invalid"),
    ];
    for (topic, message, expected) in &cases {
        for version in ["311", "5"] {
            for qos in ["1", "2"] {
                let arguments = ["-d", "-V", version, "-q", qos, "-t", topic];
                let output = text(&server.publish(&arguments, message.as_bytes()).await);
                let told = output.contains(&format!("failed: {expected}"));
                assert_eq!(told, version == "5", "{version} {qos} {message}: {output}");
            }
        }
    }
    let letters = server.log.dead_letters();
    assert_eq!(letters.len(), 4 * cases.len());
    for (four, (topic, message, _)) in letters.chunks(4).zip(&cases) {
        assert!(four.iter().all(|l| l.original == *message && l.context == *topic));
    }
    assert!(server.log.records("coordinates", 0).is_empty());
}

#[tokio::test]
async fn ten_mebibytes_are_a_dead_letter_and_more_than_sixteen_close_the_connection() {
    let server = Server::plain().await;
    let body = vec![b'x'; 10 << 20];
    let output = server.publish(&["-d", "-V", "5", "-q", "1", "-t", "carCoordinates"], &body).await;
    assert!(text(&output).contains("failed: Quota exceeded"), "{}", text(&output));
    assert_eq!(server.log.dead_letters()[0].original, body);

    // mosquitto_pub would honour the limit itself; a rude client sends 17 MiB all the same.
    let mut stream = TcpStream::connect(server.endpoint.address()).await.unwrap();
    stream.write_all(b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01r").await.unwrap();
    let mut connack = [0; 4];
    stream.read_exact(&mut connack).await.unwrap();
    assert_eq!(connack, [0x20, 2, 0, 0]);
    // PUBLISH, QoS 1, remaining length 17,825,792.
    stream.write_all(b"\x32\x80\x80\xc0\x08").await.unwrap();
    let mut rest = Vec::new();
    within(stream.read_to_end(&mut rest)).await.ok();
    assert!(rest.is_empty());
}

#[tokio::test]
async fn a_puback_is_held_while_the_log_refuses() {
    let server = Server::plain().await;
    server.log.refuse(4);
    let arguments = ["-d", "-V", "311", "-q", "1", "-t", "carCoordinates"];
    let output = server.publish(&arguments, MESSAGE.as_bytes()).await;
    assert!(output.status.success(), "{}", text(&output));
    assert_eq!(server.log.attempts.load(Ordering::SeqCst), 5);
    assert_eq!(server.log.records("coordinates", 0).len(), 1);
    assert!(server.observer.not_ready().is_empty());
}

#[tokio::test]
async fn a_log_that_goes_on_refusing_is_never_confirmed() {
    let hold = Duration::from_millis(100);
    let server = Server::start(MqttSettings { hold, ..settings() }).await;
    server.log.refuse(1_000_000);
    let arguments = ["-d", "-V", "5", "-q", "1", "-t", "carCoordinates"];
    let waits = within(async {
        while server.observer.not_ready().is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        server.observer.not_ready()
    });
    let (output, waits) = tokio::join!(server.publish(&arguments, MESSAGE.as_bytes()), waits);
    assert!(text(&output).contains("failed: Implementation specific error"), "{}", text(&output));
    assert_eq!(
        waits,
        ["endpoint mqtt is waiting: the log does not accept at present: the disk is full"]
    );
    // Nothing waits any more. Who is not ready gets no message by which it could become so.
    assert_eq!(server.observer.not_ready(), Vec::<String>::new());

    // Version 3.1.1: the connection closes without a PUBACK.
    let mut stream = TcpStream::connect(server.endpoint.address()).await.unwrap();
    stream.write_all(b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01c").await.unwrap();
    stream.write_all(b"\x32\x13\x00\x0ecarCoordinates\x00\x01{").await.unwrap();
    let mut received = Vec::new();
    within(stream.read_to_end(&mut received)).await.unwrap();
    assert_eq!(received, [0x20, 2, 0, 0]);
    assert!(server.log.entries("coordinates", 0).is_empty());
    assert!(server.log.entries("dead-letters", 0).is_empty());
}

#[tokio::test]
async fn subscribers_get_what_is_published_from_inside_and_durable_messages_of_clients() {
    let server = Server::plain().await;
    let mut v3 = server.subscribe(&["-V", "311", "-q", "1", "-t", "#"]).await;
    let mut v5 = server.subscribe(&["-V", "5", "-q", "2", "-t", "carStatus/+"]).await;
    let body = r#"{"type":"SPEED","value":100.352766081}"#;
    let message =
        OutgoingMessage { topic: "carStatus/spa".into(), body: body.into(), qos: 1, retain: false };
    server.endpoint.publisher().publish(message).await.unwrap();
    assert_eq!(v3.message().await, body);
    assert_eq!(v5.message().await, body);

    server.publish(&["-q", "1", "-t", "carCoordinates"], MESSAGE.as_bytes()).await;
    assert_eq!(v3.message().await, MESSAGE);
    let topic =
        OutgoingMessage { topic: "carStatus/+".into(), body: "{}".into(), qos: 1, retain: false };
    let error = server.endpoint.publisher().publish(topic).await.unwrap_err();
    assert_eq!(error.to_string(), "`carStatus/+` is not a topic to publish on");
}

#[tokio::test]
async fn a_client_cannot_publish_where_sinks_do_not_even_by_its_last_will() {
    let server = Server::plain().await;
    let mut subscriber = server.subscribe(&["-t", "#"]).await;
    server.publish(&["-q", "1", "-t", "carStatus"], MESSAGE.as_bytes()).await;
    let will =
        ["-q", "1", "-t", "carCoordinates", "--will-topic", "carStatus", "--will-payload", "{}"];
    let output = server.publish(&will, MESSAGE.as_bytes()).await;
    assert!(text(&output).contains("not authorised"), "{}", text(&output));
    let body = r#"{"carIndex":1}"#;
    let message =
        OutgoingMessage { topic: "carStatus".into(), body: body.into(), qos: 1, retain: false };
    server.endpoint.publisher().publish(message).await.unwrap();
    assert_eq!(subscriber.message().await, body);
}

#[tokio::test]
async fn a_last_will_on_a_way_ins_topic_is_stored() {
    let server = Server::plain().await;
    let mut stream = TcpStream::connect(server.endpoint.address()).await.unwrap();
    // CONNECT of version 3.1.1 with a will of quality 1 on carCoordinates, payload `{`.
    stream
        .write_all(b"\x10\x20\x00\x04MQTT\x04\x0e\x00\x00\x00\x01w\x00\x0ecarCoordinates\x00\x01{")
        .await
        .unwrap();
    let mut connack = [0; 4];
    within(stream.read_exact(&mut connack)).await.unwrap();
    assert_eq!(connack, [0x20, 2, 0, 0]);
    drop(stream);
    server.log.reached("dead-letters", 0, 1).await;
    assert_eq!(server.log.dead_letters()[0].original, "{");
}

#[tokio::test]
async fn retained_messages_reach_later_subscribers_and_shared_ones_are_split() {
    let server = Server::plain().await;
    let publisher = server.endpoint.publisher();
    let message = |n: usize, topic: &str, retain| OutgoingMessage {
        topic: topic.into(),
        body: format!("{{\"n\":{n}}}").into(),
        qos: 1,
        retain,
    };
    publisher.publish(message(1, "standings", true)).await.unwrap();
    publisher.publish(message(2, "standings", true)).await.unwrap();
    let mut late = server.subscribe(&["-q", "1", "-t", "standings"]).await;
    assert_eq!(late.message().await, "{\"n\":2}");

    let mut one = server.subscribe(&["-q", "1", "-t", "$share/g/carStatus"]).await;
    let mut two = server.subscribe(&["-q", "1", "-t", "$share/g/carStatus"]).await;
    let mut all = server.subscribe(&["-q", "1", "-t", "carStatus"]).await;
    for n in 0..10 {
        publisher.publish(message(n, "carStatus", false)).await.unwrap();
    }
    let mut shared = Vec::new();
    for _ in 0..10 {
        shared.push(tokio::select! { n = one.message() => n, n = two.message() => n });
    }
    shared.sort();
    let expected: Vec<_> = (0..10).map(|n| format!("{{\"n\":{n}}}")).collect();
    assert_eq!(shared, expected);
    for n in &expected {
        assert_eq!(all.message().await, *n);
    }
}

#[tokio::test]
async fn only_users_of_the_file_may_connect() {
    let hash = millrace_http::hash_password(b"secret").unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("# devices\nann:{hash}\n")).unwrap();
    let users_file = Some(file.path().to_owned());
    let server = Server::start(MqttSettings { users_file, ..settings() }).await;
    let connect = async |version: &str, user: &[&str]| {
        let arguments = [&["-V", version, "-q", "1", "-t", "carCoordinates"], user].concat();
        text(&server.publish(&arguments, MESSAGE.as_bytes()).await)
    };
    for version in ["311", "5"] {
        assert!(connect(version, &[]).await.contains("not authorised") || version == "5");
        for user in [["-u", "ann", "-P", "wrong"], ["-u", "bob", "-P", "secret"]] {
            let output = connect(version, &user).await.to_lowercase();
            assert!(output.contains("bad user name or password"), "{output}");
        }
    }
    assert!(server.log.entries("coordinates", 0).is_empty());
    assert_eq!(connect("311", &["-u", "ann", "-P", "secret"]).await, "");
    assert_eq!(server.log.records("coordinates", 0).len(), 1);
    // Another file counts once it has been seen.
    std::fs::write(file.path(), format!("bob:{hash}\n")).unwrap();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while !connect("311", &["-u", "bob", "-P", "secret"]).await.is_empty() {
        assert!(tokio::time::Instant::now() < deadline);
    }
    let output = connect("311", &["-u", "ann", "-P", "secret"]).await.to_lowercase();
    assert!(output.contains("bad user name or password"), "{output}");
}

#[tokio::test]
async fn a_users_file_of_another_form_is_refused_with_its_line() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "ann:plain\n").unwrap();
    let settings = MqttSettings { users_file: Some(file.path().to_owned()), ..settings() };
    let plan = support::plan(support::coordinates(), 1, vec![support::cars()]);
    let observer = Observer::default();
    let acceptor = Acceptor::new(&plan, support::race_log(), &observer);
    let error = MqttEndpoint::start(settings, acceptor, &observer, CancellationToken::new())
        .await
        .err()
        .unwrap();
    let path = file.path().display();
    assert_eq!(
        millrace_core::with_causes(&error),
        format!(
            "cannot load the users of MQTT: line 1 of the users file {path} is not `name:hash` with a hash by Argon2 or bcrypt: `millrace hash-password --user NAME` makes such a line"
        )
    );
}

#[tokio::test]
async fn a_taken_port_is_named_with_the_flag_that_changes_it() {
    let server = Server::plain().await;
    let address = server.endpoint.address();
    let plan = support::plan(support::coordinates(), 1, vec![support::cars()]);
    let observer = Observer::default();
    let acceptor = Acceptor::new(&plan, support::race_log(), &observer);
    let settings = MqttSettings { address, ..settings() };
    let error = MqttEndpoint::start(settings, acceptor, &observer, CancellationToken::new())
        .await
        .err()
        .unwrap();
    assert_eq!(
        error.to_string(),
        format!(
            "cannot listen for MQTT on {address}: choose another address with --mqtt-listen, such as 127.0.0.1:1884"
        )
    );
}

#[tokio::test]
async fn sessions_beyond_the_limit_are_refused() {
    let server = Server::start(MqttSettings { max_connections: 1, ..settings() }).await;
    let _first = server.subscribe(&["-t", "#"]).await;
    let output = server.publish(&["-q", "1", "-t", "carCoordinates"], MESSAGE.as_bytes()).await;
    assert!(!output.status.success());
    assert!(server.log.entries("coordinates", 0).is_empty());
}

#[tokio::test]
async fn closing_ends_connections_and_frees_the_port() {
    let server = Server::plain().await;
    let address = server.endpoint.address();
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01c").await.unwrap();
    let mut connack = [0; 4];
    stream.read_exact(&mut connack).await.unwrap();
    server.cancel.cancel();
    within(server.endpoint.closed()).await;
    let mut rest = Vec::new();
    within(stream.read_to_end(&mut rest)).await.unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

/// Makes a certificate for 127.0.0.1 with the openssl program.
async fn certificate(folder: &Path) {
    let output = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
        .args(["-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"])
        .args(["-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-keyout", "key.pem", "-out", "cert.pem"])
        .current_dir(folder)
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{}", text(&output));
}

#[tokio::test]
async fn with_a_certificate_only_tls_is_spoken() {
    let folder = tempfile::tempdir().unwrap();
    certificate(folder.path()).await;
    let file = |name: &str| folder.path().join(name);
    let tls = Some(millrace_ingest::mqtt::TlsFiles {
        certificate: file("cert.pem"),
        key: file("key.pem"),
    });
    let server = Server::start(MqttSettings { tls, ..settings() }).await;
    let cert = file("cert.pem");
    let secure = ["-q", "1", "-t", "carCoordinates", "--cafile", cert.to_str().unwrap()];
    let output = server.publish(&secure, MESSAGE.as_bytes()).await;
    assert!(output.status.success(), "{}", text(&output));
    let output = server.publish(&["-q", "1", "-t", "carCoordinates"], MESSAGE.as_bytes()).await;
    assert!(!output.status.success());
    assert_eq!(server.log.records("coordinates", 0).len(), 1);
}

#[tokio::test]
async fn a_subscriber_that_takes_nothing_is_disconnected_and_holds_nobody_up_for_long() {
    let server = Server::plain().await;
    let mut lazy = TcpStream::connect(server.endpoint.address()).await.unwrap();
    lazy.write_all(b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01l").await.unwrap();
    // SUBSCRIBE to `#` at quality 0; then nothing is read any more.
    lazy.write_all(b"\x82\x06\x00\x01\x00\x01#\x00").await.unwrap();
    let mut answers = [0; 9];
    within(lazy.read_exact(&mut answers)).await.unwrap();
    let mut quick = server.subscribe(&["-q", "1", "-t", "events"]).await;
    let publisher = server.endpoint.publisher();
    let message = |topic: &str, body: bytes::Bytes| OutgoingMessage {
        topic: topic.into(),
        body,
        qos: 1,
        retain: false,
    };
    let large = bytes::Bytes::from(vec![b'x'; 64 << 10]);
    for _ in 0..2000 {
        within(publisher.publish(message("carStatus", large.clone()))).await.unwrap();
    }
    publisher.publish(message("events", "{}".into())).await.unwrap();
    assert_eq!(quick.message().await, "{}");
    let connections = || {
        let text = server.observer.encode().unwrap();
        text.lines().find_map(|l| l.strip_prefix("millrace_mqtt_connections ")?.parse().ok())
    };
    within(async {
        while connections() != Some(1) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}
