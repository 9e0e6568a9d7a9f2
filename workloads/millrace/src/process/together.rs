//! Everything in one process over Kafka and Postgres: what the separate processes do, side by side.

use std::net::SocketAddr;
use std::sync::Arc;

use millrace_ingest::mqtt::MqttSettings;
use millrace_log::Log;
use millrace_log::ReadLimit;
use millrace_observe::Observer;
use millrace_plan::Plan;
use millrace_query::QueryState;
use tokio_util::sync::CancellationToken;

use crate::exit::Failure;
use crate::process::computing::ComputeContext;
use crate::process::fleet_operations::FleetOperations;
use crate::process::http::keep_current;
use crate::process::live::StartLiveError;
use crate::process::parts::Parts;
use crate::process::replayer::AcceptorReplayer;
use crate::process::separate::BeginError;
use crate::process::separate::Connected;
use crate::process::separate::Port;
use crate::process::separate::SeparateOptions;
use crate::process::separate::end;
use crate::process::separate::share;
use crate::process::separate::with_open_probes;
use crate::process::ways_in::WaysIn;
use crate::process::worker::Worker;

/// A process that does everything.
pub(crate) struct WholeProcess {
    port: Port,
}

/// The same at work.
pub(crate) struct Together {
    port: Port,
    connected: Connected,
    ways_in: WaysIn,
    worker: Worker,
    parts: Parts,
    state: QueryState,
}

impl WholeProcess {
    /// Opens the HTTP port.
    pub(crate) async fn open(plan: Plan, options: SeparateOptions) -> Result<Self, BeginError> {
        let exposure = with_open_probes(&plan.exposure);
        Ok(Self { port: Port::open(plan, exposure, options).await? })
    }

    /// What takes metrics and traces.
    pub(crate) const fn observer(&self) -> &Arc<Observer> {
        &self.port.observer
    }

    /// Makes what is missing, and starts every part; none if told to stop before.
    pub(crate) async fn start(
        self,
        mqtt: MqttSettings,
        batch: ReadLimit,
        shutdown: &CancellationToken,
    ) -> Result<Option<Together>, Failure> {
        let Some(connected) = self.port.connect_provisioned(shutdown).await? else {
            self.port.close().await;
            return Ok(None);
        };
        let port = self.port;
        let follower = connected.follower.clone();
        let tables = Arc::clone(&connected.shared.tables);
        let log = Arc::clone(follower.view()) as Arc<dyn Log>;
        let plan = follower.plan();
        let parts = Parts::with(share(port.grace));
        let ways_in =
            WaysIn::start(&plan, &log, &port.observer, mqtt, Parts::with(share(port.grace)))
                .await
                .map_err(StartLiveError::from)?;
        let context = ComputeContext {
            log: Arc::clone(&log),
            tables: Arc::clone(&tables),
            observer: Arc::clone(&port.observer),
            publisher: Some(ways_in.publisher()),
            batch,
            folders: port.folders.clone(),
            beside_others: true,
            only: None,
            patience: share(port.grace),
        };
        let worker = Worker::start(context, follower.clone(), true);
        let state = QueryState::new(
            plan,
            log,
            Some(Arc::clone(&tables)),
            Arc::clone(&port.observer),
            Arc::new(AcceptorReplayer::new(ways_in.acceptor().clone())),
            Some(ways_in.mqtt_address().to_string()),
        );
        state.set_operations(Arc::new(FleetOperations::new(follower, tables)));
        state.set_readiness(worker.readiness());
        keep_current(&state, &parts.tasks, &parts.stop);
        ways_in.open(port.folders.secrets.as_deref()).await.map_err(StartLiveError::from)?;
        port.serve(state.router(ways_in.routes()));
        Ok(Some(Together { port, connected, ways_in, worker, parts, state }))
    }
}

impl Together {
    /// Address of the HTTP port.
    pub(crate) const fn http_address(&self) -> SocketAddr {
        self.port.address()
    }

    /// What an address of the HTTP port begins with.
    pub(crate) const fn http_scheme(&self) -> &'static str {
        self.port.scheme()
    }

    /// Address of the MQTT endpoint.
    pub(crate) const fn mqtt_address(&self) -> SocketAddr {
        self.ways_in.mqtt_address()
    }

    /// What names the process.
    pub(crate) fn name(&self) -> &str {
        self.port.name()
    }

    /// Stops every part: first what comes in, last what is stored.
    pub(crate) async fn stop(self) {
        let Self { port, connected, ways_in, worker, parts, state } = self;
        let grace = port.grace;
        end(&state, grace, async {
            state.close();
            tokio::join!(port.close(), ways_in.stop(), parts.stop());
            worker.stop().await;
            connected.close().await;
        })
        .await;
    }
}
