//! A pass over one pipeline: dereference, validate, build, apply, status.

mod again;
mod error;
mod read;
mod secrets;
mod turn;

pub use error::PassError;

use std::collections::HashSet;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Service;
use kube::Resource as _;
use kube::api::ObjectMeta;
use kube::api::PartialObjectMeta;
use kube::core::DeserializeGuard;
use kube::runtime::controller::Action;
use millrace_api::TelemetryPipeline;
use millrace_api::TelemetryPipelineStatus;
use millrace_core::with_causes;

use crate::apply;
use crate::apply::Target;
use crate::build::build;
use crate::build::edge::ISSUED;
use crate::context::Context;
use crate::dereference;
use crate::dereference::References;
use crate::dereference::wanted;
use crate::events::transitions;
use crate::last_valid;
use crate::material;
use crate::names::Names;
use crate::names::Part;
use crate::owned::PipelineKey;
use crate::pipeline::Log;
use crate::pipeline::Pipeline;
use crate::pipeline::Tables;
use crate::pipeline::WorkerReplicas;
use crate::reasons;
use crate::status;
use crate::status::Certificate;
use crate::status::Reached;
use crate::status::Seen;
use crate::status::Validity;
use crate::validate::Environment;
use crate::validate::Problem;
use crate::validate::ValidateError;
use crate::validate::Validated;
use crate::validate::validate;

/// Longest time without a look.
const LATE: Duration = Duration::from_hours(6);
/// Time to the next look at a pipeline that waits for others: it is told when it may go on.
const TURN: Duration = Duration::from_mins(5);
/// Shortest time to a renewal that is due.
const RENEWAL: Duration = Duration::from_secs(30);

/// What a pass did and found.
#[derive(Debug)]
pub struct Passed {
    /// When to look again.
    pub next: Action,
    /// `ok` or `invalid`.
    pub result: &'static str,
    /// The reason of the condition `Valid`.
    pub reason: &'static str,
}

struct Pass<'a> {
    context: &'a Context,
    key: &'a PipelineKey,
    metadata: &'a ObjectMeta,
    names: Names,
}

/// What is managed: the resource, or what was valid of it last.
struct Managed {
    validated: Validated,
    references: References,
    last_valid: crate::object::Object,
}

/// A pass over a pipeline.
///
/// # Errors
/// Something could not be read or written. It is in the status as far as that could be written.
pub async fn pass(
    context: &Context,
    key: &PipelineKey,
    guard: &DeserializeGuard<TelemetryPipeline>,
) -> Result<Passed, PassError> {
    let metadata = guard.meta();
    let pass = Pass { context, key, metadata, names: Names::new(&key.namespace, &key.name) };
    if metadata.deletion_timestamp.is_some() {
        // Owner references do the rest.
        return Ok(Passed { next: Action::await_change(), result: "ok", reason: "Deleting" });
    }
    let written = guard.0.as_ref().ok().and_then(|resource| resource.status.as_ref());
    match &guard.0 {
        Ok(resource) if resource.spec.paused => pass.paused(written).await,
        Ok(resource) => match pass.check(resource).await? {
            Ok(managed) => {
                let notes = managed.validated.notes.clone();
                Box::pin(pass.manage(managed, Validity::Valid(notes), written)).await
            }
            Err(problems) => Box::pin(pass.invalid(Validity::Invalid(problems), written)).await,
        },
        Err(invalid) => {
            let why = Validity::Unreadable(invalid.error.clone());
            Box::pin(pass.invalid(why, written)).await
        }
    }
}

impl Pass<'_> {
    /// Reads what a resource names, and checks it.
    async fn check(
        &self,
        resource: &TelemetryPipeline,
    ) -> Result<Result<Managed, Vec<Problem>>, PassError> {
        let client = &self.context.client;
        let namespace = &self.key.namespace;
        let wanted = wanted::wanted(&resource.spec);
        let mut named: HashSet<_> = wanted::names(&wanted).into_iter().collect();
        // A certificate that cert-manager renews.
        named.insert((wanted::WantedKind::Secret, self.names.of(ISSUED)));
        self.context.named.set(self.key, named);
        let workers = self.context.scaling.decided(self.key).or_else(|| {
            let name = self.names.part(Part::Workers);
            self.workload("StatefulSet.apps", &name).map(|workload| workload.wanted)
        });
        let references = dereference::dereference(client, namespace, wanted, workers).await?;
        let existing = self.existing().await?;
        let kinds = self.context.kinds.read().clone();
        let environment = Environment { images: &self.context.images, kinds: &kinds };
        let now = Timestamp::now();
        let validated = validate(resource, &references, &environment, |needs| {
            secrets::complete(&existing, needs, now)
        });
        match validated {
            Ok(validated) => {
                let owner = &validated.pipeline.owner;
                let release = &self.context.release;
                let last_valid = last_valid::build(&self.names, owner, &resource.spec, release)
                    .map_err(|error| PassError::Express(error.into()))?;
                Ok(Ok(Managed { validated, references, last_valid }))
            }
            Err(ValidateError::Invalid(problems)) => Ok(Err(problems)),
            Err(ValidateError::Material(error)) => Err(self.fail(error.into()).await),
            Err(ValidateError::Document(error)) => Err(PassError::Express(error.into())),
        }
    }

    /// Builds, applies, and says what came of it.
    async fn manage(
        &self,
        managed: Managed,
        validity: Validity,
        written: Option<&TelemetryPipelineStatus>,
    ) -> Result<Passed, PassError> {
        let Managed { validated, references, last_valid } = managed;
        let Validated { pipeline, objects: copies, partitions, .. } = validated;
        let mut objects = vec![last_valid];
        objects.extend(copies);
        objects.extend(build(&pipeline));
        let uid = self.metadata.uid.as_deref().unwrap_or_default();
        let target =
            Target { pipeline: self.key, uid, owned: &self.context.owned, kinds: &pipeline.kinds };
        self.context.end_long_turns();
        let waits = self.waits(&validity, written);
        let applied = if waits {
            self.scale_alone(&pipeline, target).await
        } else {
            apply::apply(&self.context.client, target, objects).await
        };
        let failure = applied.as_ref().err().map(|error| (error.reason(), with_causes(error)));
        if let Ok(applied) = &applied {
            self.context.health.metrics.wrote(applied.applied + applied.deleted);
            if let WorkerReplicas::ByLag { now, .. } = pipeline.workers.replicas {
                self.context.scaling.applied(self.key, now);
            }
        }
        self.context.scaling.set(self.key, self.scalable(&pipeline));

        let parts = parts(&pipeline);
        let known = self.context.owned.objects(self.key);
        let is_ready = status::all_ready(&self.names, &parts, &known);
        if is_ready && !waits && applied.is_ok() {
            self.context.end_turn(self.key);
        }
        let pods = if is_ready { Vec::new() } else { self.pods().await? };
        let edge = self.edge(&pipeline).await?;
        let address_is_missing =
            Reached::has_outside(&pipeline) && edge.as_ref().is_some_and(|edge| !has_address(edge));
        let seen = Seen {
            names: &self.names,
            generation: self.metadata.generation,
            validity,
            paused: false,
            waits,
            parts: Some(parts),
            objects: &known,
            pods: &pods,
            failure,
            workers: self.following(),
            reached: Reached::of(&pipeline, edge.as_ref()),
            partitions: Some(partitions),
            certificate: self.certificate(&pipeline, &references).await?,
        };
        let (result, reason) = self.tell(&seen, written).await?;
        applied?;
        let renewal = material::next_renewal(&pipeline.material);
        let left = renewal.duration_since(Timestamp::now());
        let left = Duration::try_from(left).unwrap_or_default().clamp(RENEWAL, LATE);
        let next = match (is_ready && !address_is_missing, waits) {
            (true, false) => left,
            (true, true) => TURN,
            (false, _) => self.until_ready(written),
        };
        Ok(Passed { next: Action::requeue(next), result, reason })
    }

    /// What was valid last is managed on.
    async fn invalid(
        &self,
        validity: Validity,
        written: Option<&TelemetryPipelineStatus>,
    ) -> Result<Passed, PassError> {
        let name = self.names.of(last_valid::NAME);
        let client = &self.context.client;
        let kept = dereference::config_map(client, &self.key.namespace, &name).await?;
        if let Some(resource) = kept.and_then(|map| last_valid::read(&map, self.metadata)) {
            if let Ok(managed) = self.check(&resource).await? {
                return Box::pin(self.manage(managed, validity, written)).await;
            }
            return self.untouched(validity, false, written).await;
        }
        let known = self.context.owned.objects(self.key);
        let seen = Seen {
            names: &self.names,
            generation: self.metadata.generation,
            validity,
            paused: false,
            waits: false,
            parts: None,
            objects: &known,
            pods: &[],
            failure: None,
            workers: None,
            reached: Reached::default(),
            partitions: None,
            certificate: Certificate::Unknown,
        };
        let (result, reason) = self.tell(&seen, written).await?;
        Ok(Passed { next: Action::requeue(LATE), result, reason })
    }

    /// Nothing is touched but the status.
    async fn paused(&self, written: Option<&TelemetryPipelineStatus>) -> Result<Passed, PassError> {
        self.context.end_turn(self.key);
        self.context.scaling.set(self.key, None);
        self.untouched(Validity::Valid(Vec::new()), true, written).await
    }

    async fn untouched(
        &self,
        validity: Validity,
        paused: bool,
        written: Option<&TelemetryPipelineStatus>,
    ) -> Result<Passed, PassError> {
        let known = self.context.owned.objects(self.key);
        let parts: Vec<Part> =
            [Part::Ingest, Part::Workers, Part::Query, Part::Edge, Part::Kafka, Part::Postgres]
                .into_iter()
                .filter(|part| {
                    let name = self.names.part(*part);
                    known
                        .iter()
                        .any(|((_, object), known)| **object == *name && known.workload.is_some())
                })
                .collect();
        let is_ready = status::all_ready(&self.names, &parts, &known);
        let pods = if is_ready { Vec::new() } else { self.pods().await? };
        let has_parts = !parts.is_empty();
        let last = written.cloned().unwrap_or_default();
        let seen = Seen {
            names: &self.names,
            generation: self.metadata.generation,
            validity,
            paused,
            waits: false,
            parts: has_parts.then_some(parts),
            objects: &known,
            pods: &pods,
            failure: None,
            workers: self.following(),
            reached: Reached {
                url: last.url,
                endpoints: last.endpoints,
                secrets: last.secrets,
                trust: last.trust,
            },
            partitions: last.partitions,
            certificate: last.certificate_expiry.map(|time| time.0).into(),
        };
        let (result, reason) = self.tell(&seen, written).await?;
        let next = if is_ready { LATE } else { self.until_ready(written) };
        Ok(Passed { next: Action::requeue(next), result, reason })
    }

    /// Says why nothing could be checked, as far as the status can be written.
    async fn fail(&self, error: PassError) -> PassError {
        let written = self.last(None);
        let known = self.context.owned.objects(self.key);
        let seen = Seen {
            names: &self.names,
            generation: self.metadata.generation,
            validity: Validity::Valid(Vec::new()),
            paused: false,
            waits: false,
            parts: Some(Vec::new()),
            objects: &known,
            pods: &[],
            failure: Some((error.reason(), with_causes(&error))),
            workers: self.following(),
            reached: Reached::default(),
            partitions: None,
            certificate: Certificate::Unknown,
        };
        match self.tell(&seen, written.as_ref()).await {
            Ok(_) => error,
            Err(other) => other,
        }
    }

    /// Writes the status where it changed, and tells of transitions.
    async fn tell(
        &self,
        seen: &Seen<'_>,
        written: Option<&TelemetryPipelineStatus>,
    ) -> Result<(&'static str, &'static str), PassError> {
        let before = self.last(written);
        let after = status::compute(seen, before.as_ref(), Timestamp::now());
        self.context.health.metrics.status(self.key, &after);
        if before.as_ref() != Some(&after) {
            status::write(&self.context.client, self.key, &after).await?;
            self.context.health.metrics.wrote(1);
            let uid = self.metadata.uid.clone().unwrap_or_default();
            self.context.statuses.lock().insert(self.key.clone(), (uid, after.clone()));
            for happening in transitions(before.as_ref(), &after) {
                self.context.events.tell(&self.reference(), happening).await;
            }
        }
        Ok(match &seen.validity {
            Validity::Valid(_) => ("ok", reasons::VALID),
            Validity::Invalid(problems) => {
                ("invalid", problems.first().map_or(reasons::INVALID, |problem| problem.reason))
            }
            Validity::Unreadable(_) => ("invalid", reasons::UNREADABLE),
        })
    }

    /// The status as it was written last: by us, or else by whom was here before.
    fn last(&self, written: Option<&TelemetryPipelineStatus>) -> Option<TelemetryPipelineStatus> {
        let statuses = self.context.statuses.lock();
        let ours =
            statuses.get(self.key).filter(|(uid, _)| Some(uid) == self.metadata.uid.as_ref());
        ours.map(|(_, status)| status.clone()).or_else(|| written.cloned())
    }

    fn until_ready(&self, written: Option<&TelemetryPipelineStatus>) -> Duration {
        again::until_ready(self.last(written).as_ref(), Timestamp::now())
    }

    fn reference(&self) -> k8s_openapi::api::core::v1::ObjectReference {
        let resource = PartialObjectMeta::<TelemetryPipeline> {
            types: None,
            metadata: self.metadata.clone(),
            _phantom: std::marker::PhantomData,
        };
        resource.object_ref(&())
    }
}

/// Parts that a pipeline has.
fn parts(pipeline: &Pipeline) -> Vec<Part> {
    let mut parts = vec![Part::Workers, Part::Query, Part::Provision];
    let has = [
        (Part::Ingest, pipeline.ingest.is_some()),
        (Part::Edge, pipeline.edge.is_some()),
        (Part::Kafka, matches!(pipeline.log, Log::Managed(_))),
        (Part::Postgres, matches!(pipeline.tables, Some(Tables::Managed(_)))),
    ];
    parts.extend(has.into_iter().filter(|(_, has)| *has).map(|(part, _)| part));
    parts
}

fn has_address(service: &Service) -> bool {
    let balancer = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    balancer.and_then(|balancer| balancer.ingress.as_ref()).is_some_and(|list| !list.is_empty())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "helpers fail as tests do")]
mod tests;
