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
use millrace_ingest::StartKafkaError;
use millrace_ingest::mqtt::MqttSettings;
use millrace_ingest::mqtt::StartMqttError;
use millrace_log::ReadLimit;
use millrace_query::QueryState;
use millrace_sinks::StartWebhookError;
use tokio::sync::Mutex;
use tracing::warn;

use crate::exit::Exit;
use crate::exit::Failure;
use crate::process::computing::ComputeContext;
use crate::process::computing::Computing;
use crate::process::generations::Rebuilder;
use crate::process::http::HttpPort;
use crate::process::http::LAST_ANSWERS;
use crate::process::http::StartHttpError;
use crate::process::http::keep_current;
use crate::process::operations::RunningOperations;
use crate::process::parts::Parts;
use crate::process::parts::STOP_PATIENCE;
use crate::process::replayer::AcceptorReplayer;
use crate::process::separate::BeginError;
use crate::process::storage::Storage;
use crate::process::ways_in::WaysIn;

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
    /// The process cannot begin.
    #[error(transparent)]
    Begin(#[from] BeginError),
    /// The MQTT endpoint cannot start.
    #[error(transparent)]
    Mqtt(#[from] StartMqttError),
    /// A topic of others cannot be read.
    #[error(transparent)]
    Kafka(#[from] StartKafkaError),
    /// An archive sink cannot start.
    #[error(transparent)]
    Archive(#[from] StartArchiveError),
    /// A webhook sink cannot start.
    #[error(transparent)]
    Webhook(#[from] StartWebhookError),
}

impl From<StartLiveError> for Failure {
    fn from(error: StartLiveError) -> Self {
        let error = match error {
            StartLiveError::Begin(error) => return error.into(),
            other => other,
        };
        let exit = match &error {
            StartLiveError::Http(StartHttpError::Listen { .. })
            | StartLiveError::Mqtt(StartMqttError::Listen { .. }) => Exit::CannotCreate,
            StartLiveError::Http(_)
            | StartLiveError::Begin(_)
            | StartLiveError::Mqtt(_)
            | StartLiveError::Kafka(_)
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
    ways_in: WaysIn,
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
        let (exposure, folders) = (&plan.exposure, &options.folders);
        let http = HttpPort::bind(options.http, exposure, folders, observer, LAST_ANSWERS).await?;
        let (http_address, http_has_tls) = (http.address(), http.has_tls());
        let rebuilds = Parts::default();
        let ways_in = WaysIn::start(plan, log, observer, options.mqtt, Parts::default()).await?;
        let context = Arc::new(ComputeContext {
            log: Arc::clone(log),
            tables: Arc::clone(&storage.tables),
            observer: Arc::clone(observer),
            publisher: Some(ways_in.publisher()),
            batch: options.batch,
            folders: options.folders,
            beside_others: false,
            only: None,
            patience: STOP_PATIENCE,
        });
        let secrets = context.folders.secrets.clone();
        let served = storage.serving.served().await;
        let resting = storage.serving.resting().await;
        let computing = Computing::start(&context, &served, &resting)?;
        let computing = Arc::new(Mutex::new(Some(computing)));
        let rebuilder = Rebuilder {
            serving: Arc::clone(&storage.serving),
            context,
            computing: Arc::clone(&computing),
            others: None,
        };
        rebuilds.tasks.spawn(rebuilder.run(rebuilds.stop.clone()));

        let state = QueryState::new(
            Arc::clone(plan),
            Arc::clone(log),
            Some(Arc::clone(&storage.tables)),
            Arc::clone(observer),
            Arc::new(AcceptorReplayer::new(ways_in.acceptor().clone())),
            Some(ways_in.mqtt_address().to_string()),
        );
        state.set_operations(Arc::new(RunningOperations::new(&storage)));
        let parts = &ways_in.parts;
        keep_current(&state, &parts.tasks, &parts.stop);
        http.serve(state.router(ways_in.routes()), &parts.tasks, &parts.stop);
        ways_in.open(secrets.as_deref()).await?;
        Ok(Self { storage, http_address, http_has_tls, ways_in, rebuilds, computing })
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
        self.ways_in.mqtt_address()
    }

    /// Stops every part: first what comes in, last what is stored.
    pub(crate) async fn stop(self) {
        self.ways_in.stop().await;
        self.rebuilds.stop().await;
        if let Some(mut computing) = self.computing.lock().await.take() {
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
