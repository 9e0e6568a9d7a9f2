//! What a pass has to do with others: whose turn it is, and who follows the workers' lag.

use std::sync::Arc;

use millrace_api::TelemetryPipelineStatus;

use super::Pass;
use crate::apply;
use crate::apply::ApplyError;
use crate::apply::Target;
use crate::apply::Written;
use crate::last_valid;
use crate::names::Part;
use crate::owned::KindName;
use crate::pipeline::Pipeline;
use crate::pipeline::WorkerReplicas;
use crate::scale::Scalable;
use crate::status::Following;
use crate::status::Validity;

impl Pass<'_> {
    /// Whether another operator has made what is there, the resource is still the same, and other
    /// pipelines are changed first.
    pub(super) fn waits(
        &self,
        validity: &Validity,
        written: Option<&TelemetryPipelineStatus>,
    ) -> bool {
        let kind = KindName(Arc::from("ConfigMap"));
        let known = self.context.owned.get(self.key, &kind, &self.names.of(last_valid::NAME));
        let told = self.last(written).and_then(|status| status.observed_generation);
        let is_edited = matches!(validity, Validity::Valid(_)) && told != self.metadata.generation;
        let is_of_before = known.is_some_and(|known| {
            known.owner.as_deref() == self.metadata.uid.as_deref()
                && known.release.as_deref() != Some(&self.context.release)
        });
        is_of_before && !is_edited && !self.context.may_roll(self.key)
    }

    /// Of a pipeline that waits only the number of workers follows their lag.
    pub(super) async fn scale_alone(
        &self,
        pipeline: &Pipeline,
        target: Target<'_>,
    ) -> Result<Written, ApplyError> {
        let WorkerReplicas::ByLag { now, .. } = pipeline.workers.replicas else {
            return Ok(Written::default());
        };
        let replicas = now.min(pipeline.workers.useful);
        let name = self.names.part(Part::Workers);
        apply::scale(&self.context.client, target, &name, replicas).await
    }

    /// How the workers are scaled, where that is by us.
    pub(super) fn scalable(&self, pipeline: &Pipeline) -> Option<Scalable> {
        let WorkerReplicas::ByLag { min, max, lag, .. } = pipeline.workers.replicas else {
            return None;
        };
        Some(Scalable {
            stateful_set: self.names.part(Part::Workers),
            groups: pipeline.workers.groups.iter().map(|group| group.name.clone()).collect(),
            min,
            max,
            lag,
            useful: pipeline.workers.useful,
            about: self.reference(),
        })
    }

    /// How the workers keep up, where that is read.
    pub(super) fn following(&self) -> Option<Following> {
        let (pace, scalable) = self.context.scaling.pace(self.key)?;
        let advice = scalable.advice(&self.key.namespace);
        Some(Following { pace, advice })
    }
}
