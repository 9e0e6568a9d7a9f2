//! One process among those that run a pipeline together: what all of them begin and end with.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use millrace_archive::Folders;
use millrace_core::with_causes;
use millrace_http::Clients;
use millrace_log::LogView;
use millrace_log::ViewNames;
use millrace_log::kafka::StandbyOptions;
use millrace_observe::Observer;
use millrace_plan::Plan;
use millrace_plan::model::Access;
use millrace_plan::model::AuthRule;
use millrace_plan::model::ExposurePlan;
use millrace_plan::model::TlsSource;
use millrace_query::QueryState;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tracing::info;
use tracing::warn;

use crate::connections::Connections;
use crate::exit::Exit;
use crate::exit::Failure;
use crate::process::generations::Follower;
use crate::process::http::HttpPort;
use crate::process::http::StartHttpError;
use crate::process::late::LateRoutes;
use crate::process::parts::Parts;
use crate::process::provision::provision;
use crate::process::shared::ConnectError;
use crate::process::shared::Shared;

/// Between two attempts to reach Kafka and Postgres.
const AGAIN: Duration = Duration::from_secs(2);

/// Most connections to a port that has only probes.
const PROBE_CONNECTIONS: usize = 64;

/// How a process begins and ends.
pub(crate) struct SeparateOptions {
    /// Address of the HTTP port.
    pub(crate) http: SocketAddr,
    /// The process's own name; none: the machine's, and the port.
    pub(crate) name: Option<String>,
    /// How it is known where requests come from.
    pub(crate) clients: Clients,
    /// How long it may take to end.
    pub(crate) grace: Duration,
    /// Where the log and the tables are.
    pub(crate) connections: Connections,
    /// Folder of Secrets.
    pub(crate) secrets: PathBuf,
    /// What relative paths of archives start from.
    pub(crate) data: PathBuf,
    /// How much state of tasks that other processes run it keeps ready.
    pub(crate) standbys: StandbyOptions,
}

/// Why a process ends before it has begun.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BeginError {
    /// There is no HTTP port.
    #[error(transparent)]
    Http(#[from] StartHttpError),
    /// There is no port for operators.
    #[error(
        "cannot listen for operators on {address}: choose another address with --admin-listen, such as 127.0.0.1:9091"
    )]
    Admin {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// There is no folder for what is made anew at each start.
    #[error("cannot make a folder for temporary files: set TMPDIR to one that can be written")]
    Temporary(#[source] std::io::Error),
    /// The connection files cannot be right.
    #[error(transparent)]
    Connect(#[from] ConnectError),
}

impl From<BeginError> for Failure {
    fn from(error: BeginError) -> Self {
        let exit = match &error {
            BeginError::Http(StartHttpError::Listen { .. })
            | BeginError::Admin { .. }
            | BeginError::Temporary(_) => Exit::CannotCreate,
            BeginError::Http(_) => Exit::Config,
            BeginError::Connect(error) => error.exit(),
        };
        exit.because(error)
    }
}

/// A process whose port is open.
pub(super) struct Port {
    address: SocketAddr,
    scheme: &'static str,
    name: String,
    late: LateRoutes,
    pub(super) plan: Arc<Plan>,
    pub(super) observer: Arc<Observer>,
    pub(super) folders: Folders,
    pub(super) grace: Duration,
    connections: Connections,
    standbys: StandbyOptions,
    /// The port itself, last to stop.
    http: Parts,
    _temporary: Option<TempDir>,
}

/// A process that has reached the log and the tables, and knows what is served.
pub(super) struct Connected {
    pub(super) shared: Shared,
    pub(super) follower: Follower,
    looking: Parts,
}

impl Port {
    /// Opens the port, which says from now on that the process lives.
    pub(super) async fn open(
        plan: Plan,
        exposure: ExposurePlan,
        options: SeparateOptions,
    ) -> Result<Self, BeginError> {
        let SeparateOptions { http, name, clients, grace, connections, secrets, data, standbys } =
            options;
        let observer: Arc<Observer> = Arc::default();
        // A certificate of our own is made anew at each start, since nothing is kept here.
        let temporary = match exposure.tls {
            Some(TlsSource::SelfSigned) => {
                Some(tempfile::tempdir().map_err(BeginError::Temporary)?)
            }
            _ => None,
        };
        let own = temporary.as_ref().map_or_else(|| data.clone(), |own| own.path().to_owned());
        let for_port = Folders { data: own, secrets: Some(secrets.clone()) };
        let port = HttpPort::bind(http, &exposure, &for_port, &observer, share(grace)).await?;
        let port = port.clients(clients);
        let (address, has_tls) = (port.address(), port.has_tls());
        let name = name.unwrap_or_else(|| process_name(&address.port().to_string()));
        let (late, parts) = (LateRoutes::default(), Parts::with(grace));
        late.wait_for("the process has begun");
        port.serve(late.router(), &parts.tasks, &parts.stop);
        Ok(Self {
            address,
            scheme: if has_tls { "https" } else { "http" },
            name,
            late,
            plan: Arc::new(plan),
            observer,
            folders: Folders { data, secrets: Some(secrets) },
            grace,
            connections,
            standbys,
            http: parts,
            _temporary: temporary,
        })
    }

    /// Address of the HTTP port.
    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What an address of the port begins with.
    pub(super) const fn scheme(&self) -> &'static str {
        self.scheme
    }

    /// The name that no other process of the pipeline has.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Waits until log and tables are there and have been set up; none if told to stop before.
    pub(super) async fn connect(
        &self,
        shutdown: &CancellationToken,
    ) -> Result<Option<Connected>, BeginError> {
        match self.reach(shutdown).await? {
            Some(shared) => Ok(self.follow(shared, shutdown).await),
            None => Ok(None),
        }
    }

    /// The same, but what is missing is made.
    pub(super) async fn connect_provisioned(
        &self,
        shutdown: &CancellationToken,
    ) -> Result<Option<Connected>, Failure> {
        let Some(shared) = self.reach(shutdown).await? else { return Ok(None) };
        provision(&self.plan, &shared, false).await?;
        Ok(self.follow(shared, shutdown).await)
    }

    /// Waits until log and tables can be reached.
    async fn reach(&self, shutdown: &CancellationToken) -> Result<Option<Shared>, BeginError> {
        loop {
            self.late.wait_for("it connects to Kafka and Postgres");
            let connecting = Box::pin(Shared::connect_with_standbys(
                self.connections.clone(),
                &self.plan.pipeline,
                &self.name,
                self.standbys,
            ));
            let connected = shutdown.run_until_cancelled(connecting).await;
            let error = match connected {
                None => return Ok(None),
                Some(Ok(shared)) => return Ok(Some(shared)),
                Some(Err(error)) if error.stays() => return Err(error.into()),
                Some(Err(error)) => with_causes(&error),
            };
            warn!(message = "Kafka or Postgres cannot be reached; trying again.", error);
            self.late.wait_for(error);
            if shutdown.run_until_cancelled(tokio::time::sleep(AGAIN)).await.is_none() {
                return Ok(None);
            }
        }
    }

    /// Waits until the log says what is served.
    async fn follow(&self, shared: Shared, shutdown: &CancellationToken) -> Option<Connected> {
        let looking = Parts::with(share(self.grace));
        let view = Arc::new(LogView::new(Arc::clone(&shared.log), ViewNames::default()));
        let follower = Follower::start(Arc::clone(&self.plan), view, &looking.tasks, &looking.stop);
        let connected = Connected { shared, follower, looking };
        let mut seen = connected.follower.seen();
        while connected.follower.ledger().is_none() {
            if let Some(reason) = connected.follower.not_ready() {
                self.late.wait_for(reason);
            }
            if !matches!(shutdown.run_until_cancelled(seen.changed()).await, Some(Ok(()))) {
                connected.close().await;
                return None;
            }
        }
        if let Some(target) = connected.follower.target() {
            connected.follower.show(&target.edition);
        }
        info!(message = "The process has connected.", process = self.name);
        Some(connected)
    }

    /// From now on the port serves this.
    pub(super) fn serve(&self, routes: Router) {
        self.late.set(routes);
    }

    /// Closes the port, and finishes the answers that are under way.
    pub(super) async fn close(&self) {
        self.http.stop().await;
    }
}

impl Connected {
    /// Closes log and tables, when nothing uses them any more.
    pub(super) async fn close(&self) {
        self.looking.stop().await;
        self.shared.close().await;
    }
}

/// What one of the steps of a process's end may take of the whole.
pub(super) fn share(grace: Duration) -> Duration {
    grace / 4
}

/// What a process serves to whom: as the resource says, but that it lives and is ready everyone may
/// know, who asks without credentials.
pub(super) fn with_open_probes(exposure: &ExposurePlan) -> ExposurePlan {
    let mut exposure = exposure.clone();
    for path in ["/livez", "/readyz"] {
        if !exposure.auth.iter().any(|rule| rule.path == path) {
            exposure.auth.push(AuthRule { path: path.to_owned(), access: Access::Open });
        }
    }
    exposure
}

/// What a process serves that has only probes: plain, and to everyone who reaches its port.
pub(super) fn of_probes(exposure: &ExposurePlan) -> ExposurePlan {
    let max_connections = PROBE_CONNECTIONS;
    ExposurePlan { tls: None, auth: Vec::new(), max_connections, ..exposure.clone() }
}

/// Ends in the order given, in the time that it may take: first nothing more is sent here.
pub(super) async fn end(state: &QueryState, grace: Duration, ending: impl Future<Output = ()>) {
    state.drain();
    if tokio::time::timeout(grace, ending).await.is_err() {
        warn!(message = "The process did not end in time; what it was doing is undone.");
    }
}

/// A process's name: that of this machine, or of the pod, and what sets it apart there.
pub(crate) fn process_name(apart: &str) -> String {
    format!("{}-{apart}", rustix::system::uname().nodename().to_string_lossy())
}
