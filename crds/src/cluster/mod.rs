//! What a pipeline is made of on a cluster: its broker and database, how large and how many its
//! parts are, and where they run. In one process none of this has an effect.

mod broker;
mod database;
mod parts;
mod placement;

pub use broker::BrokerSpec;
pub use broker::ExternalKafkaSpec;
pub use broker::FlushSpec;
pub use broker::KafkaSaslMechanism;
pub use broker::KafkaSaslSpec;
pub use broker::KafkaTlsSpec;
pub use broker::ManagedKafkaSpec;
pub use broker::StorageSpec;
pub use broker::StrimziAuthentication;
pub use broker::StrimziSpec;
pub use database::BackupSpec;
pub use database::BackupStoreSpec;
pub use database::CloudNativePgSpec;
pub use database::DatabaseSpec;
pub use database::ExternalPostgresSpec;
pub use database::ManagedPostgresSpec;
pub use database::PostgresTlsMode;
pub use database::PostgresTlsSpec;
pub use parts::AutoscalingSpec;
pub use parts::PartResourcesSpec;
pub use parts::QuantitiesSpec;
pub use parts::ResourcesSpec;
pub use parts::ScalingSpec;
pub use parts::WorkerAutoscaler;
pub use parts::WorkerScalingSpec;
pub use placement::ImagesSpec;
pub use placement::PlacementSpec;
pub use placement::TaintEffect;
pub use placement::TolerationOperator;
pub use placement::TolerationSpec;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;

use crate::edge::EdgeSpec;
use crate::edge::ExposureMode;
use crate::pipeline::TelemetryPipelineSpec;

impl TelemetryPipelineSpec {
    /// The fields that have an effect on a cluster alone and are not as they are by default.
    #[must_use]
    pub fn cluster_sections(&self) -> Vec<&'static str> {
        let exposure = &self.exposure;
        let tls = exposure.tls.as_ref();
        let fields = [
            ("exposure.mode", exposure.mode != ExposureMode::default()),
            ("exposure.hosts", !exposure.hosts.is_empty()),
            ("exposure.edge", exposure.edge != EdgeSpec::default()),
            ("exposure.ingress", exposure.ingress.is_some()),
            ("exposure.gateway", exposure.gateway.is_some()),
            ("exposure.tls.certManager", tls.is_some_and(|tls| tls.cert_manager.is_some())),
            ("broker", self.broker != BrokerSpec::default()),
            ("database", self.database != DatabaseSpec::default()),
            ("resources", self.resources != ResourcesSpec::default()),
            ("scaling", self.scaling != ScalingSpec::default()),
            ("placement", self.placement != PlacementSpec::default()),
            ("images", self.images != ImagesSpec::default()),
            ("paused", self.paused),
            ("deletionPolicy", self.deletion_policy != DeletionPolicy::default()),
        ];
        fields.into_iter().filter(|(_, is_set)| *is_set).map(|(name, _)| name).collect()
    }
}

/// What becomes of volumes when the pipeline is deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum DeletionPolicy {
    /// They are deleted with it.
    #[default]
    Delete,
    /// They are kept, with what is needed to read them. A pipeline of the same name in the same
    /// namespace takes them up again.
    Keep,
}
