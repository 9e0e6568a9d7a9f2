//! The service account of all pods of a pipeline. It has no rights and no token: it says to others,
//! such as a cloud's Workload Identity, whose pods they are.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::ObjectMeta;

use crate::build::config::shared_metadata;
use crate::names::Names;
use crate::pipeline::Pipeline;

/// Its name.
pub(crate) fn name(names: &Names) -> String {
    names.of("pods")
}

/// The service account.
pub(crate) fn build_account(pipeline: &Pipeline) -> ServiceAccount {
    let Pipeline { names, placement, .. } = pipeline;
    let annotations: BTreeMap<String, String> = placement
        .service_account_annotations
        .iter()
        .map(|(key, value)| (key.clone(), value.to_string()))
        .collect();
    ServiceAccount {
        metadata: ObjectMeta {
            annotations: (!annotations.is_empty()).then_some(annotations),
            ..shared_metadata(pipeline, name(names))
        },
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}
