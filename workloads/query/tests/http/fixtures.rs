//! A served pipeline, and a plain client.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use millrace_core::DeadLetter;
use millrace_core::EventId;
use millrace_core::Headers;
use millrace_core::Record;
use millrace_core::StreamName;
use millrace_http::Auth;
use millrace_http::Origins;
use millrace_http::Reach;
use millrace_http::ServerOptions;
use millrace_http::guard;
use millrace_log::Append;
use millrace_log::EmbeddedLog;
use millrace_log::EmbeddedLogOptions;
use millrace_log::Entry;
use millrace_log::Log;
use millrace_log::StreamConfig;
use millrace_observe::Observer;
use millrace_plan::Plan;
use millrace_plan::model::ColumnPlan;
use millrace_plan::model::ColumnSource;
use millrace_plan::model::ColumnType;
use millrace_plan::model::ExposurePlan;
use millrace_plan::model::Keep;
use millrace_plan::model::QueryPlan;
use millrace_plan::model::Retention;
use millrace_plan::model::SinkPlan;
use millrace_plan::model::SinkTarget;
use millrace_plan::model::StreamOrigin;
use millrace_plan::model::StreamPlan;
use millrace_plan::model::TablePlan;
use millrace_query::QueryState;
use millrace_query::ReplayOutcome;
use millrace_query::Replayer;
use millrace_tables::TableStore;
use millrace_tables::sink::SinkContext;
use millrace_tables::sink::TableSink;
use millrace_tables::sink::run_table_sink;
use millrace_tables::sqlite::SqliteStore;
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) struct Served {
    pub(crate) log: Arc<EmbeddedLog>,
    pub(crate) tables: Arc<SqliteStore>,
    pub(crate) observer: Arc<Observer>,
    pub(crate) plan: Arc<Plan>,
    pub(crate) address: SocketAddr,
    pub(crate) shutdown: CancellationToken,
    pub(crate) server: JoinHandle<std::io::Result<()>>,
    _folder: TempDir,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    /// The detail of a problem.
    pub(crate) fn detail(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        let problem = self.json();
        assert_eq!(problem["status"], self.status);
        assert_eq!(problem["type"], "about:blank");
        problem["detail"].as_str().unwrap().to_owned()
    }
}

pub(crate) fn name(text: &str) -> StreamName {
    text.parse().unwrap()
}

fn stream(text: &str, partitions: i32, origin: StreamOrigin) -> StreamPlan {
    let retention = Retention::default();
    StreamPlan { name: name(text), generation: 0, partitions, retention, origin }
}

fn plan() -> Plan {
    let derived = StreamOrigin::Derived { processor: "positions".into(), stage: 0 };
    let column = |name: &str, kind, nullable| ColumnPlan {
        name: name.into(),
        kind,
        source: ColumnSource::Field(format!(".{name}").parse().unwrap()),
        nullable,
    };
    let table = TablePlan {
        name: "standings".into(),
        columns: vec![
            column("race", ColumnType::Text, false),
            column("car", ColumnType::Integer, false),
            column("position", ColumnType::Integer, true),
            column("seen", ColumnType::Timestamp, false),
        ],
        primary_key: vec!["race".into(), "car".into()],
        keep: Keep::Latest,
        partitions: None,
    };
    Plan {
        pipeline: "race".into(),
        streams: vec![
            stream("positions", 2, derived),
            stream("dead-letters", 1, StreamOrigin::DeadLetters),
        ],
        ingest: Vec::new(),
        stages: Vec::new(),
        sinks: vec![SinkPlan {
            name: "standings".into(),
            generation: 0,
            from: vec![name("positions")],
            target: SinkTarget::Table(table),
        }],
        query: QueryPlan::default(),
        exposure: ExposurePlan::default(),
    }
}

/// Takes letters whose bytes are JSON.
struct JsonReplayer;

#[async_trait]
impl Replayer for JsonReplayer {
    async fn replay(&self, letter: DeadLetter) -> Result<ReplayOutcome, String> {
        serde_json::from_slice::<serde_json::Value>(&letter.original)
            .map(|_| ReplayOutcome { id: letter.id, partition: 1, offset: 5 })
            .map_err(|_| "the body is still not JSON".to_owned())
    }
}

/// Serves the routes as a whole pipeline does.
async fn served(
    listener: TcpListener,
    router: axum::Router,
    state: QueryState,
    observer: Arc<Observer>,
    shutdown: CancellationToken,
) -> std::io::Result<()> {
    let exposure = ExposurePlan::default();
    let auth = Arc::new(Auth::load(&exposure, Path::new("secrets")).unwrap());
    let origins = Origins::new(&exposure.origins, Reach::Loopback);
    let router = guard(router, auth, origins);
    let options = ServerOptions::new(1024, 32_768, &observer);
    let (ending, stop) = (state.clone(), shutdown.clone());
    let closing = tokio::spawn(async move {
        stop.cancelled().await;
        ending.close();
    });
    let sampling = tokio::spawn(async move { state.sample().await });
    let result = millrace_http::serve(listener, router, options, shutdown).await;
    closing.await.unwrap();
    sampling.await.unwrap();
    result
}

impl Served {
    pub(crate) async fn new() -> Self {
        Self::with(plan(), QueryState::router).await
    }

    /// Serves what those see who are no operators.
    pub(crate) async fn outside() -> Self {
        Self::with(plan(), QueryState::outside_router).await
    }

    /// Serves what a resource describes.
    pub(crate) async fn of(resource: &str) -> Self {
        let pipelines = millrace_api::load(resource, "a.yaml").unwrap();
        Self::with(millrace_plan::plan(&pipelines[0]).unwrap(), QueryState::router).await
    }

    async fn with(plan: Plan, router: impl Fn(&QueryState, axum::Router) -> axum::Router) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = EmbeddedLog::open(EmbeddedLogOptions::new(folder.path().join("log"))).unwrap();
        let plan = Arc::new(plan);
        let configs: Vec<StreamConfig> = plan
            .streams
            .iter()
            .map(|stream| StreamConfig {
                name: stream.name.clone(),
                partitions: stream.partitions,
                retention: stream.retention,
            })
            .collect();
        log.ensure_streams(&configs).await.unwrap();
        let tables =
            Arc::new(SqliteStore::open(&folder.path().join("tables.sqlite")).await.unwrap());
        for sink in TableSink::all(&plan) {
            tables.ensure_tables(&[sink.spec()]).await.unwrap();
        }
        let observer = Arc::new(Observer::default());
        let state = QueryState::new(
            Arc::clone(&plan),
            Arc::clone(&log) as Arc<dyn Log>,
            Some(Arc::clone(&tables) as Arc<dyn TableStore>),
            Arc::clone(&observer),
            Arc::new(JsonReplayer),
            Some("127.0.0.1:1883".into()),
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let router = router(&state, axum::Router::new());
        let serving = served(listener, router, state, Arc::clone(&observer), shutdown.clone());
        let server = tokio::spawn(serving);
        Self { log, tables, observer, plan, address, shutdown, server, _folder: folder }
    }

    pub(crate) async fn append(&self, stream: &str, partition: i32, entries: Vec<Entry>) {
        let append = |entry| Append { stream: name(stream), partition, entry };
        self.log.append(entries.into_iter().map(append).collect()).await.unwrap();
    }

    /// Fills the tables from the log.
    pub(crate) async fn fill_tables(&self) {
        let context = SinkContext::new(
            Arc::clone(&self.log) as Arc<dyn Log>,
            Arc::clone(&self.tables) as Arc<dyn TableStore>,
            Arc::clone(&self.observer),
        );
        for sink in TableSink::all(&self.plan) {
            let (_sender, finished) = tokio::sync::watch::channel(true);
            run_table_sink(sink, context.clone(), Some(finished), CancellationToken::new())
                .await
                .unwrap();
        }
    }

    /// Sends a request with these further header lines and reads the whole answer.
    pub(crate) async fn request(&self, method: &str, path: &str, headers: &[&str]) -> Answer {
        let mut connection = self.send(method, path, headers).await;
        let mut bytes = Vec::new();
        let reading = connection.read_to_end(&mut bytes);
        tokio::time::timeout(Duration::from_secs(20), reading).await.unwrap().unwrap();
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head, body: bytes[end + 4..].to_vec() }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.request("GET", path, &[]).await
    }

    /// Sends a request whose answer does not end by itself.
    pub(crate) async fn send(&self, method: &str, path: &str, headers: &[&str]) -> TcpStream {
        let mut connection = TcpStream::connect(self.address).await.unwrap();
        let mut head = format!("{method} {path} HTTP/1.1\r\n");
        if !headers.iter().any(|header| header.starts_with("Connection")) {
            head.push_str("Connection: close\r\n");
        }
        if !headers.iter().any(|header| header.starts_with("Host")) {
            head.push_str("Host: localhost\r\n");
        }
        for header in headers {
            head.push_str(header);
            head.push_str("\r\n");
        }
        head.push_str("\r\n");
        connection.write_all(head.as_bytes()).await.unwrap();
        connection
    }
}

/// A client of server-sent events.
pub(crate) struct Follower {
    connection: TcpStream,
    text: String,
}

impl Follower {
    pub(crate) fn new(connection: TcpStream) -> Self {
        Self { connection, text: String::new() }
    }

    /// Reads the next event, as its id and data.
    pub(crate) async fn next(&mut self) -> (String, serde_json::Value) {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| {
                    event.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned)
                };
                let (id, data) = (field("id: "), field("data: "));
                self.text = rest.into();
                if let (Some(id), Some(data)) = (id, data) {
                    return (id, serde_json::from_str(&data).unwrap());
                }
                continue;
            }
            assert!(self.read().await, "the stream ended: {}", self.text);
        }
    }

    /// Reads until the answer has begun, and returns what came.
    pub(crate) async fn opened(&mut self) -> String {
        while !self.text.contains("\r\n\r\n") {
            assert!(self.read().await, "the stream ended: {}", self.text);
        }
        self.text.clone()
    }

    /// Reads until the server ends the stream.
    pub(crate) async fn ended(mut self) -> String {
        while self.read().await {}
        self.text
    }

    async fn read(&mut self) -> bool {
        let mut buffer = vec![0; 1 << 16];
        let reading = self.connection.read(&mut buffer);
        let length = tokio::time::timeout(Duration::from_secs(20), reading).await.unwrap().unwrap();
        self.text.push_str(std::str::from_utf8(&buffer[..length]).unwrap());
        length > 0
    }
}

pub(crate) fn event(value: &str, time: i64) -> Entry {
    Entry::Record(Record {
        key: "spa".into(),
        event_time: time,
        ingest_time: time + 1,
        id: EventId::from([7; 16]),
        headers: Headers(vec![("trace".into(), "abc".into())]),
        value: value.to_owned().into(),
    })
}

pub(crate) fn standing(car: i64, position: i64) -> Entry {
    event(
        &format!(r#"{{"race":"spa","car":{car},"position":{position},"seen":{}}}"#, car * 1000),
        car * 1000,
    )
}

pub(crate) fn letter(stage: &str, original: &[u8]) -> Entry {
    let letter = DeadLetter {
        stage: stage.into(),
        reason: "it is not JSON".into(),
        context: "carCoordinates".into(),
        source: None,
        key: "spa".into(),
        event_time: 10,
        ingest_time: 11,
        id: EventId::of_dead_letter(stage, b"", original),
        original: original.to_vec().into(),
    };
    Entry::Record(letter.into_record())
}
