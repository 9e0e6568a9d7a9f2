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
