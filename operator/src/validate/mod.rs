//! From a resource and what it names to a [`Pipeline`], or all that is wrong. Pure.

mod cluster;
mod document;
mod images;
mod kinds;
mod parts;
mod problem;
mod references;
mod servers;
mod ways;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::Resource as _;
use kube::api::ObjectMeta;
use millrace_api::ExposureMode;
use millrace_api::TelemetryPipeline;
use millrace_plan::Plan;
use millrace_plan::model::SinkTarget;

pub use self::problem::Problem;
use crate::dereference::References;
use crate::dereference::wanted::Reader;
use crate::labels;
use crate::material::Material;
use crate::material::MaterialError;
use crate::names::Names;
use crate::names::Part;
use crate::object::Object;
use crate::outward::Outward;
use crate::pipeline::Images;
use crate::pipeline::Kinds;
use crate::pipeline::Log;
use crate::pipeline::NamedSecret;
use crate::pipeline::Pipeline;
use crate::pipeline::Replicas;
use crate::pipeline::Scaled;
use crate::pipeline::Tables;
use crate::pipeline::WorkerReplicas;
use crate::pipeline::Workers;

/// A valid pipeline.
#[derive(Debug, Clone)]
pub struct Validated {
    /// The pipeline.
    pub pipeline: Pipeline,
    /// What it gets otherwise than it asks for.
    pub notes: Vec<String>,
    /// Objects that are made of others' and come before all that builders make.
    pub objects: Vec<Object>,
    /// Partitions of all streams together.
    pub partitions: i32,
}

/// What has to be known of a pipeline to make its passwords and certificates.
#[derive(Debug)]
pub struct MaterialNeeds<'a> {
    /// Names of its objects.
    pub names: &'a Names,
    /// The log.
    pub log: &'a Log,
    /// The tables.
    pub tables: Option<&'a Tables>,
    /// How it is reached.
    pub exposure: &'a millrace_api::ExposureSpec,
}

/// Why there is no pipeline.
#[derive(Debug, thiserror::Error)]
pub enum ValidateError {
    /// The resource is wrong.
    #[error("the resource is not valid")]
    Invalid(Vec<Problem>),
    /// Passwords and certificates cannot be made.
    #[error(transparent)]
    Material(#[from] MaterialError),
    /// The resource cannot be written for pods.
    #[error("cannot write the resource for pods; report this")]
    Document(#[from] serde_yaml_ng::Error),
}

/// What is the same for all pipelines of a cluster.
#[derive(Debug, Clone)]
pub struct Environment<'a> {
    /// Images of the installation.
    pub images: &'a Images,
    /// Kinds that the cluster has.
    pub kinds: &'a Kinds,
}

/// Checks a resource, and resolves all that it leaves open. `material` makes passwords and
/// certificates, once all else is found valid.
///
/// # Errors
/// All that is wrong.
pub fn validate(
    resource: &TelemetryPipeline,
    found: &References,
    environment: &Environment<'_>,
    material: impl FnOnce(&MaterialNeeds<'_>) -> Result<Material, MaterialError>,
) -> Result<Validated, ValidateError> {
    let spec = &resource.spec;
    let name = resource.metadata.name.as_deref().unwrap_or_default();
    let namespace = resource.metadata.namespace.as_deref().unwrap_or_default();
    let names = Names::new(namespace, name);
    let problems = cluster::files(spec);
    if !problems.is_empty() {
        return Err(ValidateError::Invalid(problems));
    }
    let problems = references::missing(&names, &found.wanted, found);
    if !problems.is_empty() {
        return Err(ValidateError::Invalid(problems));
    }
    let plan = millrace_plan::plan_with(resource, &|name, key| found.text(name, key)).map_err(
        |errors| ValidateError::Invalid(errors.into_iter().map(Problem::from).collect()),
    )?;

    let mut notes = Vec::new();
    let log = servers::log(&names, &spec.broker, &spec.resources);
    let tables =
        has_tables(&plan).then(|| servers::tables(&names, &spec.database, &spec.resources));
    let mut secrets = references::secrets(&found.wanted, found, tables.is_some());
    let mut objects = Vec::new();
    let owner = resource.controller_owner_ref(&()).unwrap_or_default();
    if let Some(strimzi) = &spec.broker.strimzi
        && let Some(user) = found.secret(&strimzi.user)
    {
        let secret = copied(&names, &owner, servers::login(strimzi, user));
        let readers = Reader::All.parts().iter().copied().collect();
        let login = NamedSecret { hash: user.hash(), readers };
        secrets.insert(names.of(servers::KAFKA_LOGIN), login);
        objects.push(Object::of(&secret));
    }
    let material = material(&MaterialNeeds {
        names: &names,
        log: &log,
        tables: tables.as_ref(),
        exposure: &spec.exposure,
    })?;
    let document = document::document(name, spec)?;
    let ways_in = ways::ways_in(&plan);
    let postgres_version = match &tables {
        Some(Tables::Managed(managed)) => Some(managed.spec.version),
        _ => None,
    };
    let workers = workers(resource, &plan, found, environment.kinds, &mut notes);
    notes.extend(kinds::missing(&names, spec, environment.kinds));
    let pipeline = Pipeline {
        ingest: ways::has_ingest(&plan, &ways_in).then(|| ingest(resource, &plan, &mut notes)),
        query: query(resource, &workers, &mut notes),
        workers,
        edge: (spec.exposure.mode != ExposureMode::None).then(|| Scaled {
            replicas: parts::replicas(spec.scaling.edge.as_ref()),
            resources: parts::resources(Part::Edge, spec.resources.edge.as_ref()),
        }),
        outward: Outward::of(&plan),
        exposure: spec.exposure.clone(),
        placement: spec.placement.clone(),
        images: images::images(environment.images, &spec.images, postgres_version),
        config_maps: references::config_maps(&found.wanted, found),
        kinds: environment.kinds.clone(),
        deletion_policy: spec.deletion_policy,
        names,
        owner,
        document,
        ways_in,
        log,
        tables,
        secrets,
        material,
    };
    let partitions = plan.streams.iter().map(|stream| stream.partitions).sum();
    Ok(Validated { pipeline, notes, objects, partitions })
}

fn has_tables(plan: &Plan) -> bool {
    plan.sinks.iter().any(|sink| matches!(sink.target, SinkTarget::Table(_)))
}

fn ingest(resource: &TelemetryPipeline, plan: &Plan, notes: &mut Vec<String>) -> Scaled {
    let spec = &resource.spec;
    let mut replicas = parts::replicas(spec.scaling.ingest.as_ref());
    if Outward::of(plan).subscribes {
        // A session that another broker keeps for a pod outlives it, so their number is fixed.
        if let Replicas::ByProcessor { min, .. } = replicas {
            notes.push(format!(
                "spec.scaling.ingest.max has no effect where ingest subscribes at another broker, \
                 which keeps a session for each pod: there are {min}; write replicas"
            ));
            replicas = Replicas::Fixed(min);
        }
        if ways::repeats_for_each_pod(plan)
            && let Replicas::Fixed(asked) = replicas
            && asked > 1
        {
            notes.push(format!(
                "spec.scaling.ingest asks for {asked} pods and there is 1: without sharedGroup each \
                 would get every message of the other broker; write sharedGroup"
            ));
            replicas = Replicas::Fixed(1);
        }
    }
    Scaled { replicas, resources: parts::resources(Part::Ingest, spec.resources.ingest.as_ref()) }
}

fn query(resource: &TelemetryPipeline, workers: &Workers, notes: &mut Vec<String>) -> Scaled {
    let spec = &resource.spec;
    let mut replicas = parts::replicas(spec.scaling.query.as_ref());
    let is_needed = !matches!(workers.replicas, WorkerReplicas::Fixed(_));
    if replicas == Replicas::Fixed(0) && is_needed {
        notes.push(
            "spec.scaling.query.replicas is 0 and there is 1: it measures how far the workers that \
             follow it are behind; write at least 1"
                .to_owned(),
        );
        replicas = Replicas::Fixed(1);
    }
    Scaled { replicas, resources: parts::resources(Part::Query, spec.resources.query.as_ref()) }
}

fn workers(
    resource: &TelemetryPipeline,
    plan: &Plan,
    found: &References,
    kinds: &Kinds,
    notes: &mut Vec<String>,
) -> Workers {
    let spec = &resource.spec;
    let asked = spec.scaling.workers.as_ref();
    let groups = ways::groups(plan);
    let useful = ways::useful(plan, &groups);
    let has_keda = kinds.scaled_object.is_some();
    let replicas = if groups.is_empty() {
        WorkerReplicas::Fixed(0)
    } else {
        parts::workers(asked, useful, found.workers, has_keda)
    };
    if let Some(asked) = asked {
        let most = asked.max.or(asked.replicas).unwrap_or_default();
        if most > useful && !groups.is_empty() {
            notes.push(format!(
                "spec.scaling.workers asks for {most} pods and gets at most {useful}: no stream \
                 that they read has more partitions; write {useful}, or raise partitions and \
                 generation of a stream"
            ));
        }
    }
    Workers {
        replicas,
        resources: parts::resources(Part::Workers, spec.resources.workers.as_ref()),
        useful,
        groups,
    }
}

/// A Secret of the operator's own that holds what one of others does, as pods expect it.
fn copied(
    names: &Names,
    owner: &k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference,
    data: std::collections::BTreeMap<String, Vec<u8>>,
) -> Secret {
    Secret {
        metadata: ObjectMeta {
            name: Some(names.of(servers::KAFKA_LOGIN)),
            namespace: Some(names.namespace().to_owned()),
            labels: Some(labels::common(names)),
            owner_references: Some(vec![owner.clone()]),
            ..ObjectMeta::default()
        },
        data: Some(data.into_iter().map(|(key, value)| (key, ByteString(value))).collect()),
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    }
}

#[cfg(test)]
mod tests;
