//! Everything through which events come in: HTTP and WebSocket routes, our own MQTT endpoint,
//! subscriptions at other brokers, topics of others, and the watcher that records silence.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use millrace_ingest::Acceptor;
use millrace_ingest::IdleWatcher;
use millrace_ingest::KafkaIntake;
use millrace_ingest::StartKafkaError;
use millrace_ingest::mqtt::MqttEndpoint;
use millrace_ingest::mqtt::MqttSettings;
use millrace_ingest::mqtt::StartMqttError;
use millrace_ingest::mqtt::connect::MqttSubscriptions;
use millrace_log::Log;
use millrace_observe::Observer;
use millrace_plan::Plan;
use millrace_sinks::Publisher;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::process::parts::Parts;

/// The ways in of a process.
pub(super) struct WaysIn {
    acceptor: Acceptor,
    endpoint: MqttEndpoint,
    plan: Arc<Plan>,
    log: Arc<dyn Log>,
    observer: Arc<Observer>,
    pub(super) parts: Parts,
}

impl WaysIn {
    /// Opens the MQTT endpoint; nothing else comes in before [`open`](Self::open).
    pub(super) async fn start(
        plan: &Arc<Plan>,
        log: &Arc<dyn Log>,
        observer: &Arc<Observer>,
        mqtt: MqttSettings,
        parts: Parts,
    ) -> Result<Self, StartMqttError> {
        let acceptor = Acceptor::new(plan, Arc::clone(log), observer);
        let stop = parts.stop.clone();
        let endpoint = MqttEndpoint::start(mqtt, acceptor.clone(), observer, stop).await?;
        Ok(Self {
            acceptor,
            endpoint,
            plan: Arc::clone(plan),
            log: Arc::clone(log),
            observer: Arc::clone(observer),
            parts,
        })
    }

    /// What takes events in.
    pub(super) const fn acceptor(&self) -> &Acceptor {
        &self.acceptor
    }

    /// Address of the MQTT endpoint.
    pub(super) const fn mqtt_address(&self) -> SocketAddr {
        self.endpoint.address()
    }

    /// Publishes to clients of the MQTT endpoint.
    pub(super) fn publisher(&self) -> Arc<dyn Publisher> {
        Arc::new(self.endpoint.publisher())
    }

    /// The routes of ways in over HTTP and WebSocket.
    pub(super) fn routes(&self) -> Router {
        let Self { plan, acceptor, observer, parts, .. } = self;
        millrace_ingest::http::routes(plan, acceptor, observer, &parts.stop)
    }

    /// Subscribes at other brokers, reads the topics of others, and begins to watch for silence.
    /// `secrets` is the folder that has one folder a Secret.
    pub(super) async fn open(&self, secrets: Option<&Path>) -> Result<(), StartKafkaError> {
        let Self { plan, log, acceptor, observer, parts, .. } = self;
        let intake = KafkaIntake::start(plan, acceptor, log, observer, &parts.stop).await?;
        parts.tasks.spawn(intake.closed());
        let secrets = secrets.unwrap_or(Path::new("secrets"));
        let subscriptions =
            MqttSubscriptions::start(plan, acceptor, observer, secrets, &parts.stop);
        parts.tasks.spawn(subscriptions.closed());
        let watcher = IdleWatcher::new(plan, log, acceptor);
        let stop: CancellationToken = parts.stop.clone();
        parts.tasks.spawn(async move { watcher.run(stop).await });
        Ok(())
    }

    /// Takes nothing more in, and finishes what is under way.
    pub(super) async fn stop(self) {
        let endpoint = tokio::time::timeout(self.parts.patience(), self.endpoint.closed());
        let ((), closed) = tokio::join!(self.parts.stop(), endpoint);
        if closed.is_err() {
            warn!(message = "The MQTT endpoint did not close in time.");
        }
    }
}
