//! Runs every `archive` sink of a plan: a task for each stream that it reads.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use millrace_core::with_causes;
use millrace_log::Log;
use millrace_log::StageConfig;
use millrace_log::share::Assigned;
use millrace_log::share::ShareError;
use millrace_log::share::ShareNews;
use millrace_log::share::share;
use millrace_observe::ComponentKind;
use millrace_observe::Observer;
use millrace_observe::State;
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
use crate::archiver::stage_of;
use crate::columns::columns;
use crate::error::ArchiveError;
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
    /// store or the log is unavailable, the sink waits, says why, and goes on by itself. Where the
    /// log is not this process's alone, each stream is archived by one of those who share it.
    ///
    /// # Errors
    /// When an address is none, a Secret cannot be read, or a folder cannot be made.
    pub fn start(
        plan: &Plan,
        log: &Arc<dyn Log>,
        observer: &Arc<Observer>,
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
            store::check_declared(&archive.store, &folders)
                .map_err(|source| StartArchiveError { sink: sink.name.clone(), source })?;
            let memory = Arc::new(Semaphore::new(1));
            let stores: Arc<dyn OpenStores> =
                Arc::new(DeclaredStore::new(archive.store.clone(), Arc::clone(&folders)));
            for name in &sink.from {
                let Some(stream) = plan.stream(name) else {
                    warn!(message = "A sink reads an unknown stream.", sink = sink.name);
                    continue;
                };
                let component =
                    observer.component(ComponentKind::Sink, &sink.name, Some(name.as_str()), None);
                archivers.push(Archiver {
                    sink: Arc::clone(&archive),
                    name: sink.name.clone(),
                    generation: sink.generation,
                    stream: name.clone(),
                    partitions: stream.partitions,
                    shape: Arc::new(shape(stream)),
                    log: Arc::clone(log),
                    is_ours_alone: false,
                    stores: Arc::clone(&stores),
                    memory: Arc::clone(&memory),
                    component,
                    metrics: metrics.archive(&sink.name, name.as_str()),
                    upstream_finished: upstream_finished.cloned(),
                });
            }
        }
        let mut tasks = JoinSet::new();
        for archiver in archivers {
            let (observer, cancel) = (Arc::clone(observer), cancel.clone());
            tasks.spawn(async move { run(archiver, &observer, &cancel).await });
        }
        Ok(Self { tasks })
    }

    /// The stages whose tasks keep how far archives are: a log that several processes share makes
    /// them before [`Self::start`].
    #[must_use]
    pub fn stages(plan: &Plan) -> Vec<StageConfig> {
        let archives = plan.sinks.iter().filter(|s| matches!(s.target, SinkTarget::Archive(_)));
        archives
            .flat_map(|sink| sink.from.iter().map(move |stream| (sink, stream)))
            .map(|(sink, stream)| StageConfig {
                name: stage_of(&sink.name, sink.generation, stream),
                partitions: 1,
            })
            .collect()
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

/// Runs the archive of a stream where it falls to this process: it is with the stream's first
/// partition, and reads all of them.
async fn run(
    held: Archiver,
    observer: &Observer,
    cancel: &CancellationToken,
) -> Result<(), RunArchiveError> {
    let id = held.component.id.clone();
    let is_here = AtomicBool::new(false);
    let tell = |news: ShareNews<'_>| match news {
        ShareNews::Waiting(error) => {
            let reason = with_causes(error);
            warn!(message = "An archive waits for the log.", sink = id.name, error = reason);
            held.component.set(State::Waiting(reason));
        }
        ShareNews::Joined if is_here.load(Ordering::Relaxed) => {}
        ShareNews::Joined | ShareNews::Gone(0) => observer.forget(&id),
        ShareNews::Gone(_) => {}
    };
    let work = |assigned: Assigned| {
        let work = (assigned.partition == 0).then(|| {
            is_here.store(true, Ordering::Relaxed);
            let stream = id.stream.as_deref();
            let component = observer.component(id.kind, &id.name, stream, None);
            let is_ours_alone = assigned.is_ours_alone;
            Archiver { is_ours_alone, component, ..held.clone() }.run(assigned.stop)
        });
        async move {
            match work {
                Some(work) => work.await,
                None => Ok(()),
            }
        }
    };
    let group = stage_of(&held.name, held.generation, &held.stream);
    let streams = [held.stream.clone()];
    let failure = |source: ArchiveError| RunArchiveError {
        sink: held.name.clone(),
        stream: held.stream.to_string(),
        source,
    };
    match share(&*held.log, &group, &streams, cancel, tell, work).await {
        Ok(()) => Ok(()),
        Err(ShareError::Work(error)) => Err(error),
        Err(ShareError::Broken(error)) => Err(failure(error.into())),
        Err(ShareError::Join(error)) => {
            let failure = failure(error.into());
            let reason = with_causes(&failure);
            error!(message = "An archive cannot run.", error = reason);
            held.component.set(State::Failed(reason));
            Err(failure)
        }
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
