//! A server of the ways in of a small plan, over a log in memory.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers fail as tests do")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::middleware::Next;
use axum::middleware::from_fn;
use millrace_http::ClientAddress;
use millrace_ingest::Acceptor;
use millrace_ingest::http::routes;
use millrace_log::Log;
use millrace_observe::Observer;
use millrace_plan::model::*;
use millrace_plan::program::Place;
use millrace_plan::program::Program;
use millrace_plan::program::RequestShape;
use millrace_plan::schema::Schema;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::client::Answer;
use crate::client::send;
use crate::support;
use crate::support::MemoryLog;

/// A running server.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) log: Arc<MemoryLog>,
    pub(crate) acceptor: Acceptor,
    pub(crate) observer: Arc<Observer>,
    pub(crate) closing: CancellationToken,
}

pub(crate) const JSON: (&str, &str) = ("content-type", "application/json");
pub(crate) const NDJSON: (&str, &str) = ("content-type", "application/x-ndjson");

/// A valid event.
pub(crate) const EVENT: &str = r#"{"device":"d1","cpu":42.5}"#;

impl Server {
    /// Sends a body of JSON to `/cpu`.
    pub(crate) async fn post(&self, body: impl AsRef<[u8]>) -> Answer {
        send(self.address, "POST /cpu", &[JSON], body).await
    }

    /// Sends a body of another type to `/cpu`.
    pub(crate) async fn post_as(&self, header: (&str, &str), body: impl AsRef<[u8]>) -> Answer {
        send(self.address, "POST /cpu", &[header], body).await
    }

    /// What is stored.
    pub(crate) fn values(&self) -> Vec<String> {
        self.log.values("coordinates")
    }

    /// The metrics, as they are scraped.
    pub(crate) fn metrics(&self) -> String {
        self.observer.encode().unwrap()
    }
}

/// The stream of measurements.
pub(crate) fn measurements() -> IngestedStream {
    let schema = serde_json::json!({
        "type": "object",
        "required": ["device", "cpu"],
        "properties": {
            "device": {"type": "string"},
            "cpu": {"type": "number", "minimum": 0, "maximum": 100},
        },
    });
    IngestedStream {
        schema: Some(Arc::new(Schema::compile(&schema).unwrap())),
        key: vec![".device".parse().unwrap()],
        event_time: None,
        ..support::coordinates()
    }
}

/// The way in at `/cpu`.
pub(crate) fn http() -> HttpIngest {
    HttpIngest {
        method: HttpMethod::Post,
        path: path("/cpu"),
        accept: vec![BodyKind::Json, BodyKind::JsonArray, BodyKind::Ndjson],
        headers: Vec::new(),
        all_or_nothing: false,
        max_events: 10_000,
        limits: HttpLimits { rate: None, concurrent: 1024, timeout: Duration::from_secs(30) },
        respond: None,
        invalid_status: 422,
        dead_letter: false,
        identity: Identity::Generated,
    }
}

pub(crate) fn path(text: &str) -> HttpPath {
    let parameters = text.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    HttpPath { text: text.to_owned(), parameters: parameters.map(str::to_owned).collect() }
}

pub(crate) fn program(source: &str, place: Place, path: &HttpPath) -> Program {
    let shape = RequestShape { path: path.parameters.clone(), headers: Vec::new() };
    Program::compile_for(source, place, &shape).unwrap()
}

pub(crate) fn way(source: IngestSource) -> IngestPlan {
    IngestPlan {
        name: "cpu".into(),
        to: "coordinates".parse().unwrap(),
        map: None,
        max_body_bytes: 1 << 20,
        source,
    }
}

/// A way in with a mapping.
pub(crate) fn mapped(http: HttpIngest, map: &str) -> IngestPlan {
    let map = Some(program(map, Place::Http, &http.path));
    IngestPlan { map, ..way(IngestSource::Http(http)) }
}

pub(crate) async fn serve(http: HttpIngest) -> Server {
    serve_all(measurements(), vec![way(IngestSource::Http(http))]).await
}

pub(crate) async fn serve_all(stream: IngestedStream, ingest: Vec<IngestPlan>) -> Server {
    let log = support::race_log();
    let plan = support::plan(stream, 1, ingest);
    let (address, acceptor, observer, closing) = listen(&plan, log.clone()).await;
    Server { address, log, acceptor, observer, closing }
}

/// Serves a plan over any log.
pub(crate) async fn listen(
    plan: &millrace_plan::Plan,
    log: Arc<dyn Log>,
) -> (SocketAddr, Acceptor, Arc<Observer>, CancellationToken) {
    let observer = Arc::new(Observer::default());
    let acceptor = Acceptor::new(plan, log, &observer);
    let closing = CancellationToken::new();
    let known = from_fn(async |mut request: Request, next: Next| {
        request.extensions_mut().insert(ClientAddress(SocketAddr::from(([10, 0, 0, 1], 1234))));
        next.run(request).await
    });
    let router = routes(plan, &acceptor, &observer, &closing).layer(known);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (address, acceptor, observer, closing)
}
