//! Where a pipeline can be reached, and how long its certificate lasts.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Service;
use millrace_api::Endpoint;
use millrace_api::GeneratedSecret;
use millrace_api::ServiceType;
use x509_parser::pem::Pem;

use crate::build::exposure;
use crate::pipeline::Log;
use crate::pipeline::Pipeline;
use crate::pipeline::Tables;

/// How a pipeline is reached.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reached {
    /// Address of the dashboard.
    pub url: Option<String>,
    /// Where what is reached.
    pub endpoints: Vec<Endpoint>,
    /// Secrets that people and programs beside the pipeline use.
    pub secrets: Vec<GeneratedSecret>,
    /// The ConfigMap that says whom to trust.
    pub trust: Option<String>,
}

impl Reached {
    /// How a pipeline is reached. `edge` is the Service of its edge as it is now, where it may have
    /// an address from outside.
    #[must_use]
    pub fn of(pipeline: &Pipeline, edge: Option<&Service>) -> Self {
        let names = &pipeline.names;
        let secret = |name: &str, what: &str| GeneratedSecret {
            name: name.to_owned(),
            secret: names.of(what),
        };
        let mut secrets = Vec::new();
        if matches!(pipeline.log, Log::Managed(_)) {
            secrets.push(secret("kafka", "kafka-client"));
        }
        if matches!(pipeline.tables, Some(Tables::Managed(_))) {
            secrets.push(secret("postgres-analyst", "postgres-analyst"));
        }
        let trusts = pipeline.material.edge.is_some() || !secrets.is_empty();
        Self {
            url: exposure::url(pipeline, edge),
            endpoints: exposure::endpoints(pipeline, edge),
            secrets,
            trust: trusts.then(|| names.of("trust")),
        }
    }

    /// Whether an address from outside is still to come.
    #[must_use]
    pub fn has_outside(pipeline: &Pipeline) -> bool {
        pipeline.edge.is_some()
            && pipeline.exposure.edge.service.service_type == ServiceType::LoadBalancer
    }
}

/// When the first certificate of a text in PEM ends.
#[must_use]
pub fn expiry(pem: &[u8]) -> Option<Timestamp> {
    let pem = Pem::iter_from_buffer(pem).next()?.ok()?;
    let certificate = pem.parse_x509().ok()?;
    Timestamp::from_second(certificate.validity().not_after.timestamp()).ok()
}
