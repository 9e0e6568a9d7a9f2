//! A process that answers: tables, live streams, the dashboard, and operations on the pipeline.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use millrace_core::with_causes;
use millrace_ingest::Acceptor;
use millrace_log::Log;
use millrace_log::kafka::ReadAhead;
use millrace_observe::Observer;
use millrace_plan::Plan;
use millrace_query::QueryState;
use millrace_query::Readiness;
use millrace_tables::LookUp;
use millrace_tables::TableStore;
use tokio_util::sync::CancellationToken;

use crate::process::admin::AdminPort;
use crate::process::fleet::watch_fleet;
use crate::process::fleet_operations::FleetOperations;
use crate::process::generations::Follower;
use crate::process::http::keep_current;
use crate::process::parts::Parts;
use crate::process::replayer::AcceptorReplayer;
use crate::process::separate::BeginError;
use crate::process::separate::Connected;
use crate::process::separate::Port;
use crate::process::separate::SeparateOptions;
use crate::process::separate::end;
use crate::process::separate::share;
use crate::process::separate::with_open_probes;

/// How long a table may take to answer whether it can be read.
const READABLE: Duration = Duration::from_secs(2);

/// A process that answers.
pub(crate) struct QueryProcess {
    port: Port,
    admin: Option<AdminPort>,
}

/// The same at work.
pub(crate) struct Answering {
    port: Port,
    admin: Option<AdminPort>,
    connected: Connected,
    parts: Parts,
    state: QueryState,
}

impl QueryProcess {
    /// Opens the HTTP port, and that for operators where it has an address.
    pub(crate) async fn open(
        plan: Plan,
        mut options: SeparateOptions,
        admin: Option<SocketAddr>,
    ) -> Result<Self, BeginError> {
        options.connections.kafka.read_ahead = ReadAhead::Pages;
        let exposure = with_open_probes(&plan.exposure);
        let admin = match admin {
            Some(address) => Some(AdminPort::open(address, options.grace).await?),
            None => None,
        };
        Ok(Self { port: Port::open(plan, exposure, options).await?, admin })
    }

    /// Address of the port for operators, if there is one.
    pub(crate) fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(AdminPort::address)
    }

    /// Address of the HTTP port.
    pub(crate) const fn http_address(&self) -> SocketAddr {
        self.port.address()
    }

    /// What an address of the HTTP port begins with.
    pub(crate) const fn http_scheme(&self) -> &'static str {
        self.port.scheme()
    }

    /// What names the process.
    pub(crate) fn name(&self) -> &str {
        self.port.name()
    }

    /// What takes metrics and traces.
    pub(crate) const fn observer(&self) -> &Arc<Observer> {
        &self.port.observer
    }

    /// Answers from the moment on in which that is possible; none if told to stop before.
    pub(crate) async fn start(
        self,
        shutdown: &CancellationToken,
    ) -> Result<Option<Answering>, BeginError> {
        let Some(connected) = self.port.connect(shutdown).await? else {
            self.port.close().await;
            return Ok(None);
        };
        let Self { port, admin } = self;
        let parts = Parts::with(share(port.grace));
        let follower = connected.follower.clone();
        let tables = Arc::clone(&connected.shared.tables);
        let log = Arc::clone(follower.view()) as Arc<dyn Log>;
        let plan = follower.plan();
        // Its figures would say that this process takes events in.
        let acceptor = Acceptor::new(&plan, Arc::clone(&log), &Observer::default());
        let state = QueryState::new(
            Arc::clone(&plan),
            Arc::clone(&log),
            Some(Arc::clone(&tables)),
            Arc::clone(&port.observer),
            Arc::new(AcceptorReplayer::new(acceptor)),
            None,
        );
        state.set_operations(Arc::new(FleetOperations::new(follower.clone(), Arc::clone(&tables))));
        state.set_readiness(Arc::new(Readable { plan, tables: Arc::clone(&tables) }));
        let stop = parts.stop.clone();
        let showing = show_changes(follower.clone());
        parts.tasks.spawn(async move { stop.run_until_cancelled(showing).await });
        let (stop, observer) = (parts.stop.clone(), Arc::clone(&port.observer));
        let watching = watch_fleet(follower, tables, observer);
        parts.tasks.spawn(async move { stop.run_until_cancelled(watching).await });
        keep_current(&state, &parts.tasks, &parts.stop);
        match &admin {
            Some(admin) => {
                admin.serve(state.router(axum::Router::new()));
                port.serve(state.outside_router(axum::Router::new()));
            }
            None => port.serve(state.router(axum::Router::new())),
        }
        Ok(Some(Answering { port, admin, connected, parts, state }))
    }
}

impl Answering {
    /// Finishes the answers that are under way, and ends.
    pub(crate) async fn stop(self) {
        let Self { port, admin, connected, parts, state } = self;
        let grace = port.grace;
        end(&state, grace, async {
            // Live streams would go on for ever.
            state.close();
            port.close().await;
            if let Some(admin) = admin {
                admin.close().await;
            }
            parts.stop().await;
            connected.close().await;
        })
        .await;
    }
}

/// Reads what is served under the names that it has, whenever that changes.
async fn show_changes(follower: Follower) {
    let mut seen = follower.seen();
    while seen.changed().await.is_ok() {
        if let Some(target) = follower.target() {
            follower.show(&target.edition);
        }
    }
}

/// Ready while tables can be read.
struct Readable {
    plan: Arc<Plan>,
    tables: Arc<dyn TableStore>,
}

#[async_trait]
impl Readiness for Readable {
    async fn reasons(&self) -> Vec<String> {
        let table = self.plan.sinks.iter().find_map(|sink| match &sink.target {
            millrace_plan::model::SinkTarget::Table(table) => Some(table.name.as_str()),
            _ => None,
        });
        let Some(table) = table else { return Vec::new() };
        let one = LookUp { limit: 1, ..LookUp::default() };
        match tokio::time::timeout(READABLE, self.tables.look_up(table, &one)).await {
            Ok(Ok(_)) => Vec::new(),
            Ok(Err(error)) => vec![with_causes(&error)],
            Err(_) => {
                vec![format!("table `{table}` does not answer within {} s", READABLE.as_secs())]
            }
        }
    }
}
