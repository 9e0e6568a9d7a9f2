//! The `TelemetryPipeline` that is asked, as the API server has it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::Api;
use kube::ResourceExt as _;
use kube::api::DynamicObject;
use kube::api::ListParams;
use kube::core::ApiResource;
use millrace_api::TelemetryPipeline;
use millrace_api::TelemetryPipelineStatus;
use serde_json::Value;

use crate::cluster::AskError;
use crate::cluster::Cluster;
use crate::cluster::GET_PIPELINES;
use crate::cluster::LIST_PIPELINES;
use crate::cluster::is_not_found;
use crate::exit::Exit;
use crate::exit::Failure;

/// A pipeline on a cluster. Its document is kept as it is: another version of the operator may know
/// more of it.
#[derive(Debug, Clone)]
pub(crate) struct Pipeline(pub(crate) DynamicObject);

/// No pipeline, or no single one.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FindError {
    /// The API server refused.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// The cluster does not know the resource.
    #[error(
        "this cluster knows no TelemetryPipelines: install the operator, `helm install millrace charts/millrace --namespace millrace --create-namespace`, or name another cluster by --context"
    )]
    NoDefinition,
    /// There is none.
    #[error("namespace {0} has no TelemetryPipeline: name another one by --namespace")]
    None(String),
    /// There are several, and none is named.
    #[error(
        "namespace {namespace} has several TelemetryPipelines: write {} behind the command",
        or(names)
    )]
    Several {
        /// The namespace.
        namespace: String,
        /// What it has.
        names: Vec<String>,
    },
    /// There is none of this name.
    #[error("namespace {namespace} has no TelemetryPipeline {name}; it has {}", or(names))]
    Unknown {
        /// The namespace.
        namespace: String,
        /// The name.
        name: String,
        /// What it has.
        names: Vec<String>,
    },
}

impl From<FindError> for Failure {
    fn from(error: FindError) -> Self {
        match error {
            FindError::Ask(error) => error.into(),
            FindError::Several { .. } => Exit::Usage.because(error),
            FindError::NoDefinition => Exit::Unavailable.because(error),
            FindError::None(_) | FindError::Unknown { .. } => Exit::NoInput.because(error),
        }
    }
}

impl From<AskError> for Failure {
    fn from(error: AskError) -> Self {
        match error {
            AskError::Forbidden { .. } | AskError::Unknown(_) => Exit::NoPermission.because(error),
            AskError::Unreachable(_) | AskError::Refused { .. } => Exit::Unavailable.because(error),
        }
    }
}

/// The pipeline of this name; without one the only one of the namespace.
pub(crate) async fn find(cluster: &Cluster, name: Option<&str>) -> Result<Pipeline, FindError> {
    let kind = ApiResource::erase::<TelemetryPipeline>(&());
    let api =
        Api::<DynamicObject>::namespaced_with(cluster.client.clone(), &cluster.namespace, &kind);
    if let Some(name) = name {
        match api.get(name).await {
            Ok(object) => return Ok(Pipeline(object)),
            Err(error) if is_not_found(&error) => {}
            Err(error) => return Err(cluster.refused(GET_PIPELINES)(error).into()),
        }
    }
    let list = api.list(&ListParams::default()).await.map_err(|error| {
        if is_not_found(&error) {
            FindError::NoDefinition
        } else {
            cluster.refused(LIST_PIPELINES)(error).into()
        }
    })?;
    only(list.items, name, &cluster.namespace).map(Pipeline)
}

/// The only one, unless another one was looked for.
fn only(
    mut found: Vec<DynamicObject>,
    wanted: Option<&str>,
    namespace: &str,
) -> Result<DynamicObject, FindError> {
    let mut names: Vec<String> = found.iter().map(DynamicObject::name_any).collect();
    names.sort();
    let namespace = namespace.to_owned();
    match (wanted, found.pop()) {
        (_, None) => Err(FindError::None(namespace)),
        (Some(name), _) => Err(FindError::Unknown { namespace, name: name.to_owned(), names }),
        (None, Some(one)) if found.is_empty() => Ok(one),
        (None, Some(_)) => Err(FindError::Several { namespace, names }),
    }
}

impl Pipeline {
    /// Its name.
    pub(crate) fn name(&self) -> String {
        self.0.name_any()
    }

    /// What it declares.
    pub(crate) fn spec(&self) -> &Value {
        &self.0.data["spec"]
    }

    /// A condition of its status.
    pub(crate) fn condition(&self, kind: &str) -> Option<Condition> {
        let status = self.status();
        status.conditions.into_iter().find(|condition| condition.type_ == kind)
    }

    /// Whether anything is made of it.
    pub(crate) fn has_parts(&self) -> bool {
        !self.status().components.is_empty()
    }

    /// Why nobody answers for it, and what to do.
    pub(crate) fn why_silent(&self) -> String {
        let name = self.name();
        let queries = self.status().components.into_iter().find(|part| part.name == "query");
        if queries.is_some_and(|part| part.replicas == 0) {
            return "it has no query pods: write spec.scaling.query.replicas: 1, say".to_owned();
        }
        match self.condition("Ready") {
            None => format!(
                "no operator has looked at it yet: see whether one manages its namespace, and `kubectl describe telemetrypipeline {name}`"
            ),
            Some(Condition { status, reason, message, .. }) if status == "True" => {
                format!("a pod is on its way; Ready: {reason}: {message}")
            }
            Some(Condition { reason, message, .. }) => format!("not Ready: {reason}: {message}"),
        }
    }

    /// What the operator says of it; nothing where it says nothing that is understood.
    fn status(&self) -> TelemetryPipelineStatus {
        serde_json::from_value(self.0.data["status"].clone()).unwrap_or_default()
    }
}

fn or(names: &[String]) -> String {
    match names {
        [] => "none".to_owned(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests;
