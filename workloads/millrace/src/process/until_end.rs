//! Computes everything that is recorded, and ends: for replays and tests. Nothing listens, and no
//! clock has a say in the results.

use std::io::Error as IoError;
use std::path::PathBuf;
use std::sync::Arc;

use millrace_archive::ArchiveSinks;
use millrace_archive::Folders;
use millrace_archive::RunArchiveError;
use millrace_archive::StartArchiveError;
use millrace_engine::Engine;
use millrace_engine::EngineOptions;
use millrace_engine::TaskError;
use millrace_ingest::Acceptor;
use millrace_ingest::FeedError;
use millrace_ingest::FeedProgress;
use millrace_ingest::feed_file;
use millrace_log::ReadLimit;
use millrace_observe::ComponentKind;
use millrace_tables::sink::RunSinkError;
use millrace_tables::sink::SinkContext;
use millrace_tables::sink::run_table_sink;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::exit::Exit;
use crate::exit::Failure;
use crate::process::generations::OpenGenerationsError;
use crate::process::storage::Storage;

/// Recorded messages and the way in that they take.
#[derive(Debug, Clone)]
pub(crate) struct RecordedInput {
    /// The way in.
    pub(crate) route: String,
    /// Lines of `{"topic": …, "payload": …}`.
    pub(crate) file: PathBuf,
}

/// Why the end was not reached.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UntilEndError {
    /// An input is not there.
    #[error("cannot read {file}")]
    Input {
        /// The file.
        file: PathBuf,
        /// Why not.
        source: IoError,
    },
    /// An input cannot be fed.
    #[error("cannot feed {file} to `{route}`")]
    Feed {
        /// The file.
        file: PathBuf,
        /// The way in.
        route: String,
        /// Why not.
        source: FeedError,
    },
    /// A task failed.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// A sink failed.
    #[error(transparent)]
    Sink(#[from] RunSinkError),
    /// An archive cannot start.
    #[error(transparent)]
    StartArchive(#[from] StartArchiveError),
    /// An archive failed.
    #[error(transparent)]
    Archive(#[from] RunArchiveError),
    /// What was made anew cannot be served.
    #[error(transparent)]
    Generations(#[from] OpenGenerationsError),
    /// A part broke off.
    #[error("a part of the pipeline broke off")]
    Broken(#[from] tokio::task::JoinError),
    /// It was stopped.
    #[error(
        "stopped before the end: what was done is kept, and the same command goes on from there"
    )]
    Stopped,
}

impl From<UntilEndError> for Failure {
    fn from(error: UntilEndError) -> Self {
        let exit = match &error {
            UntilEndError::Input { .. } => Exit::NoInput,
            UntilEndError::StartArchive(_) => Exit::Config,
            UntilEndError::Feed { source: FeedError::UnknownRoute { .. }, .. } => Exit::Usage,
            UntilEndError::Feed { source: FeedError::Form { .. }, .. } => Exit::Data,
            UntilEndError::Broken(_) => Exit::Software,
            UntilEndError::Stopped => Exit::TemporaryFailure,
            UntilEndError::Feed { .. }
            | UntilEndError::Task(_)
            | UntilEndError::Sink(_)
            | UntilEndError::Generations(_)
            | UntilEndError::Archive(_) => Exit::Io,
        };
        exit.because(error)
    }
}

/// How far it has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct EndProgress {
    /// What was fed of all inputs.
    pub(crate) fed: FeedProgress,
    /// Bytes of all inputs.
    pub(crate) input_bytes: u64,
    /// Records that tasks and sinks still have to read.
    pub(crate) lag: i64,
}

/// Feeds the inputs, computes, fills tables and, where `archives` has their folders, writes archives
/// until nothing is left.
pub(crate) async fn run(
    storage: &Storage,
    inputs: &[RecordedInput],
    batch: ReadLimit,
    archives: Option<&Folders>,
    progress: &watch::Sender<EndProgress>,
    shutdown: &CancellationToken,
) -> Result<(), UntilEndError> {
    for input in inputs {
        let metadata = std::fs::metadata(&input.file)
            .map_err(|source| UntilEndError::Input { file: input.file.clone(), source })?;
        progress.send_modify(|progress| progress.input_bytes += metadata.len());
    }
    let (input_finished, finished) = watch::channel(false);
    let options = EngineOptions { until_end: true, batch, input_finished: finished, only: None };
    let Storage { log, observer, tables, serving, .. } = storage;
    // Nobody reads meanwhile: what is to be made anew is made alone.
    let rebuilt = serving.pending().await;
    let edition = match rebuilt {
        Some((edition, _)) => {
            serving.look_ahead(&edition);
            edition
        }
        None => serving.served().await,
    };
    let plan = &edition.plan;
    let engine = Engine::start(plan, log, observer, &options, shutdown);
    let mut sinks = JoinSet::new();
    let context = SinkContext::new(Arc::clone(log), Arc::clone(tables), Arc::clone(observer));
    for sink in edition.table_sinks() {
        let context = context.clone();
        let upstream = Some(engine.finished());
        sinks.spawn(run_table_sink(sink, context, upstream, shutdown.clone()));
    }

    let upstream = engine.finished();
    let archives = archives
        .map(|folders| {
            let plan = edition.outward();
            ArchiveSinks::start(&plan, log, observer, folders, Some(&upstream), shutdown)
        })
        .transpose()?;

    let acceptor = Acceptor::new(plan, Arc::clone(log), observer);
    let work = async {
        feed(&acceptor, inputs, progress).await?;
        input_finished.send_replace(true);
        engine.join().await?;
        while let Some(sink) = sinks.join_next().await {
            sink??;
        }
        if let Some(archives) = archives {
            archives.join().await?;
        }
        serving.switch_at_rest().await?;
        Ok(())
    };
    let watching = async {
        loop {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            progress.send_modify(|progress| progress.lag = lag(storage));
        }
    };
    tokio::select! {
        biased;
        result = work => result,
        () = shutdown.cancelled() => Err(UntilEndError::Stopped),
        () = watching => Ok(()),
    }
}

async fn feed(
    acceptor: &Acceptor,
    inputs: &[RecordedInput],
    progress: &watch::Sender<EndProgress>,
) -> Result<(), UntilEndError> {
    let mut before = FeedProgress::default();
    for RecordedInput { route, file } in inputs {
        let mut done = before;
        feed_file(acceptor, route, file, |fed| {
            done = FeedProgress {
                lines: before.lines + fed.lines,
                bytes: before.bytes + fed.bytes,
                refused: before.refused + fed.refused,
            };
            progress.send_modify(|progress| progress.fed = done);
        })
        .await
        .map_err(|source| UntilEndError::Feed {
            file: file.clone(),
            route: route.clone(),
            source,
        })?;
        before = done;
    }
    Ok(())
}

/// What tasks and sinks still have to read.
fn lag(storage: &Storage) -> i64 {
    let parts = storage.observer.components();
    let readers =
        parts.iter().filter(|p| matches!(p.id.kind, ComponentKind::Task | ComponentKind::Sink));
    readers.map(|part| part.lag()).sum()
}
