//! What a pass reads of the cluster beside what the resource names.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::core::v1::Service;
use kube::Api;
use kube::api::ListParams;
use kube::api::PartialObjectMeta;

use super::Pass;
use super::PassError;
use crate::build::edge::certificate_secret;
use crate::dereference;
use crate::dereference::References;
use crate::labels::PIPELINE;
use crate::material;
use crate::material::Existing;
use crate::names::Part;
use crate::owned::KindName;
use crate::owned::Workload;
use crate::pipeline::Pipeline;
use crate::status;
use crate::status::Certificate;
use crate::status::Reached;

impl Pass<'_> {
    /// Secrets and ConfigMaps that were made before. Those that are not known to be there are not
    /// asked for: what is ours is known before any pass.
    pub(super) async fn existing(&self) -> Result<Existing, PassError> {
        let known = self.context.owned.objects(self.key);
        let of = |kind: &str, names: Vec<String>| -> Vec<String> {
            let kind = KindName(kind.into());
            let there = |name: &String| known.contains_key(&(kind.clone(), name.as_str().into()));
            names.into_iter().filter(there).collect()
        };
        let mut existing = dereference::existing(
            &self.context.client,
            &self.key.namespace,
            of("Secret", material::secret_names(&self.names)),
            of("ConfigMap", material::config_map_names(&self.names)),
        )
        .await?;
        let kafka = self.workload("StatefulSet.apps", &self.names.part(Part::Kafka));
        existing.kafka_is_ready = kafka.is_some_and(|workload| workload.is_ready());
        let api: Api<PartialObjectMeta<Pod>> =
            Api::namespaced(self.context.client.clone(), &self.key.namespace);
        let parameters = ListParams::default()
            .labels(&format!("{PIPELINE}={}", self.key.name))
            .fields("status.phase!=Succeeded,status.phase!=Failed");
        let pods = api.list(&parameters).await.map_err(PassError::ListPods)?;
        existing.pods = pods
            .items
            .into_iter()
            .map(|pod| pod.metadata.annotations.unwrap_or_default())
            .collect();
        Ok(existing)
    }

    /// The pipeline's pods.
    pub(super) async fn pods(&self) -> Result<Vec<Pod>, PassError> {
        let api: Api<Pod> = Api::namespaced(self.context.client.clone(), &self.key.namespace);
        let labels = format!("{PIPELINE}={}", self.key.name);
        let pods = api.list(&ListParams::default().labels(&labels)).await;
        pods.map(|pods| pods.items).map_err(PassError::ListPods)
    }

    /// The edge's Service, where it may get an address from outside.
    pub(super) async fn edge(&self, pipeline: &Pipeline) -> Result<Option<Service>, PassError> {
        if !Reached::has_outside(pipeline) {
            return Ok(None);
        }
        let api: Api<Service> = Api::namespaced(self.context.client.clone(), &self.key.namespace);
        api.get_opt(&self.names.part(Part::Edge)).await.map_err(PassError::GetService)
    }

    /// The certificate that is served.
    pub(super) async fn certificate(
        &self,
        pipeline: &Pipeline,
        references: &References,
    ) -> Result<Certificate, PassError> {
        if let Some(leaf) = &pipeline.material.edge {
            return Ok(Certificate::Until(leaf.expires));
        }
        let Some(tls) = &pipeline.exposure.tls else { return Ok(Certificate::Unknown) };
        if let Some(secret) = &tls.secret {
            let content = references.secret(&secret.name);
            return Ok(content.and_then(|content| status::expiry(content.get("tls.crt")?)).into());
        }
        if tls.cert_manager.is_none() {
            return Ok(Certificate::Unknown);
        }
        let secret = certificate_secret(pipeline);
        let client = &self.context.client;
        let names = vec![secret.clone()];
        let existing =
            dereference::existing(client, &self.key.namespace, names, Vec::new()).await?;
        let found = existing.secrets.get(&secret).and_then(|found| found.data.as_ref());
        Ok(match found.and_then(|data| data.get("tls.crt")) {
            Some(pem) => status::expiry(&pem.0).into(),
            None => Certificate::Awaited { secret },
        })
    }

    /// How far the pods of an object are, as far as it is known.
    pub(super) fn workload(&self, kind: &str, name: &str) -> Option<Workload> {
        self.context.owned.get(self.key, &KindName(Arc::from(kind)), name)?.workload
    }
}
