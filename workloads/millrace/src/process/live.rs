//! A pipeline that serves until it is told to stop: everything that listens, and the order in
//! which parts start and stop.
//!
//! They start from the log outwards, so that nothing comes in before what takes it works, and
//! stop the other way round.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use millrace_archive::Folders;
use millrace_archive::StartArchiveError;
use millrace_ingest::Acceptor;
use millrace_ingest::IdleWatcher;
use millrace_ingest::mqtt::MqttEndpoint;
use millrace_ingest::mqtt::MqttSettings;
use millrace_ingest::mqtt::StartMqttError;
use millrace_ingest::mqtt::connect::MqttSubscriptions;
use millrace_log::ReadLimit;
use millrace_query::QueryState;
use millrace_sinks::Publisher;
use millrace_sinks::StartWebhookError;
use tokio::sync::Mutex;
use tracing::warn;

use crate::exit::Exit;
use crate::exit::Failure;
use crate::process::computing::ComputeContext;
use crate::process::computing::Computing;
use crate::process::generations::Rebuilder;
use crate::process::http::HttpPort;
use crate::process::http::StartHttpError;
use crate::process::operations::RunningOperations;
use crate::process::parts::Parts;
use crate::process::parts::STOP_PATIENCE;
use crate::process::replayer::AcceptorReplayer;
use crate::process::storage::Storage;

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
    /// The data folder and the folder of Secrets.
    pub(crate) folders: Folders,
}

/// Why a pipeline cannot listen.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartLiveError {
    /// There is no HTTP port.
    #[error(transparent)]
    Http(#[from] StartHttpError),
    /// The MQTT endpoint cannot start.
    #[error(transparent)]
    Mqtt(#[from] StartMqttError),
    /// An archive sink cannot start.
    #[error(transparent)]
    Archive(#[from] StartArchiveError),
    /// A webhook sink cannot start.
    #[error(transparent)]
    Webhook(#[from] StartWebhookError),
}

impl From<StartLiveError> for Failure {
    fn from(error: StartLiveError) -> Self {
        let exit = match &error {
            StartLiveError::Http(StartHttpError::Listen { .. })
            | StartLiveError::Mqtt(StartMqttError::Listen { .. }) => Exit::CannotCreate,
            StartLiveError::Http(_)
            | StartLiveError::Mqtt(_)
            | StartLiveError::Archive(_)
            | StartLiveError::Webhook(_) => Exit::Config,
        };
        exit.because(error)
    }
}

/// A pipeline that serves.
pub(crate) struct Live {
    storage: Storage,
    http_address: SocketAddr,
    http_has_tls: bool,
    mqtt_address: SocketAddr,
    endpoint: MqttEndpoint,
    ingest: Parts,
    rebuilds: Parts,
    computing: Arc<Mutex<Option<Computing>>>,
}

impl Live {
    /// Starts every part.
    pub(crate) async fn start(
        storage: Storage,
        options: LiveOptions,
    ) -> Result<Self, StartLiveError> {
        // Ports are taken first, so that a taken one is told before anything is computed.
        let (plan, log) = (&storage.plan, &storage.log);
        let observer = &storage.observer;
        let http = HttpPort::bind(options.http, &plan.exposure, &options.folders, observer).await?;
        let (http_address, http_has_tls) = (http.address(), http.has_tls());
        let (ingest, rebuilds) = (Parts::default(), Parts::default());

        let acceptor = Acceptor::new(plan, Arc::clone(log), observer);
        let endpoint =
            MqttEndpoint::start(options.mqtt, acceptor.clone(), observer, ingest.stop.clone())
                .await?;
        let mqtt_address = endpoint.address();
        let publisher: Arc<dyn Publisher> = Arc::new(endpoint.publisher());
        let context = Arc::new(ComputeContext {
            log: Arc::clone(log),
            tables: Arc::clone(&storage.tables),
            observer: Arc::clone(observer),
            publisher,
            batch: options.batch,
            folders: options.folders,
        });
        let served = storage.serving.served().await;
        let resting = storage.serving.resting().await;
        let computing = Computing::start(&context, &served, &resting)?;
        let computing = Arc::new(Mutex::new(Some(computing)));
        let rebuilder = Rebuilder {
            serving: Arc::clone(&storage.serving),
            context,
            computing: Arc::clone(&computing),
        };
        rebuilds.tasks.spawn(rebuilder.run(rebuilds.stop.clone()));

        let state = QueryState::new(
            Arc::clone(plan),
            Arc::clone(log),
            Some(Arc::clone(&storage.tables)),
            Arc::clone(observer),
            Arc::new(AcceptorReplayer::new(acceptor.clone())),
            Some(mqtt_address.to_string()),
        );
        state.set_operations(Arc::new(RunningOperations::new(&storage)));
        let ways_in = millrace_ingest::http::routes(plan, &acceptor, observer, &ingest.stop);
        http.serve(state, ways_in, &ingest.tasks, &ingest.stop);

        let subscriptions = MqttSubscriptions::start(plan, &acceptor, observer, &ingest.stop);
        ingest.tasks.spawn(subscriptions.closed());
        let watcher = IdleWatcher::new(plan, log);
        let stop = ingest.stop.clone();
        ingest.tasks.spawn(async move { watcher.run(stop).await });
        Ok(Self {
            storage,
            http_address,
            http_has_tls,
            mqtt_address,
            endpoint,
            ingest,
            rebuilds,
            computing,
        })
    }

    /// Address of the HTTP port.
    pub(crate) const fn http_address(&self) -> SocketAddr {
        self.http_address
    }

    /// What an address of the HTTP port begins with.
    pub(crate) const fn http_scheme(&self) -> &'static str {
        if self.http_has_tls { "https" } else { "http" }
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
        self.rebuilds.stop().await;
        if let Some(computing) = self.computing.lock().await.take() {
            computing.stop().await;
        }
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
