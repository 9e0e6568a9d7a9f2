//! The port for operators of a process whose HTTP port others reach: on the loopback of its machine
//! or pod. Whoever gets there may do everything, without credentials.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use axum::Router;
use millrace_archive::Folders;
use millrace_observe::Observer;
use millrace_plan::model::ExposurePlan;

use crate::process::http::HttpPort;
use crate::process::http::StartHttpError;
use crate::process::late::LateRoutes;
use crate::process::parts::Parts;
use crate::process::separate::BeginError;
use crate::process::separate::share;

/// Most connections at once.
const CONNECTIONS: usize = 64;

/// The port for operators.
pub(super) struct AdminPort {
    address: SocketAddr,
    late: LateRoutes,
    parts: Parts,
}

impl AdminPort {
    /// Opens the port. It says that the process is not ready until it serves.
    pub(super) async fn open(address: SocketAddr, grace: Duration) -> Result<Self, BeginError> {
        let exposure = ExposurePlan { max_connections: CONNECTIONS, ..ExposurePlan::default() };
        let folders = Folders { data: PathBuf::from("."), secrets: None };
        // Figures of the HTTP port are those of its clients alone.
        let observer = Observer::default();
        let port = HttpPort::bind(address, &exposure, &folders, &observer, share(grace));
        let port = port.await.map_err(|error| match error {
            StartHttpError::Listen { address, source } => BeginError::Admin { address, source },
            error => error.into(),
        })?;
        let address = port.address();
        let (late, parts) = (LateRoutes::default(), Parts::with(share(grace)));
        late.wait_for("the process has begun");
        port.serve(late.router(), &parts.tasks, &parts.stop);
        Ok(Self { address, late, parts })
    }

    /// Its address.
    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on the port serves this.
    pub(super) fn serve(&self, routes: Router) {
        self.late.set(routes);
    }

    /// Closes the port, and finishes the answers that are under way.
    pub(super) async fn close(&self) {
        self.parts.stop().await;
    }
}
