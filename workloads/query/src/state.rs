//! What all requests share.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
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
use crate::health::Readiness;
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
    /// The same for those who may not use what operators do.
    pub(crate) openapi_outside: Bytes,
    pub(crate) log: Arc<dyn Log>,
    pub(crate) tables: Option<Arc<dyn TableStore>>,
    pub(crate) observer: Arc<Observer>,
    /// None in a process that only answers probes.
    pub(crate) replayer: Option<Arc<dyn Replayer>>,
    pub(crate) mqtt_address: Option<String>,
    pub(crate) metrics: QueryMetrics,
    pub(crate) rates: Rates,
    pub(crate) live_streams: Arc<Semaphore>,
    pub(crate) operations: OnceLock<Arc<dyn Operations>>,
    pub(crate) readiness: OnceLock<Arc<dyn Readiness>>,
    /// The process finishes what is under way, and is to get nothing more.
    pub(crate) draining: AtomicBool,
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
        Self::with(plan, log, tables, observer, Some(replayer), mqtt_address)
    }

    /// What a process serves that shows nothing of the pipeline: whether it lives and is ready, and
    /// its metrics, by [`probes`](Self::probes).
    #[must_use]
    pub fn of_probes(plan: Arc<Plan>, log: Arc<dyn Log>, observer: Arc<Observer>) -> Self {
        Self::with(plan, log, None, observer, None, None)
    }

    fn with(
        plan: Arc<Plan>,
        log: Arc<dyn Log>,
        tables: Option<Arc<dyn TableStore>>,
        observer: Arc<Observer>,
        replayer: Option<Arc<dyn Replayer>>,
        mqtt_address: Option<String>,
    ) -> Self {
        let metrics = QueryMetrics::register(&observer);
        let openapi = openapi::describe(&plan);
        Self(Arc::new(Shared {
            rates: Rates::new(&plan),
            declared: Declared::new(&plan),
            openapi: openapi.to_string().into(),
            openapi_outside: openapi::outside(openapi).to_string().into(),
            plan,
            log,
            tables,
            observer,
            replayer,
            mqtt_address,
            metrics,
            live_streams: Arc::new(Semaphore::new(MAX_LIVE_STREAMS)),
            operations: OnceLock::new(),
            readiness: OnceLock::new(),
            draining: AtomicBool::new(false),
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

    /// Takes what knows whether the process can do its work; the first one stays. Without it the
    /// process is ready when every part runs and the log accepts.
    pub fn set_readiness(&self, readiness: Arc<dyn Readiness>) {
        // There is one for the life of a process.
        let _ = self.0.readiness.set(readiness);
    }

    /// From now on the process says that it is not ready: it finishes what is under way.
    pub fn drain(&self) {
        self.0.draining.store(true, Ordering::Relaxed);
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
