//! Runs every `archive` sink of a plan: a task for each stream that it reads.

use std::sync::Arc;

use millrace_log::Log;
use millrace_observe::ComponentKind;
use millrace_observe::Observer;
use millrace_plan::Plan;
use millrace_plan::model::SinkTarget;
use millrace_plan::model::StreamOrigin;
use millrace_plan::model::StreamPlan;
use tokio::sync::Semaphore;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::error;
use tracing::warn;

use crate::archiver::Archiver;
use crate::columns::columns;
use crate::error::RunArchiveError;
use crate::error::StartArchiveError;
use crate::folders::Folders;
use crate::metrics::Metrics;
use crate::parquet::Content;
use crate::parquet::Shape;
use crate::store;
use crate::store::DeclaredStore;
use crate::store::OpenStores;

/// The running `archive` sinks of a plan.
pub struct ArchiveSinks {
    tasks: JoinSet<Result<(), RunArchiveError>>,
}

impl ArchiveSinks {
    /// Archives until `cancel` is cancelled, or, where `upstream_finished` is given, until it has
    /// become `true` and everything before is written. Streams must exist in the log. While a
    /// store or the log is unavailable, the sink waits, says why, and goes on by itself.
    ///
    /// # Errors
    /// When an address is none, a Secret cannot be read, or a folder cannot be made.
    pub fn start(
        plan: &Plan,
        log: &Arc<dyn Log>,
        observer: &Observer,
        folders: &Folders,
        upstream_finished: Option<&watch::Receiver<bool>>,
        cancel: &CancellationToken,
    ) -> Result<Self, StartArchiveError> {
        store::choose_tls();
        store::began();
        let metrics = observer.once(|| Metrics::register(observer));
        let folders = Arc::new(folders.clone());
        let mut archivers = Vec::new();
        for sink in &plan.sinks {
            let SinkTarget::Archive(archive) = &sink.target else { continue };
            let archive = Arc::new(archive.clone());
            store::check_declared(&archive, &folders)
                .map_err(|source| StartArchiveError { sink: sink.name.clone(), source })?;
            let memory = Arc::new(Semaphore::new(1));
            let stores: Arc<dyn OpenStores> =
                Arc::new(DeclaredStore::new(Arc::clone(&archive), Arc::clone(&folders)));
            for name in &sink.from {
                let Some(stream) = plan.stream(name) else {
                    warn!(message = "A sink reads an unknown stream.", sink = sink.name);
                    continue;
                };
                let component = ComponentKind::Sink;
                archivers.push(Archiver {
                    sink: Arc::clone(&archive),
                    name: sink.name.clone(),
                    generation: sink.generation,
                    stream: name.clone(),
                    partitions: stream.partitions,
                    shape: Arc::new(shape(stream)),
                    log: Arc::clone(log),
                    stores: Arc::clone(&stores),
                    memory: Arc::clone(&memory),
                    component: observer.component(component, &sink.name, Some(name.as_str()), None),
                    metrics: metrics.archive(&sink.name, name.as_str()),
                    upstream_finished: upstream_finished.cloned(),
                });
            }
        }
        let mut tasks = JoinSet::new();
        for archiver in archivers {
            tasks.spawn(archiver.run(cancel.clone()));
        }
        Ok(Self { tasks })
    }

    /// Waits until all have ended.
    ///
    /// # Errors
    /// When one cannot go on; the others have come to their end all the same.
    pub async fn join(mut self) -> Result<(), RunArchiveError> {
        let mut result = Ok(());
        while let Some(ended) = self.tasks.join_next().await {
            match ended {
                Ok(ended) => result = result.and(ended),
                Err(error) => error!(message = "An archive broke off.", %error),
            }
        }
        result
    }
}

fn shape(stream: &StreamPlan) -> Shape {
    match &stream.origin {
        StreamOrigin::Ingested(ingested) => {
            let schema = ingested.schema.as_ref();
            Shape::new(Content::Json, schema.map_or_else(Vec::new, |s| columns(s.source())))
        }
        StreamOrigin::Derived { .. } => Shape::new(Content::Json, Vec::new()),
        StreamOrigin::DeadLetters => Shape::new(Content::Bytes, Vec::new()),
    }
}
