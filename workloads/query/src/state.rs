//! What all requests share.

use std::sync::Arc;
use std::sync::OnceLock;
use std::time::Instant;

use bytes::Bytes;
use millrace_core::Partition;
use millrace_core::StreamName;
use millrace_log::Log;
use millrace_observe::Observer;
use millrace_plan::Plan;
use millrace_plan::model::StreamPlan;
use millrace_tables::TableStore;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::declared::Declared;
use crate::metrics::QueryMetrics;
use crate::openapi;
use crate::operations::Operations;
use crate::rates::Rates;
use crate::replay::Replayer;
use millrace_http::Problem;

/// Most live streams (SSE) at once; further clients get 503.
pub const MAX_LIVE_STREAMS: usize = 256;

/// What the HTTP port serves. Cloning is cheap; made once a process, since it registers metrics.
#[derive(Clone)]
pub struct QueryState(pub(crate) SharedState);

/// What handlers get.
pub(crate) type SharedState = Arc<Shared>;

pub(crate) struct Shared {
    pub(crate) plan: Arc<Plan>,
    pub(crate) declared: Declared,
    /// The description of the API as JSON.
    pub(crate) openapi: Bytes,
    pub(crate) log: Arc<dyn Log>,
    pub(crate) tables: Option<Arc<dyn TableStore>>,
    pub(crate) observer: Arc<Observer>,
    pub(crate) replayer: Arc<dyn Replayer>,
    pub(crate) mqtt_address: Option<String>,
    pub(crate) metrics: QueryMetrics,
    pub(crate) rates: Rates,
    pub(crate) live_streams: Arc<Semaphore>,
    pub(crate) operations: OnceLock<Arc<dyn Operations>>,
    /// Ends live streams.
    pub(crate) closing: CancellationToken,
    pub(crate) started: Instant,
}

impl QueryState {
    /// What is served of a running pipeline. `mqtt_address` is where its own MQTT endpoint
    /// listens, if it has one.
    #[must_use]
    pub fn new(
        plan: Arc<Plan>,
        log: Arc<dyn Log>,
        tables: Option<Arc<dyn TableStore>>,
        observer: Arc<Observer>,
        replayer: Arc<dyn Replayer>,
        mqtt_address: Option<String>,
    ) -> Self {
        let metrics = QueryMetrics::register(&observer);
        Self(Arc::new(Shared {
            rates: Rates::new(&plan),
            declared: Declared::new(&plan),
            openapi: openapi::describe(&plan).to_string().into(),
            plan,
            log,
            tables,
            observer,
            replayer,
            mqtt_address,
            metrics,
            live_streams: Arc::new(Semaphore::new(MAX_LIVE_STREAMS)),
            operations: OnceLock::new(),
            closing: CancellationToken::new(),
            started: Instant::now(),
        }))
    }
}

impl QueryState {
    /// Takes what carries operations out; the first one stays.
    pub fn set_operations(&self, operations: Arc<dyn Operations>) {
        // There is one for the life of a process.
        let _ = self.0.operations.set(operations);
    }
}

impl Shared {
    /// What carries operations out.
    pub(crate) fn operations(&self) -> Result<&dyn Operations, Problem> {
        let operations = self.operations.get().map(|operations| &**operations);
        operations.ok_or_else(|| Problem::not_found("this process carries out no operations"))
    }

    /// The stream of this name.
    pub(crate) fn stream(&self, name: &str) -> Result<&StreamPlan, Problem> {
        name.parse::<StreamName>().ok().and_then(|name| self.plan.stream(&name)).ok_or_else(|| {
            Problem::not_found(format!(
                "there is no stream `{}`; there are {}",
                crate::params::short(name),
                self.plan.streams.iter().map(|s| s.name.as_str()).collect::<Vec<_>>().join(", ")
            ))
        })
    }

    /// Checks a partition that was asked for.
    pub(crate) fn partition(
        stream: &StreamPlan,
        partition: Partition,
    ) -> Result<Partition, Problem> {
        if (0..stream.partitions).contains(&partition) {
            Ok(partition)
        } else {
            Err(Problem::not_found(format!(
                "`{partition}` is not a partition of `{}`: write 0 to {}",
                stream.name,
                stream.partitions - 1
            )))
        }
    }
}
