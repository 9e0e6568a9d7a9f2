//! A pipeline that serves until it is told to stop: everything that listens, and the order in
//! which parts start and stop.
//!
//! They start from the log outwards, so that nothing comes in before what takes it works, and
//! stop the other way round.

use std::future::Future;
use std::io::Error as IoError;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use millrace_core::with_causes;
use millrace_engine::Engine;
use millrace_engine::EngineOptions;
use millrace_ingest::Acceptor;
use millrace_ingest::IdleWatcher;
use millrace_ingest::mqtt::MqttEndpoint;
use millrace_ingest::mqtt::MqttSettings;
use millrace_ingest::mqtt::StartMqttError;
use millrace_ingest::mqtt::connect::MqttSubscriptions;
use millrace_log::ReadLimit;
use millrace_query::QueryState;
use millrace_query::serve;
use millrace_sinks::MqttSinks;
use millrace_sinks::Publisher;
use millrace_tables::sink::SinkContext;
use millrace_tables::sink::TableSink;
use millrace_tables::sink::run_table_sink;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::error;
use tracing::warn;

use crate::exit::Exit;
use crate::exit::Failure;
use crate::process::replayer::AcceptorReplayer;
use crate::process::storage::Storage;

/// How long each group of parts may take to stop. All of them together stay below 5 seconds.
const STOP_PATIENCE: Duration = Duration::from_millis(1100);

/// How long log and tables may take to close.
const CLOSE_PATIENCE: Duration = Duration::from_millis(500);

/// Where a pipeline listens.
#[derive(Debug, Clone)]
pub(crate) struct LiveOptions {
    /// What a task reads at once.
    pub(crate) batch: ReadLimit,
    /// Address of the HTTP port.
    pub(crate) http: SocketAddr,
    /// The MQTT endpoint.
    pub(crate) mqtt: MqttSettings,
}

/// Why a pipeline cannot listen.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartLiveError {
    /// The HTTP port is taken, or the address is not ours.
    #[error(
        "cannot listen for HTTP on {address}: choose another address with --http-listen, such as 127.0.0.1:8081"
    )]
    Http {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: IoError,
    },
    /// The MQTT endpoint cannot start.
    #[error(transparent)]
    Mqtt(#[from] StartMqttError),
}

impl From<StartLiveError> for Failure {
    fn from(error: StartLiveError) -> Self {
        let exit = match &error {
            StartLiveError::Http { .. } | StartLiveError::Mqtt(StartMqttError::Listen { .. }) => {
                Exit::CannotCreate
            }
            StartLiveError::Mqtt(_) => Exit::Config,
        };
        exit.because(error)
    }
}

/// A pipeline that serves.
pub(crate) struct Live {
    storage: Storage,
    http_address: SocketAddr,
    mqtt_address: SocketAddr,
    endpoint: MqttEndpoint,
    ingest: Parts,
    query: Parts,
    sinks: Parts,
    engine: Parts,
}

/// Parts that stop together.
#[derive(Default)]
struct Parts {
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Parts {
    /// Starts a part; its failure is logged. It also shows in the part's own state.
    fn start<E: std::error::Error + Send + 'static>(
        &self,
        name: &'static str,
        part: impl Future<Output = Result<(), E>> + Send + 'static,
    ) {
        self.tasks.spawn(async move {
            if let Err(error) = part.await {
                error!(message = "A part has failed.", part = name, error = with_causes(&error));
            }
        });
    }

    async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(STOP_PATIENCE, self.tasks.wait()).await.is_err() {
            warn!(message = "Some parts did not stop in time; what they were doing is undone.");
        }
    }
}

impl Live {
    /// Starts every part.
    pub(crate) async fn start(
        storage: Storage,
        options: LiveOptions,
    ) -> Result<Self, StartLiveError> {
        // Ports are taken first, so that a taken one is told before anything is computed.
        let listen = |source| StartLiveError::Http { address: options.http, source };
        let listener = TcpListener::bind(options.http).await.map_err(listen)?;
        let http_address = listener.local_addr().map_err(listen)?;
        let (plan, log) = (&storage.plan, &storage.log);
        let observer = &storage.observer;
        let (ingest, query, sinks, engine) =
            (Parts::default(), Parts::default(), Parts::default(), Parts::default());

        let (_, input_finished) = watch::channel(false);
        let engine_options =
            EngineOptions { until_end: false, batch: options.batch, input_finished, only: None };
        let running = Engine::start(plan, log, observer, &engine_options, &engine.stop);
        engine.start("engine", running.join());

        let context =
            SinkContext::new(Arc::clone(log), Arc::clone(&storage.tables), Arc::clone(observer));
        for sink in TableSink::all(plan) {
            let stop = sinks.stop.clone();
            sinks.start("table sink", run_table_sink(sink, context.clone(), None, stop));
        }

        let acceptor = Acceptor::new(plan, Arc::clone(log), observer);
        let endpoint =
            MqttEndpoint::start(options.mqtt, acceptor.clone(), observer, ingest.stop.clone())
                .await?;
        let mqtt_address = endpoint.address();
        let publisher: Arc<dyn Publisher> = Arc::new(endpoint.publisher());
        let mqtt_sinks = MqttSinks::start(plan, log, Some(&publisher), observer, &sinks.stop);
        sinks.tasks.spawn(mqtt_sinks.closed());

        let state = QueryState::new(
            Arc::clone(plan),
            Arc::clone(log),
            Some(Arc::clone(&storage.tables)),
            Arc::clone(observer),
            Arc::new(AcceptorReplayer::new(acceptor.clone())),
            Some(mqtt_address.to_string()),
        );
        query.start("HTTP server", serve(listener, state, query.stop.clone()));

        let subscriptions = MqttSubscriptions::start(plan, &acceptor, observer, &ingest.stop);
        ingest.tasks.spawn(subscriptions.closed());
        let watcher = IdleWatcher::new(plan, log);
        let stop = ingest.stop.clone();
        ingest.tasks.spawn(async move { watcher.run(stop).await });
        Ok(Self { storage, http_address, mqtt_address, endpoint, ingest, query, sinks, engine })
    }

    /// Address of the HTTP port.
    pub(crate) const fn http_address(&self) -> SocketAddr {
        self.http_address
    }

    /// Address of the MQTT endpoint.
    pub(crate) const fn mqtt_address(&self) -> SocketAddr {
        self.mqtt_address
    }

    /// Stops every part: first what comes in, last what is stored.
    pub(crate) async fn stop(self) {
        let endpoint = tokio::time::timeout(STOP_PATIENCE, self.endpoint.closed());
        let ((), closed) = tokio::join!(self.ingest.stop(), endpoint);
        if closed.is_err() {
            warn!(message = "The MQTT endpoint did not close in time.");
        }
        self.engine.stop().await;
        self.sinks.stop().await;
        self.query.stop().await;
        // What was acknowledged is durable already.
        if tokio::time::timeout(CLOSE_PATIENCE, self.storage.close()).await.is_err() {
            warn!(message = "The log and the tables did not close in time; their content is safe.");
        }
    }
}

/// Milliseconds since 1970-01-01T00:00:00Z.
pub(crate) fn now_millis() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
