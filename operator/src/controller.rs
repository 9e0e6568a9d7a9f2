//! The controller: watches pipelines and what they depend on, and passes over those that something has
//! happened to.

use std::collections::HashMap;
use std::collections::HashSet;
use std::collections::hash_map::Entry;
use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use futures::StreamExt as _;
use futures::channel::mpsc::UnboundedReceiver;
use futures::stream;
use futures::stream::BoxStream;
use kube::Api;
use kube::Resource as _;
use kube::api::ObjectMeta;
use kube::core::DeserializeGuard;
use kube::core::error_boundary::InvalidObject;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::applier;
use kube::runtime::controller::Action;
use kube::runtime::controller::Config;
use kube::runtime::controller::Error;
use kube::runtime::controller::ReconcileRequest;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::reflector::store::Writer;
use kube::runtime::watcher;
use kube::runtime::watcher::Event;
use millrace_api::TelemetryPipeline;
use millrace_core::with_causes;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tracing::debug;
use tracing::info;
use tracing::warn;

use crate::context::Context;
use crate::discover;
use crate::owned::PipelineKey;
use crate::pipeline::Kinds;
use crate::rbac;
use crate::rbac::Watch;
use crate::reasons;
use crate::reconcile::PassError;
use crate::reconcile::pass;
use crate::scale;
use crate::watch;
use crate::watch::KindWatch;

/// Time between two looks at which kinds the cluster has.
const DISCOVERY: Duration = Duration::from_secs(30);

/// Time to the next attempt where something is only waited for.
const SHORTLY: Duration = Duration::from_secs(2);

/// Pipelines of one answer.
const PAGE: u32 = 100;

/// A pipeline, readable or not.
type Guard = DeserializeGuard<TelemetryPipeline>;

/// What the controller is told.
pub struct Settings {
    /// Namespaces that are looked after; empty: all.
    pub namespaces: Vec<String>,
    /// Passes at once.
    pub concurrency: u16,
}

/// Why the controller cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum ControllerError {
    /// Which kinds the cluster has is not known.
    #[error("cannot ask the API server which kinds it has")]
    Discover(#[source] kube::Error),
}

/// Works until it is told to end, and finishes the passes that it has begun.
///
/// # Errors
/// It cannot begin.
pub async fn run(
    context: Arc<Context>,
    settings: Settings,
    triggers: UnboundedReceiver<PipelineKey>,
    end: CancellationToken,
) -> Result<(), ControllerError> {
    // Watches outlive passes: these read what the watches know.
    let stop = CancellationToken::new();
    let _stops = stop.clone().drop_guard();
    let kinds = discover::discover(&context.client).await.map_err(ControllerError::Discover)?;
    *context.kinds.write() = kinds.clone();
    let mut listed = Vec::new();
    for (kind, watch) in rbac::kinds() {
        listed.extend(start(&context, &settings, &kind, watch, &stop));
    }
    let optional = Optional::start(&context, &settings, kinds, &stop, &mut listed);
    for listed in listed {
        tokio::select! {
            biased;
            () = end.cancelled() => return Ok(()),
            // A watch that ends before has been told to.
            _ = listed => {}
        }
    }
    let rolling = context.owned.rolling(&context.release);
    context.turns.lock().resume(rolling, Instant::now());
    info!(message = "The cluster is known.");
    context.health.set_ready(true);

    let store = Writer::<Guard>::default();
    let reader = store.as_reader();
    let pipelines = pipelines(Arc::clone(&context), namespaces(&settings), store, stop.clone());
    let queue = triggers
        .map(|key| {
            let found: ObjectRef<Guard> = ObjectRef::new(&key.name).within(&key.namespace);
            Ok::<_, Infallible>(ReconcileRequest::from(found))
        })
        .take_until(end.clone().cancelled_owned());
    let passes = applier(
        |guard, context| Box::pin(reconcile(guard, context)),
        error_policy,
        Arc::clone(&context),
        reader,
        queue,
        Config::default().concurrency(settings.concurrency),
    );
    let passes = passes.for_each(async |passed| match passed {
        Ok((pipeline, _)) => debug!(message = "Passed.", %pipeline),
        Err(Error::ReconcilerFailed(error, pipeline)) => {
            if error.reason() != reasons::WAITING {
                warn!(message = "Failed to pass.", %pipeline, error = with_causes(&error));
            }
        }
        // It was deleted meanwhile.
        Err(Error::ObjectNotFound(_)) => {}
        Err(error) => warn!(message = "Failed to pass.", error = with_causes(&error)),
    });
    let scaler = tokio::spawn(scale::run(Arc::clone(&context), stop.clone()));
    let optional = tokio::spawn(optional.refresh(context, settings, stop.clone()));
    let pipelines = tokio::spawn(pipelines);
    passes.await;
    stop.cancel();
    for task in [scaler, optional, pipelines] {
        // A task that panicked has said so.
        let _ = task.await;
    }
    Ok(())
}

async fn reconcile(guard: Arc<Guard>, context: Arc<Context>) -> Result<Action, PassError> {
    let began = Instant::now();
    let key = key(&guard);
    let of = Arc::clone(&context);
    let whose = key.clone();
    // On a task of its own: plans are made on all processors.
    let passed = tokio::spawn(async move { Box::pin(pass(&of, &whose, &guard)).await }).await;
    let passed = passed.unwrap_or_else(|error| Err(PassError::Express(error.into())));
    let metrics = &context.health.metrics;
    let seconds = began.elapsed().as_secs_f64();
    match passed {
        Ok(passed) => {
            context.succeeded(&key);
            metrics.pass(passed.result, passed.reason, seconds);
            Ok(passed.next)
        }
        Err(error) => {
            metrics.pass("error", error.reason(), seconds);
            if let Some(source) = error.api_error() {
                metrics.api_error(error.reason(), source);
            }
            Err(error)
        }
    }
}

#[allow(clippy::needless_pass_by_value, reason = "as the runtime calls it")]
fn error_policy(guard: Arc<Guard>, error: &PassError, context: Arc<Context>) -> Action {
    if error.reason() == reasons::WAITING {
        return Action::requeue(SHORTLY);
    }
    Action::requeue(context.failed(&key(&guard)))
}

fn key(guard: &Guard) -> PipelineKey {
    let metadata = guard.meta();
    PipelineKey::new(
        metadata.namespace.as_deref().unwrap_or_default(),
        metadata.name.as_deref().unwrap_or_default(),
    )
}

/// Starts watches of a kind, one in each namespace.
fn start(
    context: &Arc<Context>,
    settings: &Settings,
    kind: &kube::core::ApiResource,
    watch: Watch,
    stop: &CancellationToken,
) -> Vec<oneshot::Receiver<()>> {
    let namespaces = namespaces(settings);
    let started = namespaces.into_iter().map(|namespace| {
        let (listed, receiver) = oneshot::channel();
        let of = KindWatch { kind: kind.clone(), watch, namespace };
        tokio::spawn(watch::run(Arc::clone(context), of, listed, stop.clone()));
        receiver
    });
    started.collect()
}

fn namespaces(settings: &Settings) -> Vec<Option<String>> {
    if settings.namespaces.is_empty() {
        return vec![None];
    }
    settings.namespaces.iter().cloned().map(Some).collect()
}

/// Watches of kinds that a cluster may have.
struct Optional {
    kinds: Kinds,
    running: HashMap<String, CancellationToken>,
}

impl Optional {
    fn start(
        context: &Arc<Context>,
        settings: &Settings,
        kinds: Kinds,
        stop: &CancellationToken,
        listed: &mut Vec<oneshot::Receiver<()>>,
    ) -> Self {
        let mut optional = Self { kinds, running: HashMap::new() };
        listed.extend(optional.follow(context, settings, stop));
        optional
    }

    /// Starts and stops watches.
    fn follow(
        &mut self,
        context: &Arc<Context>,
        settings: &Settings,
        stop: &CancellationToken,
    ) -> Vec<oneshot::Receiver<()>> {
        let wanted: HashMap<String, _> = discover::resources(&self.kinds)
            .into_iter()
            .map(|kind| (format!("{}/{}", kind.api_version, kind.kind), kind))
            .collect();
        self.running.retain(|name, running| {
            let keep = wanted.contains_key(name);
            if !keep {
                running.cancel();
            }
            keep
        });
        let mut listed = Vec::new();
        for (name, kind) in wanted {
            if let Entry::Vacant(entry) = self.running.entry(name) {
                let stop = entry.insert(stop.child_token());
                listed.extend(start(context, settings, &kind, Watch::Metadata, stop));
            }
        }
        listed
    }

    /// Looks again and again which kinds there are.
    async fn refresh(mut self, context: Arc<Context>, settings: Settings, stop: CancellationToken) {
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = tokio::time::sleep(DISCOVERY) => {}
            }
            match discover::discover(&context.client).await {
                Ok(kinds) if kinds != self.kinds => {
                    info!(message = "The cluster has other kinds than before.", ?kinds);
                    self.kinds = kinds.clone();
                    for listed in self.follow(&context, &settings, &stop) {
                        tokio::select! {
                            biased;
                            () = stop.cancelled() => return,
                            _ = listed => {}
                        }
                    }
                    *context.kinds.write() = kinds;
                    for pipeline in context.pipelines() {
                        context.trigger(&pipeline);
                    }
                }
                Ok(_) => {}
                Err(error) => {
                    warn!(message = "Failed to ask for kinds.", error = with_causes(&error));
                }
            }
        }
    }
}

/// What happened to pipelines of one namespace, or all.
enum Change {
    Seen(Box<Guard>),
    Gone(PipelineKey),
}

/// Keeps the store of pipelines, and asks for a pass where one has changed.
async fn pipelines(
    context: Arc<Context>,
    namespaces: Vec<Option<String>>,
    mut store: Writer<Guard>,
    stop: CancellationToken,
) {
    let streams = namespaces.into_iter().map(|namespace| changes(&context, namespace.as_deref()));
    let changes = stream::select_all(streams).take_until(stop.cancelled_owned());
    let mut changes = pin!(changes);
    // The store is ready at once: of who is not in it yet, nobody speaks.
    store.apply_watcher_event(&Event::Init);
    store.apply_watcher_event(&Event::InitDone);
    let mut versions = HashMap::new();
    while let Some(change) = changes.next().await {
        match change {
            Change::Seen(guard) => {
                let key = key(&guard);
                let metadata = guard.meta();
                let version = (
                    metadata.uid.clone(),
                    metadata.generation,
                    metadata.deletion_timestamp.is_some(),
                );
                store.apply_watcher_event(&Event::Apply(*guard));
                if versions.get(&key) != Some(&version) {
                    versions.insert(key.clone(), version);
                    context.add(&key);
                    context.trigger(&key);
                }
            }
            Change::Gone(key) => {
                versions.remove(&key);
                let metadata = ObjectMeta {
                    name: Some(key.name.to_string()),
                    namespace: Some(key.namespace.to_string()),
                    ..ObjectMeta::default()
                };
                // Of what is deleted only the name counts.
                let gone = DeserializeGuard(Err(InvalidObject { error: String::new(), metadata }));
                store.apply_watcher_event(&Event::Delete(gone));
                context.forget(&key);
            }
        }
    }
}

/// What happens to the pipelines of a namespace, or all.
fn changes(context: &Arc<Context>, namespace: Option<&str>) -> BoxStream<'static, Change> {
    let client = context.client.clone();
    let api: Api<Guard> = match namespace {
        Some(namespace) => Api::namespaced(client, namespace),
        None => Api::all(client),
    };
    let events = watcher(api, watcher::Config::default().page_size(PAGE))
        .default_backoff()
        .modify(|guard| guard.meta_mut().managed_fields = None);
    let state = (HashSet::new(), HashSet::new());
    events
        .scan(state, |(known, seen), event| {
            let changes = match event {
                Ok(Event::Init) => {
                    seen.clear();
                    Vec::new()
                }
                Ok(Event::InitApply(guard)) => {
                    seen.insert(key(&guard));
                    vec![Change::Seen(Box::new(guard))]
                }
                Ok(Event::InitDone) => {
                    let gone = known.difference(seen).cloned().map(Change::Gone).collect();
                    *known = std::mem::take(seen);
                    gone
                }
                Ok(Event::Apply(guard)) => {
                    known.insert(key(&guard));
                    vec![Change::Seen(Box::new(guard))]
                }
                Ok(Event::Delete(guard)) => {
                    known.remove(&key(&guard));
                    vec![Change::Gone(key(&guard))]
                }
                Err(error) => {
                    warn!(message = "Failed to watch pipelines.", error = with_causes(&error));
                    Vec::new()
                }
            };
            futures::future::ready(Some(stream::iter(changes)))
        })
        .flatten()
        .boxed()
}
