//! A process that computes: tasks, table sinks and sinks that send to others.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use millrace_log::Log;
use millrace_log::ReadLimit;
use millrace_observe::Observer;
use millrace_plan::Plan;
use millrace_query::QueryState;
use tokio_util::sync::CancellationToken;

use crate::process::computing::ComputeContext;
use crate::process::live::StartLiveError;
use crate::process::separate::BeginError;
use crate::process::separate::Connected;
use crate::process::separate::Port;
use crate::process::separate::SeparateOptions;
use crate::process::separate::end;
use crate::process::separate::of_probes;
use crate::process::separate::share;
use crate::process::worker::Worker;

/// A process that computes.
pub(crate) struct WorkerProcess {
    port: Port,
}

/// The same at work.
pub(crate) struct Working {
    port: Port,
    connected: Connected,
    worker: Worker,
    state: QueryState,
}

impl WorkerProcess {
    /// Opens the port for probes.
    pub(crate) async fn open(plan: Plan, options: SeparateOptions) -> Result<Self, BeginError> {
        let exposure = of_probes(&plan.exposure);
        Ok(Self { port: Port::open(plan, exposure, options).await? })
    }

    /// Address of the port for probes.
    pub(crate) const fn http_address(&self) -> SocketAddr {
        self.port.address()
    }

    /// What names the process.
    pub(crate) fn name(&self) -> &str {
        self.port.name()
    }

    /// What takes metrics and traces.
    pub(crate) const fn observer(&self) -> &Arc<Observer> {
        &self.port.observer
    }

    /// Computes these stages and sinks, or all, from the moment on in which that is possible; none
    /// if told to stop before.
    pub(crate) async fn start(
        self,
        only: Option<BTreeSet<String>>,
        batch: ReadLimit,
        shutdown: &CancellationToken,
    ) -> Result<Option<Working>, StartLiveError> {
        let Some(connected) = self.port.connect(shutdown).await? else {
            self.port.close().await;
            return Ok(None);
        };
        let port = self.port;
        let follower = connected.follower.clone();
        let log = Arc::clone(follower.view()) as Arc<dyn Log>;
        let context = ComputeContext {
            log: Arc::clone(&log),
            tables: Arc::clone(&connected.shared.tables),
            observer: Arc::clone(&port.observer),
            publisher: None,
            batch,
            folders: port.folders.clone(),
            beside_others: true,
            only,
            patience: share(port.grace),
        };
        let worker = Worker::start(context, follower, true);
        let state = QueryState::of_probes(Arc::clone(&port.plan), log, Arc::clone(&port.observer));
        state.set_readiness(worker.readiness());
        port.serve(state.probes(axum::Router::new()));
        Ok(Some(Working { port, connected, worker, state }))
    }
}

impl Working {
    /// Commits what is computed, hands everything over to others, and ends.
    pub(crate) async fn stop(self) {
        let Self { port, connected, worker, state } = self;
        let grace = port.grace;
        end(&state, grace, async {
            worker.stop().await;
            connected.close().await;
            port.close().await;
        })
        .await;
    }
}
