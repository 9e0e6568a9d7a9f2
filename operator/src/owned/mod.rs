//! What is known of the objects that pipelines have: kept small, by watching. Of most only who owns
//! which of their fields is kept, since a field that somebody else has changed is no longer ours:
//! that shows drift without their content.

mod fields;
mod workload;

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::DynamicObject;
use kube::core::ApiResource;
use millrace_api::GROUP;
use millrace_api::KIND;
use parking_lot::RwLock;

pub use self::fields::covers;
pub use self::fields::has_replicas;
pub use self::workload::Workload;
use crate::labels;
use crate::material::ROTATE;

/// Who writes objects.
pub const MANAGER: &str = "millrace.dev/operator";

/// Annotation of an object with the hash of what was applied.
pub const APPLIED: &str = "millrace.dev/applied";

/// Annotation of an object with what operator made it, where that counts.
pub const RELEASE: &str = "millrace.dev/release";

/// A kind, as `Deployment.apps` or `Service`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KindName(pub Arc<str>);

impl KindName {
    /// The name of a kind, whatever its version.
    #[must_use]
    pub fn of(kind: &ApiResource) -> Self {
        if kind.group.is_empty() {
            Self(kind.kind.as_str().into())
        } else {
            Self(format!("{}.{}", kind.kind, kind.group).into())
        }
    }
}

/// A pipeline, by its namespace and name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PipelineKey {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
}

impl PipelineKey {
    /// The pipeline of this name in this namespace.
    #[must_use]
    pub fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

/// What is known of an object.
#[derive(Debug, Clone, PartialEq)]
pub struct Known {
    /// Its uid.
    pub uid: Arc<str>,
    /// Its resource version, as a number that grows.
    pub version: u64,
    /// The uid of the pipeline that owns it, if one does.
    pub owner: Option<Arc<str>>,
    /// Hash of what was applied.
    pub applied: Option<Arc<str>>,
    /// What operator made it, where that is written on it.
    pub release: Option<Arc<str>>,
    /// The exchange of what is in it that somebody asks for on it.
    pub rotate: Option<Arc<str>>,
    /// Which of its fields are ours, as `FieldsV1` without owners.
    pub fields: Arc<str>,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// How far its pods are, where it has some.
    pub workload: Option<Workload>,
}

/// The objects of a pipeline, by kind and name.
pub type Objects = BTreeMap<(KindName, Arc<str>), Known>;

/// What is known of the objects of all pipelines.
#[derive(Debug, Default)]
pub struct Owned {
    pipelines: RwLock<HashMap<PipelineKey, Objects>>,
    texts: RwLock<HashSet<Arc<str>>>,
}

impl Owned {
    /// What is known of an object with all of its content; none where it is not ours.
    #[must_use]
    pub fn known_whole(
        &self,
        kind: &KindName,
        object: &DynamicObject,
    ) -> Option<(PipelineKey, Known)> {
        let (pipeline, known) = self.known(&object.metadata)?;
        let workload = Workload::read(kind, &object.data, object.metadata.generation);
        Some((pipeline, Known { workload, ..known }))
    }

    /// What is known of an object with this metadata; none where it is not ours.
    #[must_use]
    pub fn known(&self, metadata: &ObjectMeta) -> Option<(PipelineKey, Known)> {
        let namespace = metadata.namespace.as_deref()?;
        let label = |name: &str| metadata.labels.as_ref()?.get(name).map(String::as_str);
        if label("app.kubernetes.io/managed-by") != Some(labels::MANAGER) {
            return None;
        }
        let owner =
            metadata.owner_references.iter().flatten().find(|owner| {
                owner.kind == KIND && owner.api_version.split('/').next() == Some(GROUP)
            });
        let name = owner.map(|owner| owner.name.as_str()).or_else(|| label(labels::PIPELINE))?;
        let version = metadata.resource_version.as_deref().and_then(|text| text.parse().ok());
        let annotation = |name| metadata.annotations.as_ref().and_then(|all| all.get(name));
        let known = Known {
            uid: metadata.uid.as_deref().unwrap_or_default().into(),
            version: version.unwrap_or_default(),
            owner: owner.map(|owner| self.shared(&owner.uid)),
            applied: annotation(APPLIED).map(|hash| hash.as_str().into()),
            release: annotation(RELEASE).map(|release| self.shared(release)),
            rotate: annotation(ROTATE).map(|asked| asked.as_str().into()),
            fields: self.shared(&fields::ours(metadata)),
            deleting: metadata.deletion_timestamp.is_some(),
            workload: None,
        };
        Some((PipelineKey::new(namespace, name), known))
    }

    /// Takes note of an object. Says whether anything of it is new.
    pub fn insert(
        &self,
        pipeline: &PipelineKey,
        kind: &KindName,
        name: &str,
        mut known: Known,
    ) -> bool {
        let mut pipelines = self.pipelines.write();
        let objects = pipelines.entry(pipeline.clone()).or_default();
        let key = (kind.clone(), Arc::from(name));
        let before = objects.get(&key);
        // What is applied is told by its answer as well as by the watch, in either order.
        let is_older = |before: &Known| before.uid == known.uid && before.version > known.version;
        if before.is_some_and(is_older) {
            return false;
        }
        if known.workload.is_none() {
            known.workload = before.and_then(|before| before.workload.clone());
        }
        // A version alone says nothing new.
        let new = before
            .is_none_or(|before| *before != Known { version: before.version, ..known.clone() });
        objects.insert(key, known);
        new
    }

    /// Forgets an object. Says whether it was known.
    pub fn remove(&self, pipeline: &PipelineKey, kind: &KindName, name: &str) -> bool {
        let mut pipelines = self.pipelines.write();
        let Some(objects) = pipelines.get_mut(pipeline) else { return false };
        let removed = objects.remove(&(kind.clone(), Arc::from(name))).is_some();
        if objects.is_empty() {
            pipelines.remove(pipeline);
        }
        removed
    }

    /// Forgets the objects of a kind in a namespace (none: all) that are not among these, and says
    /// whose they were: what is left after everything has been listed anew.
    pub fn keep(
        &self,
        kind: &KindName,
        namespace: Option<&str>,
        seen: &HashSet<(PipelineKey, Arc<str>)>,
    ) -> HashSet<PipelineKey> {
        let mut changed = HashSet::new();
        let mut pipelines = self.pipelines.write();
        for (pipeline, objects) in pipelines.iter_mut() {
            if namespace.is_some_and(|namespace| *pipeline.namespace != *namespace) {
                continue;
            }
            let before = objects.len();
            objects.retain(|(of, name), _| {
                of != kind || seen.contains(&(pipeline.clone(), Arc::clone(name)))
            });
            if objects.len() != before {
                changed.insert(pipeline.clone());
            }
        }
        pipelines.retain(|_, objects| !objects.is_empty());
        changed
    }

    /// The objects of a pipeline.
    #[must_use]
    pub fn objects(&self, pipeline: &PipelineKey) -> Objects {
        self.pipelines.read().get(pipeline).cloned().unwrap_or_default()
    }

    /// Pipelines that an operator of this release has made something of, and whose pods are not all
    /// as wanted.
    #[must_use]
    pub fn rolling(&self, release: &str) -> Vec<PipelineKey> {
        let is_rolling = |objects: &Objects| {
            let made = objects.values().any(|known| known.release.as_deref() == Some(release));
            let moves = |known: &Known| known.workload.as_ref().is_some_and(|of| !of.is_ready());
            made && objects.values().any(moves)
        };
        let pipelines = self.pipelines.read();
        let rolling = pipelines.iter().filter(|(_, objects)| is_rolling(objects));
        rolling.map(|(pipeline, _)| pipeline.clone()).collect()
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, pipeline: &PipelineKey, kind: &KindName, name: &str) -> Option<Known> {
        let pipelines = self.pipelines.read();
        pipelines.get(pipeline)?.get(&(kind.clone(), Arc::from(name))).cloned()
    }

    /// The same text once, however many objects have it: those of one kind mostly do.
    fn shared(&self, text: &str) -> Arc<str> {
        if let Some(found) = self.texts.read().get(text) {
            return Arc::clone(found);
        }
        let mut texts = self.texts.write();
        // What nobody has any more goes when there is a lot of it.
        if texts.len() >= 4096 && texts.len().is_multiple_of(1024) {
            texts.retain(|text| Arc::strong_count(text) > 1);
        }
        let text: Arc<str> = text.into();
        texts.insert(Arc::clone(&text));
        text
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn deployment(version: &str, ready: i32) -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {
                "name": "race-ingest", "namespace": "factory", "uid": "1",
                "resourceVersion": version, "generation": 1,
                "labels": {
                    "app.kubernetes.io/managed-by": "millrace-operator",
                    "millrace.dev/pipeline": "race",
                },
            },
            "spec": {"replicas": 1},
            "status": {"replicas": 1, "readyReplicas": ready, "updatedReplicas": 1, "observedGeneration": 1},
        }))
        .unwrap()
    }

    #[test]
    fn pipelines_of_a_release_that_are_not_ready_are_found_again() {
        let owned = Owned::default();
        let kind = KindName("Deployment.apps".into());
        let insert = |pipeline: &str, version: &str, release: Option<&str>, ready| {
            let (_, known) = owned.known_whole(&kind, &deployment(version, ready)).unwrap();
            let known = Known { release: release.map(Into::into), ..known };
            owned.insert(&PipelineKey::new("factory", pipeline), &kind, "ingest", known);
        };
        insert("rolls", "1", Some("2"), 0);
        insert("is-ready", "1", Some("2"), 1);
        insert("waits", "1", Some("1"), 0);
        insert("is-older", "1", None, 0);
        assert_eq!(owned.rolling("2"), [PipelineKey::new("factory", "rolls")]);
    }

    #[test]
    fn who_asks_for_an_exchange_on_a_secret_is_noticed_once() {
        let owned = Owned::default();
        let insert = |version: &str, rotate: &str| {
            let mut object = deployment(version, 1);
            let notes = object.metadata.annotations.get_or_insert_default();
            notes.insert("millrace.dev/rotate".to_owned(), rotate.to_owned());
            let (key, known) = owned.known(&object.metadata).unwrap();
            owned.insert(&key, &KindName("Secret".into()), "race-authority", known)
        };
        assert!(insert("1", "a"));
        assert!(!insert("2", "a"));
        assert!(insert("3", "b"));
    }

    #[test]
    fn what_comes_late_does_not_take_the_place_of_what_is_newer() {
        let owned = Owned::default();
        let kind = KindName("Deployment.apps".into());
        let insert = |version: &str, ready| {
            let (key, known) = owned.known_whole(&kind, &deployment(version, ready)).unwrap();
            owned.insert(&key, &kind, "race-ingest", known)
        };
        assert!(insert("9", 0));
        assert!(insert("11", 1));
        assert!(!insert("10", 0));
        assert!(!insert("12", 1));
        let key = PipelineKey::new("factory", "race");
        let known = owned.get(&key, &kind, "race-ingest").unwrap();
        assert!(known.workload.unwrap().is_ready());
        assert_eq!(known.version, 12);
    }
}
