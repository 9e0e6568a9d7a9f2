//! What is true of a pipeline, for those who look: computed anew in each pass from what is seen, and
//! written only where it changed.

mod conditions;
mod endpoints;
mod waiting;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Api;
use kube::Client;
use kube::api::DynamicObject;
use kube::api::Patch;
use kube::api::PatchParams;
use kube::core::ApiResource;
use millrace_api::ComponentStatus;
use millrace_api::TelemetryPipeline;
use millrace_api::TelemetryPipelineStatus;
use serde_json::json;

pub use self::conditions::Validity;
pub use self::endpoints::Reached;
pub use self::endpoints::expiry;
pub use self::waiting::Waiting;
pub use self::waiting::worst;
use crate::names::Names;
use crate::names::Part;
use crate::owned::Objects;
use crate::owned::PipelineKey;
use crate::owned::Workload;
use crate::scale::Pace;

/// Who writes the status.
const MANAGER: &str = "millrace.dev/status";

/// Parts whose pods are shown, in this order.
const PARTS: [Part; 6] =
    [Part::Ingest, Part::Workers, Part::Query, Part::Edge, Part::Kafka, Part::Postgres];

/// Why the status cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    /// The API server does not take it.
    #[error("cannot write the status")]
    Write(#[source] kube::Error),
}

/// What is seen of a pipeline.
#[derive(Debug)]
pub struct Seen<'a> {
    /// Names of its objects.
    pub names: &'a Names,
    /// Generation of the resource.
    pub generation: Option<i64>,
    /// Whether it is valid.
    pub validity: Validity,
    /// Whether it is paused.
    pub paused: bool,
    /// Whether its pods are not changed yet, because those of others are.
    pub waits: bool,
    /// Parts that it is to have; none where it was never valid.
    pub parts: Option<Vec<Part>>,
    /// Its objects.
    pub objects: &'a Objects,
    /// Its pods; empty where all is ready.
    pub pods: &'a [Pod],
    /// Why objects could not be applied: a reason and a message.
    pub failure: Option<(&'static str, String)>,
    /// How its workers keep up; none where nobody reads that.
    pub workers: Option<Following>,
    /// How it is reached.
    pub reached: Reached,
    /// Partitions of all streams together.
    pub partitions: Option<i32>,
    /// The edge's certificate.
    pub certificate: Certificate,
}

/// What is known of the certificate that the edge serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Certificate {
    /// Nothing, or there is none.
    Unknown,
    /// When it ends.
    Until(Timestamp),
    /// cert-manager is to make it.
    Awaited {
        /// Name of the Secret that it will be in.
        secret: String,
    },
}

impl From<Option<Timestamp>> for Certificate {
    fn from(end: Option<Timestamp>) -> Self {
        end.map_or(Self::Unknown, Self::Until)
    }
}

/// How workers keep up with what comes in.
#[derive(Debug, Clone)]
pub struct Following {
    /// What is known; none: nothing yet, so that what was said before stays.
    pub pace: Option<Pace>,
    /// What to do where they do not.
    pub advice: String,
}

/// A part and how far its pods are; none where there is nothing of it yet.
#[derive(Debug, Clone)]
pub(crate) struct PartState {
    pub(crate) part: Part,
    pub(crate) object: String,
    pub(crate) workload: Option<Workload>,
}

impl PartState {
    fn is_ready(&self) -> bool {
        self.workload.as_ref().is_some_and(Workload::is_ready)
    }
}

/// The status. `before` is the last one, whose times of transitions are kept.
#[must_use]
pub fn compute(
    seen: &Seen<'_>,
    before: Option<&TelemetryPipelineStatus>,
    now: Timestamp,
) -> TelemetryPipelineStatus {
    let states = states(seen.names, seen.parts.as_deref().unwrap_or_default(), seen.objects);
    let components = PARTS
        .iter()
        .filter_map(|part| states.iter().find(|state| state.part == *part))
        .filter_map(|state| {
            let workload = state.workload.as_ref()?;
            Some(ComponentStatus {
                name: state.part.name().to_owned(),
                replicas: workload.wanted,
                ready: workload.ready,
            })
        });
    TelemetryPipelineStatus {
        observed_generation: seen.generation,
        conditions: conditions::conditions(seen, &states, before, now),
        components: components.collect(),
        partitions: seen.partitions,
        url: seen.reached.url.clone(),
        endpoints: seen.reached.endpoints.clone(),
        secrets: seen.reached.secrets.clone(),
        trust: seen.reached.trust.clone(),
        certificate_expiry: match seen.certificate {
            Certificate::Until(time) => Some(Time(time)),
            Certificate::Unknown | Certificate::Awaited { .. } => None,
        },
    }
}

/// Whether all parts are ready, so that their pods need not be looked at.
#[must_use]
pub fn all_ready(names: &Names, parts: &[Part], objects: &Objects) -> bool {
    states(names, parts, objects).iter().all(PartState::is_ready)
}

/// Writes a status.
///
/// # Errors
/// The API server does not take it.
pub async fn write(
    client: &Client,
    pipeline: &PipelineKey,
    status: &TelemetryPipelineStatus,
) -> Result<(), StatusError> {
    let kind = ApiResource::erase::<TelemetryPipeline>(&());
    // Another version's resource may not be readable as ours.
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &pipeline.namespace, &kind);
    let value = json!({
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": { "name": &*pipeline.name },
        "status": status,
    });
    let parameters = PatchParams::apply(MANAGER).force();
    let written = api.patch_status(&pipeline.name, &parameters, &Patch::Apply(&value)).await;
    match written {
        // It was deleted meanwhile, and its status with it.
        Err(kube::Error::Api(answer)) if answer.code == 404 => Ok(()),
        written => written.map(|_| ()).map_err(StatusError::Write),
    }
}

fn states(names: &Names, parts: &[Part], objects: &Objects) -> Vec<PartState> {
    let state = |part: &Part| {
        let name = names.part(*part);
        let found = objects.iter().find(|((kind, object), _)| {
            if *part == Part::Provision {
                &*kind.0 == "Job.batch" && object.starts_with(&*name)
            } else {
                **object == *name && ["Deployment.apps", "StatefulSet.apps"].contains(&&*kind.0)
            }
        });
        PartState {
            part: *part,
            object: found.map_or(name, |((_, object), _)| object.to_string()),
            workload: found.and_then(|(_, known)| known.workload.clone()),
        }
    };
    parts.iter().map(state).collect()
}
