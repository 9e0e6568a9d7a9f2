//! What of a resource was valid last, kept in a ConfigMap: it goes on being managed while the resource
//! is not valid.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::ObjectMeta;
use millrace_api::TelemetryPipeline;
use millrace_api::TelemetryPipelineSpec;

use crate::labels;
use crate::names::Names;
use crate::object::Object;
use crate::owned::RELEASE;

/// What the ConfigMap is called, behind the pipeline's name.
pub const NAME: &str = "last-valid";

/// The key in it.
const SPEC: &str = "spec.json";

/// The ConfigMap, with what operator has made it.
///
/// # Errors
/// None for a resource that has been read.
pub fn build(
    names: &Names,
    owner: &OwnerReference,
    spec: &TelemetryPipelineSpec,
    release: &str,
) -> Result<Object, serde_json::Error> {
    Ok(Object::of(&ConfigMap {
        metadata: ObjectMeta {
            name: Some(names.of(NAME)),
            namespace: Some(names.namespace().to_owned()),
            labels: Some(labels::common(names)),
            owner_references: Some(vec![owner.clone()]),
            // The first object of all: whoever has it has been let in.
            annotations: Some(BTreeMap::from([(RELEASE.to_owned(), release.to_owned())])),
            ..ObjectMeta::default()
        },
        data: Some(BTreeMap::from([(SPEC.to_owned(), serde_json::to_string(spec)?)])),
        ..ConfigMap::default()
    }))
}

/// The resource that was valid last, with the identity of the present one. None where it cannot be
/// read, as after a change of versions.
#[must_use]
pub fn read(map: &ConfigMap, metadata: &ObjectMeta) -> Option<TelemetryPipeline> {
    let owner = map.metadata.owner_references.iter().flatten();
    // One of a former pipeline of this name says nothing of this one.
    if !owner.into_iter().any(|owner| Some(&owner.uid) == metadata.uid.as_ref()) {
        return None;
    }
    let spec = serde_json::from_str(map.data.as_ref()?.get(SPEC)?).ok()?;
    Some(TelemetryPipeline { metadata: metadata.clone(), spec, status: None })
}
