//! Objects as they are applied: any kind, with what is to be true of each of them.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::DynamicObject;
use kube::api::ObjectMeta;
use kube::core::ApiResource;
use kube::core::GroupVersionKind;
use serde::Serialize;

use crate::labels;
use crate::names::Names;
use crate::names::Part;

/// An object to be applied, and the kind that it is of.
#[derive(Debug, Clone)]
pub struct Object {
    /// Its kind.
    pub kind: ApiResource,
    /// The object itself.
    pub object: DynamicObject,
}

impl Object {
    /// An object of a type of Kubernetes' own.
    ///
    /// # Panics
    /// Never: Kubernetes' types turn into JSON.
    #[must_use]
    pub fn of<K>(object: &K) -> Self
    where
        K: kube::Resource<DynamicType = ()> + Serialize,
    {
        let kind = ApiResource::erase::<K>(&());
        let mut value = serde_json::to_value(object).expect("a typed object is JSON");
        value["apiVersion"] = kind.api_version.clone().into();
        value["kind"] = kind.kind.clone().into();
        let object = serde_json::from_value(value).expect("an object has metadata");
        Self { kind, object }
    }

    /// An object of a kind that is not Kubernetes' own, with its `spec`.
    #[must_use]
    #[allow(clippy::needless_pass_by_value, reason = "it becomes the object's")]
    pub fn custom(kind: &GroupVersionKind, metadata: ObjectMeta, spec: serde_json::Value) -> Self {
        let kind = ApiResource::from_gvk(kind);
        let mut object = DynamicObject::new("", &kind).data(serde_json::json!({ "spec": spec }));
        object.metadata = metadata;
        Self { kind, object }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.object.metadata.name.as_deref().unwrap_or_default()
    }
}

/// Metadata of an object of a part: its name, the part's labels, and the pipeline as its owner.
#[must_use]
pub fn metadata(names: &Names, owner: &OwnerReference, part: Part, name: String) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: Some(names.namespace().to_owned()),
        labels: Some(labels::recommended(names, part)),
        owner_references: Some(vec![owner.clone()]),
        ..ObjectMeta::default()
    }
}
