//! Objects go to the API server, in the order in which they are given, and those that are no longer
//! given go. Nothing is written where nothing has changed.

mod decide;
mod error;

use std::collections::BTreeSet;
use std::sync::Arc;

use kube::Api;
use kube::Client;
use kube::api::DeleteParams;
use kube::api::DynamicObject;
use kube::api::PartialObjectMeta;
use kube::api::Patch;
use kube::api::PatchParams;
use kube::api::Preconditions;
use kube::core::ApiResource;
use kube::core::GroupVersionKind;
use serde_json::Value;
use serde_json::json;
use tracing::info;

use self::decide::Decision;
pub use self::error::ApplyError;
use crate::object::Object;
use crate::owned::APPLIED;
use crate::owned::KindName;
use crate::owned::Known;
use crate::owned::MANAGER;
use crate::owned::Owned;
use crate::owned::PipelineKey;
use crate::pipeline::Kinds;
use crate::rbac;

/// Who has the number of pods while an autoscaler decides it.
const SCALING_MANAGER: &str = "millrace.dev/scaling";

/// Kinds that are never deleted here: their content may be all that is left of something.
const KEPT: [&str; 1] = ["PersistentVolumeClaim"];

/// Where objects go, and whose they are.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// The pipeline.
    pub pipeline: &'a PipelineKey,
    /// Its uid.
    pub uid: &'a str,
    /// What is known of objects.
    pub owned: &'a Owned,
    /// Kinds that the cluster has.
    pub kinds: &'a Kinds,
}

/// What has been written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    /// Objects that were applied.
    pub applied: usize,
    /// Objects that were deleted.
    pub deleted: usize,
}

/// Applies objects in their order, then deletes what is left of former passes.
///
/// # Errors
/// The first object that cannot be applied: those behind it wait for it.
pub async fn apply(
    client: &Client,
    target: Target<'_>,
    objects: Vec<Object>,
) -> Result<Written, ApplyError> {
    let mut written = Written::default();
    let mut made = BTreeSet::new();
    for object in objects {
        made.insert((KindName::of(&object.kind), Arc::from(object.name())));
        if one(client, target, object).await? {
            written.applied += 1;
        }
    }
    let known = target.owned.objects(target.pipeline);
    for ((kind, name), known) in known {
        let ours = known.owner.as_deref() == Some(target.uid) && !known.deleting;
        if ours && !KEPT.contains(&&*kind.0) && !made.contains(&(kind.clone(), Arc::clone(&name))) {
            delete(client, target, &kind, &name, &known).await?;
            written.deleted += 1;
        }
    }
    Ok(written)
}

/// Changes the number of pods of a StatefulSet and nothing else of it, as an autoscaler would. The
/// next time that it is applied the number is ours again.
///
/// # Errors
/// The API server does not take it.
pub async fn scale(
    client: &Client,
    target: Target<'_>,
    name: &str,
    replicas: i32,
) -> Result<Written, ApplyError> {
    let kind = resource("apps", "v1", "StatefulSet", "statefulsets");
    let known = target.owned.get(target.pipeline, &KindName::of(&kind), name);
    let workload = known.filter(|known| !known.deleting).and_then(|known| known.workload);
    if workload.is_none_or(|workload| workload.wanted == replicas) {
        return Ok(Written::default());
    }
    hand_over(&api(client, target.pipeline, &kind), &kind, name, replicas).await?;
    Ok(Written { applied: 1, deleted: 0 })
}

/// Applies one object. Says whether anything was written.
async fn one(client: &Client, target: Target<'_>, mut object: Object) -> Result<bool, ApplyError> {
    let kind = KindName::of(&object.kind);
    let hash = hash(&object.object);
    let annotations = object.object.metadata.annotations.get_or_insert_default();
    annotations.insert(APPLIED.to_owned(), hash.clone());
    let name = object.name().to_owned();
    let api = api(client, target.pipeline, &object.kind);
    let known = target.owned.get(target.pipeline, &kind, &name);
    if known.is_none() {
        is_free(&api, target, &object.kind, &name).await?;
    }
    let value = serde_json::to_value(&object.object)
        .map_err(|source| ApplyError::Write { object: shown(&object.kind, &name), source })?;
    match decide::decide(known.as_ref(), target, &hash, &value) {
        Decision::Nothing => return Ok(false),
        Decision::Wait => {
            return Err(ApplyError::Deleting { object: shown(&object.kind, &name) });
        }
        Decision::HandOverReplicas(replicas) => {
            hand_over(&api, &object.kind, &name, replicas).await?;
        }
        Decision::Apply => {}
    }
    let applied =
        api.patch(&name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(&value)).await;
    let applied = match applied {
        Ok(applied) => applied,
        Err(kube::Error::Api(status)) if status.code == 422 && object.kind.kind == "Job" => {
            // A Job's template never changes: another Job takes its place.
            let parameters = DeleteParams::background();
            let object = shown(&object.kind, &name);
            api.delete(&name, &parameters)
                .await
                .map_err(|source| ApplyError::Delete { object: object.clone(), source })?;
            return Err(ApplyError::Deleting { object });
        }
        Err(source) => {
            return Err(ApplyError::Apply { object: shown(&object.kind, &name), source });
        }
    };
    info!(message = "Applied an object.", object = shown(&object.kind, &name));
    if let Some((pipeline, known)) = target.owned.known_whole(&kind, &applied) {
        target.owned.insert(&pipeline, &kind, &name, known);
    }
    Ok(true)
}

/// Whether a name that none of our objects is known to have is free.
async fn is_free(
    api: &Api<DynamicObject>,
    target: Target<'_>,
    kind: &ApiResource,
    name: &str,
) -> Result<(), ApplyError> {
    let found: Option<PartialObjectMeta<DynamicObject>> = api
        .get_metadata_opt(name)
        .await
        .map_err(|source| ApplyError::Get { object: shown(kind, name), source })?;
    let Some(found) = found else { return Ok(()) };
    match target.owned.known(&found.metadata) {
        // What was read before may not be of it, so the pass begins anew.
        Some((pipeline, known)) if pipeline == *target.pipeline => {
            target.owned.insert(&pipeline, &KindName::of(kind), name, known);
            Err(ApplyError::Unseen { object: shown(kind, name) })
        }
        // It is of nobody, or of another pipeline.
        _ => Err(ApplyError::NameTaken {
            object: shown(kind, name),
            namespace: target.pipeline.namespace.to_string(),
        }),
    }
}

/// Lets somebody else have the number of pods before we let it go: nobody's is 1.
async fn hand_over(
    api: &Api<DynamicObject>,
    kind: &ApiResource,
    name: &str,
    replicas: i32,
) -> Result<(), ApplyError> {
    let value = json!({
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": { "name": name },
        "spec": { "replicas": replicas },
    });
    let parameters = PatchParams::apply(SCALING_MANAGER).force();
    let handed = api.patch(name, &parameters, &Patch::Apply(&value)).await;
    handed.map_err(|source| ApplyError::Apply { object: shown(kind, name), source })?;
    Ok(())
}

async fn delete(
    client: &Client,
    target: Target<'_>,
    kind: &KindName,
    name: &str,
    known: &Known,
) -> Result<(), ApplyError> {
    let Some(resource) = rbac::kind(kind, target.kinds) else { return Ok(()) };
    let parameters = DeleteParams {
        preconditions: Some(Preconditions {
            uid: Some(known.uid.to_string()),
            resource_version: None,
        }),
        ..DeleteParams::background()
    };
    let object = shown(&resource, name);
    match api(client, target.pipeline, &resource).delete(name, &parameters).await {
        Ok(_) => info!(message = "Deleted an object that is no longer needed.", object),
        // It is gone, or it is another one by now.
        Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => {}
        Err(source) => return Err(ApplyError::Delete { object, source }),
    }
    target.owned.remove(target.pipeline, kind, name);
    Ok(())
}

fn api(client: &Client, pipeline: &PipelineKey, kind: &ApiResource) -> Api<DynamicObject> {
    Api::namespaced_with(client.clone(), &pipeline.namespace, kind)
}

fn shown(kind: &ApiResource, name: &str) -> String {
    format!("{} {name}", kind.kind)
}

/// Hash of an object as it is applied.
fn hash(object: &DynamicObject) -> String {
    let text = serde_json::to_value(object).map(|value| canonical(&value)).unwrap_or_default();
    blake3::hash(text.as_bytes()).to_hex()[..32].to_owned()
}

/// A text that is the same for the same content, whatever order maps keep.
fn canonical(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let mut fields: Vec<_> = map.iter().collect();
            fields.sort_by_key(|(key, _)| *key);
            let fields: Vec<String> = fields
                .into_iter()
                .map(|(key, value)| format!("{}:{}", Value::from(key.as_str()), canonical(value)))
                .collect();
            format!("{{{}}}", fields.join(","))
        }
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(canonical).collect();
            format!("[{}]", items.join(","))
        }
        other => other.to_string(),
    }
}

/// A kind as Kubernetes names it.
#[must_use]
pub fn resource(group: &str, version: &str, kind: &str, plural: &str) -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
}

#[cfg(test)]
mod tests;
