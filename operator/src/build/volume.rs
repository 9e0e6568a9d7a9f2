//! Volumes of a managed Kafka and Postgres, and what becomes of them.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::StatefulSetPersistentVolumeClaimRetentionPolicy;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::api::core::v1::PersistentVolumeClaimSpec;
use k8s_openapi::api::core::v1::VolumeResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::api::ObjectMeta;
use millrace_api::DeletionPolicy;
use millrace_api::StorageSpec;

use crate::labels;
use crate::names::Part;
use crate::pipeline::Pipeline;

/// The name of a pod's own volume.
pub(crate) const NAME: &str = "data";

/// The claim of each pod of a StatefulSet. It cannot change, and so says nothing that could.
pub(crate) fn claim_template(
    pipeline: &Pipeline,
    part: Part,
    storage: &StorageSpec,
) -> PersistentVolumeClaim {
    PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: Some(NAME.to_owned()),
            labels: Some(labels::selector(&pipeline.names, part)),
            ..ObjectMeta::default()
        },
        spec: Some(claim(storage)),
        ..PersistentVolumeClaim::default()
    }
}

/// A volume that one node at a time may write.
pub(crate) fn claim(storage: &StorageSpec) -> PersistentVolumeClaimSpec {
    PersistentVolumeClaimSpec {
        access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
        storage_class_name: storage.class_name.as_ref().map(ToString::to_string),
        resources: Some(VolumeResourceRequirements {
            requests: Some(BTreeMap::from([(
                "storage".to_owned(),
                Quantity(storage.size.to_string()),
            )])),
            ..VolumeResourceRequirements::default()
        }),
        ..PersistentVolumeClaimSpec::default()
    }
}

/// What becomes of the volumes when their StatefulSet goes.
pub(crate) fn retention(pipeline: &Pipeline) -> StatefulSetPersistentVolumeClaimRetentionPolicy {
    let deleted = match pipeline.deletion_policy {
        DeletionPolicy::Delete => "Delete",
        DeletionPolicy::Keep => "Retain",
    };
    StatefulSetPersistentVolumeClaimRetentionPolicy {
        when_deleted: Some(deleted.to_owned()),
        when_scaled: Some("Retain".to_owned()),
    }
}
