//! What processes of a pipeline share: its log in Kafka, and its tables in Postgres.

use std::sync::Arc;

use millrace_log::Log;
use millrace_log::kafka::ConnectKafkaError;
use millrace_log::kafka::KafkaLog;
use millrace_log::kafka::StandbyOptions;
use millrace_tables::TableStore;
use millrace_tables::postgres::ConnectStoreError;
use millrace_tables::postgres::PostgresStore;
use millrace_tables::postgres::ProvisionStoreError;

use crate::connections::Connections;
use crate::exit::Exit;
use crate::exit::Failure;
use crate::process::no_tables::NoTables;

/// The log and the tables of a pipeline, where others use them, too.
pub(crate) struct Shared {
    pub(crate) log: Arc<dyn Log>,
    pub(crate) tables: Arc<dyn TableStore>,
}

/// Log or tables that cannot be reached.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// Kafka.
    #[error("cannot use the Kafka cluster of the connection files")]
    Log(#[from] ConnectKafkaError),
    /// Postgres.
    #[error("cannot use the database of the connection files")]
    Tables(#[from] ConnectStoreError),
}

impl ConnectError {
    /// Whether it stays as long as nobody changes the connection files or what they name.
    pub(crate) const fn stays(&self) -> bool {
        match self {
            Self::Log(error) => matches!(error, ConnectKafkaError::Configure(_)),
            Self::Tables(error) => !matches!(
                error,
                ConnectStoreError::Connect { .. } | ConnectStoreError::Prepare { .. }
            ),
        }
    }

    /// The code to end with.
    pub(crate) const fn exit(&self) -> Exit {
        if self.stays() { Exit::Config } else { Exit::Unavailable }
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        error.exit().because(error)
    }
}

impl Shared {
    /// Connects as one process of a pipeline.
    pub(crate) async fn connect(
        connections: Connections,
        pipeline: &str,
        process: &str,
    ) -> Result<Self, ConnectError> {
        Self::connect_with_standbys(connections, pipeline, process, StandbyOptions::default()).await
    }

    /// The same, for a process that keeps the state of tasks ready that others run.
    pub(crate) async fn connect_with_standbys(
        connections: Connections,
        pipeline: &str,
        process: &str,
        standbys: StandbyOptions,
    ) -> Result<Self, ConnectError> {
        let Connections { kafka, postgres, .. } = connections;
        // First what takes less to undo, should the other fail.
        let tables: Arc<dyn TableStore> = match postgres {
            Some(postgres) => Arc::new(PostgresStore::connect(&postgres, pipeline).await?),
            None => Arc::new(NoTables),
        };
        let log = KafkaLog::connect_with_standbys(kafka, pipeline, process, standbys).await?;
        Ok(Self { log, tables })
    }

    /// Makes the roles and users of the connection files in the database, if they name some.
    pub(crate) async fn make_roles(
        connections: &Connections,
        pipeline: &str,
    ) -> Result<bool, ProvisionStoreError> {
        let (Some(postgres), Some(roles)) = (&connections.postgres, &connections.roles) else {
            return Ok(false);
        };
        PostgresStore::provision(postgres, pipeline, roles).await?;
        Ok(true)
    }

    /// Closes tables and log.
    pub(crate) async fn close(&self) {
        self.tables.close().await;
        self.log.close().await;
    }
}
