//! Watches: what changes asks for a pass over the pipeline that it is of.

use std::collections::HashSet;
use std::fmt::Debug;
use std::pin::pin;
use std::sync::Arc;

use futures::StreamExt as _;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use kube::Client;
use kube::Resource;
use kube::api::DynamicObject;
use kube::api::PartialObjectMeta;
use kube::core::ApiResource;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher;
use kube::runtime::watcher::Event;
use millrace_core::with_causes;
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::context::Context;
use crate::dereference::wanted::WantedKind;
use crate::labels;
use crate::owned::KindName;
use crate::owned::Known;
use crate::owned::PipelineKey;
use crate::rbac::Watch;

/// Objects of one answer: few, since each is large while it is read.
const PAGE: u32 = 100;

/// Objects of one kind in a namespace or all of them.
pub struct KindWatch {
    /// The kind.
    pub kind: ApiResource,
    /// How it is watched.
    pub watch: Watch,
    /// The namespace; none: all.
    pub namespace: Option<String>,
}

/// An object of a namespace or all of them, by metadata or whole.
pub(crate) fn api<K>(client: &Client, namespace: Option<&str>, kind: &K::DynamicType) -> Api<K>
where
    K: Resource<Scope = kube::core::DynamicResourceScope>,
{
    match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, kind),
        None => Api::all_with(client.clone(), kind),
    }
}

/// Watches a kind until it is told to end. `listed` hears when all of it has been seen once.
pub async fn run(
    context: Arc<Context>,
    of: KindWatch,
    listed: oneshot::Sender<()>,
    end: CancellationToken,
) {
    let owned = Arc::clone(&context.owned);
    let kind = KindName::of(&of.kind);
    if of.watch == Watch::Whole {
        let api: Api<DynamicObject> = api(&context.client, of.namespace.as_deref(), &of.kind);
        let read = |object: &DynamicObject| owned.known_whole(&kind, object);
        follow(&context, &of, &kind, api, read, listed, end).await;
    } else {
        let api: Api<PartialObjectMeta<DynamicObject>> =
            api(&context.client, of.namespace.as_deref(), &of.kind);
        let read = |object: &PartialObjectMeta<DynamicObject>| owned.known(&object.metadata);
        follow(&context, &of, &kind, api, read, listed, end).await;
    }
}

async fn follow<K>(
    context: &Context,
    of: &KindWatch,
    kind: &KindName,
    api: Api<K>,
    read: impl Fn(&K) -> Option<(PipelineKey, Known)>,
    listed: oneshot::Sender<()>,
    end: CancellationToken,
) where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let mut settings = watcher::Config::default().page_size(PAGE);
    if of.watch != Watch::Named {
        let ours = format!("app.kubernetes.io/managed-by={}", labels::MANAGER);
        settings = settings.labels(&ours);
    }
    let events = watcher(api, settings).default_backoff().take_until(end.cancelled_owned());
    let mut events = pin!(events);
    let mut listed = Some(listed);
    let mut seen = HashSet::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => seen = HashSet::new(),
            Ok(Event::InitApply(object)) => {
                let name: Arc<str> = object.meta().name.as_deref().unwrap_or_default().into();
                if let Some((pipeline, known)) = read(&object) {
                    let new = context.owned.insert(&pipeline, kind, &name, known);
                    // At the first time everything is looked at anyway.
                    if new && listed.is_none() {
                        context.trigger(&pipeline);
                    }
                    seen.insert((pipeline, name));
                } else if listed.is_none() {
                    trigger_who_names(context, of, object.meta());
                }
            }
            Ok(Event::InitDone) => {
                for pipeline in context.owned.keep(kind, of.namespace.as_deref(), &seen) {
                    context.trigger(&pipeline);
                }
                seen = HashSet::new();
                if let Some(listed) = listed.take() {
                    // Who waited for it may have ended.
                    let _ = listed.send(());
                }
            }
            Ok(Event::Apply(object)) => {
                let name = object.meta().name.as_deref().unwrap_or_default();
                match read(&object) {
                    Some((pipeline, known)) => {
                        if context.owned.insert(&pipeline, kind, name, known) {
                            context.trigger(&pipeline);
                        }
                    }
                    None => trigger_who_names(context, of, object.meta()),
                }
            }
            Ok(Event::Delete(object)) => {
                let name = object.meta().name.as_deref().unwrap_or_default();
                if let Some((pipeline, _)) = read(&object) {
                    context.owned.remove(&pipeline, kind, name);
                    context.trigger(&pipeline);
                }
                trigger_who_names(context, of, object.meta());
            }
            Err(error) => {
                let kind = &*kind.0;
                warn!(message = "Failed to watch objects.", kind, error = with_causes(&error));
            }
        }
    }
}

fn trigger_who_names(context: &Context, of: &KindWatch, metadata: &ObjectMeta) {
    if of.watch != Watch::Named {
        return;
    }
    let kind = if of.kind.kind == "Secret" { WantedKind::Secret } else { WantedKind::ConfigMap };
    let namespace = metadata.namespace.as_deref().unwrap_or_default();
    let name = metadata.name.as_deref().unwrap_or_default();
    for pipeline in context.named.by(namespace, kind, name) {
        context.trigger(&pipeline);
    }
}
