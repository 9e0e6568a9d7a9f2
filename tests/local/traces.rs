//! Traces of a running pipeline, as a collector receives them by OTLP.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers fail as tests do")]

#[path = "../support/mod.rs"]
mod support;

use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Read as _;
use std::io::Write as _;
use std::net::TcpListener;
use std::net::TcpStream;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use prost::Message as _;
use support::http::curl;
use support::process::Pipeline;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SAMPLED: &str = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const NOT_SAMPLED: &str = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
const CORRELATION_ID: &str = "0b0c3d1e-0000-4000-8000-00000000000a";

/// A request that came to a server of ours.
struct Received {
    line: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// A server that takes every request.
struct Server {
    address: String,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let received = Arc::new(Mutex::new(Vec::new()));
        let all = Arc::clone(&received);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let all = Arc::clone(&all);
                std::thread::spawn(move || answer(stream.unwrap(), &all));
            }
        });
        Self { address, received }
    }

    /// All spans so far.
    fn spans(&self) -> Vec<Span> {
        let received = self.received.lock().unwrap();
        let exports = received.iter().map(|request| {
            assert_eq!(request.line, "POST /v1/traces HTTP/1.1\r\n");
            assert_eq!(header(request, "content-type"), Some("application/x-protobuf"));
            ExportTraceServiceRequest::decode(&request.body[..]).unwrap()
        });
        let resources = exports.flat_map(|export| export.resource_spans);
        let scopes = resources.flat_map(|resource| {
            let attributes = resource.resource.unwrap().attributes;
            assert!(attributes.iter().any(|attribute| attribute.key == "service.name"));
            resource.scope_spans
        });
        scopes.flat_map(|scope| scope.spans).collect()
    }

    /// The spans, once there are so many.
    fn wait_for(&self, pipeline: &mut Pipeline, number: usize) -> Vec<Span> {
        let what = format!("{number} spans have come");
        pipeline.until(&what, |_| self.spans().len() >= number);
        self.spans()
    }
}

fn answer(stream: TcpStream, all: &Mutex<Vec<Received>>) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if !reader.read_line(&mut line).is_ok_and(|read| read > 0) {
            return;
        }
        let mut headers = Vec::new();
        loop {
            let mut header = String::new();
            reader.read_line(&mut header).unwrap();
            let Some((name, value)) = header.trim_end().split_once(": ") else { break };
            headers.push((name.to_lowercase(), value.to_owned()));
        }
        let mut request = Received { line, headers, body: Vec::new() };
        let length = header(&request, "content-length").map_or(0, |text| text.parse().unwrap());
        request.body.resize(length, 0);
        reader.read_exact(&mut request.body).unwrap();
        all.lock().unwrap().push(request);
        reader.get_mut().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
    }
}

fn header<'a>(request: &'a Received, name: &str) -> Option<&'a str> {
    let found = request.headers.iter().find(|(other, _)| other == name);
    found.map(|(_, value)| value.as_str())
}

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name)
}

fn find<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let found: Vec<_> = spans.iter().filter(|span| span.name == name).collect();
    let [span] = found[..] else { panic!("{name}: {spans:?}") };
    span
}

fn attribute(span: &Span, name: &str) -> String {
    let found = span.attributes.iter().find(|attribute| attribute.key == name);
    let value = found.and_then(|attribute| attribute.value.clone()?.value);
    match value {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        other => panic!("{name} is {other:?} of {span:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

#[test]
fn a_request_can_be_followed_from_its_caller_to_its_row() {
    let collector = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let url = format!("http://{}", collector.address);
    let arguments = ["--otlp", url.as_str(), "--otlp-sample", "0"];
    let mut pipeline = Pipeline::start(&example("timestamps.yaml"), folder.path(), &arguments);
    let app = format!("http://{}/app", pipeline.http());
    let id = format!("correlationId: {CORRELATION_ID}");
    for trace in [NOT_SAMPLED, "traceparent: none", SAMPLED] {
        let answer = curl(&["-X", "POST", "-H", &id, "-H", trace, &app]);
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let spans = collector.wait_for(&mut pipeline, 3);
    assert_eq!(spans.len(), 3, "{spans:?}");
    for span in &spans {
        assert_eq!(hex(&span.trace_id), TRACE);
        assert!(span.end_time_unix_nano >= span.start_time_unix_nano);
    }
    let request = find(&spans, "POST /app");
    assert_eq!(hex(&request.parent_span_id), "b7ad6b7169203331");
    assert_eq!(request.kind(), SpanKind::Server);
    for (name, value) in [
        ("http.request.method", "POST"),
        ("http.route", "/app"),
        ("url.path", "/app"),
        ("http.response.status_code", "200"),
        ("millrace.route", "now"),
        ("millrace.correlation_id", CORRELATION_ID),
    ] {
        assert_eq!(attribute(request, name), value, "{name}");
    }
    let append = find(&spans, "append commands");
    let row = find(&spans, "INSERT timestamp_records");
    assert_eq!(append.parent_span_id, request.span_id);
    assert_eq!(row.parent_span_id, request.span_id);
    assert_eq!(row.kind(), SpanKind::Client);
    assert_eq!(attribute(row, "db.collection.name"), "timestamp_records");
    for name in ["millrace.stream", "millrace.partition", "millrace.offset"] {
        assert_eq!(attribute(row, name), attribute(append, name), "{name}");
    }
    let (status, _) = pipeline.interrupt();
    assert!(status.success());
    assert_eq!(collector.spans().len(), 3);
}

#[test]
fn the_last_spans_are_sent_at_the_end() {
    let collector = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let url = format!("http://{}", collector.address);
    let arguments = ["--otlp", url.as_str(), "--otlp-sample", "1"];
    let mut pipeline = Pipeline::start(&example("timestamps.yaml"), folder.path(), &arguments);
    let app = format!("http://{}/app", pipeline.http());
    let id = format!("correlationId: {CORRELATION_ID}");
    assert_eq!(curl(&["-X", "POST", "-H", &id, &app]).status, 200);
    let (status, _) = pipeline.interrupt();
    assert!(status.success());
    let spans = collector.spans();
    let request = find(&spans, "POST /app");
    assert!(request.parent_span_id.is_empty(), "{request:?}");
    assert_eq!(find(&spans, "append commands").parent_span_id, request.span_id);
}

#[test]
fn a_look_up_is_a_span_of_its_caller() {
    let collector = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let url = format!("http://{}", collector.address);
    let arguments = ["--otlp", url.as_str(), "--otlp-sample", "0"];
    let mut pipeline = Pipeline::start(&example("timestamps.yaml"), folder.path(), &arguments);
    let unknown = format!("http://{}/api/v1/timestamp/{CORRELATION_ID}", pipeline.http());
    assert_eq!(curl(&["-H", SAMPLED, &unknown]).status, 404);
    let spans = collector.wait_for(&mut pipeline, 1);
    let look_up = find(&spans, "GET /api/v1/timestamp/{id}");
    assert_eq!(hex(&look_up.parent_span_id), "b7ad6b7169203331");
    assert_eq!(attribute(look_up, "http.response.status_code"), "404");
}

#[test]
fn what_is_derived_and_sent_belongs_to_the_trace_of_its_cause() {
    let (collector, receiver) = (Server::start(), Server::start());
    let folder = tempfile::tempdir().unwrap();
    let resource = folder.path().join("readings.yaml");
    let text = format!(
        r"
apiVersion: millrace.dev/v1alpha1
kind: TelemetryPipeline
metadata: {{name: readings}}
spec:
  streams:
    - {{name: readings, key: [.id], partitions: 1, idle: 300ms, heartbeat: true}}
  ingest:
    - name: readings
      http: {{path: /readings, accept: [json]}}
      to: readings
  processors:
    - {{name: doubled, from: [readings], map: '.number = int!(.number) * 2'}}
  sinks:
    - {{name: told, from: [doubled], webhook: {{url: 'http://{}/hook?key=secret'}}}}
",
        receiver.address
    );
    std::fs::write(&resource, text).unwrap();
    let url = format!("http://{}", collector.address);
    let mut pipeline = Pipeline::start(&resource, folder.path(), &["--otlp", &url]);
    let readings = format!("http://{}/readings", pipeline.http());
    let json = "Content-Type: application/json";
    let event = r#"{"id": "a", "number": 1}"#;
    let answer = curl(&["-H", json, "-H", SAMPLED, "--data-binary", event, &readings]);
    assert_eq!(answer.status, 202, "{answer:?}");
    let spans = collector.wait_for(&mut pipeline, 4);
    let request = find(&spans, "POST /readings");
    let [process] =
        &spans.iter().filter(|s| s.name.starts_with("process ")).collect::<Vec<_>>()[..]
    else {
        panic!("{spans:?}")
    };
    assert_eq!(process.parent_span_id, request.span_id);
    assert_eq!(process.kind(), SpanKind::Consumer);
    assert_eq!(attribute(process, "millrace.stream"), "readings");
    assert_eq!(attribute(process, "millrace.offset"), "0");
    let sent = find(&spans, "POST");
    assert_eq!(sent.parent_span_id, request.span_id);
    assert_eq!(sent.kind(), SpanKind::Client);
    assert!(!format!("{spans:?}").contains("secret"), "{spans:?}");
    let requests = receiver.received.lock().unwrap();
    let parent = header(&requests[0], "traceparent").unwrap();
    assert_eq!(parent, format!("00-{TRACE}-{}-01", hex(&sent.span_id)));
}

#[test]
fn a_collector_that_is_away_costs_spans_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    // Nothing listens there any more.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{address}");
    let mut pipeline =
        Pipeline::start(&example("timestamps.yaml"), folder.path(), &["--otlp", &url]);
    let app = format!("http://{}/app", pipeline.http());
    let id = format!("correlationId: {CORRELATION_ID}");
    let answer = curl(&["-X", "POST", "-H", &id, "-H", SAMPLED, &app]);
    assert_eq!(answer.status, 200, "{answer:?}");
    let http = pipeline.http();
    pipeline.until("the spans are dropped", |_| {
        let (_, metrics) = support::process::get(&http, "/metrics").unwrap();
        metrics.contains("\nmillrace_trace_spans_dropped_total 3\n")
    });
    let output = pipeline.output();
    assert_eq!(output.matches("does not take traces").count(), 1, "{output}");
}

#[test]
fn a_log_line_of_a_traced_request_names_its_trace() {
    let folder = tempfile::tempdir().unwrap();
    let collector = Server::start();
    let url = format!("http://{}", collector.address);
    let arguments = ["--otlp", url.as_str(), "--log", "millrace=debug", "--log-format", "json"];
    let mut pipeline = Pipeline::start(&example("timestamps.yaml"), folder.path(), &arguments);
    let app = format!("http://{}/app", pipeline.http());
    let id = format!("correlationId: {CORRELATION_ID}");
    assert_eq!(curl(&["-X", "POST", "-H", &id, "-H", SAMPLED, &app]).status, 200);
    pipeline.until("a line names the trace", |pipeline| pipeline.output().contains(TRACE));
    let output = pipeline.output();
    let line = output.lines().find(|line| line.contains(TRACE)).unwrap();
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(line["level"], "DEBUG");
    assert_eq!(line["target"], "millrace_ingest::http::exchange");
    assert_eq!(line["fields"]["message"], "A traced request is answered.");
    assert_eq!(line["fields"]["trace_id"], TRACE);
    assert_eq!(line["fields"]["route"], "now");
    assert!(line["timestamp"].is_string(), "{line}");
}
