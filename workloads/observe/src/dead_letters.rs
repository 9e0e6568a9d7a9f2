//! How many dead letters there were, by where they come from.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StageLabels {
    stage: String,
}

/// Counts dead letters of all parts, by stage as a dead letter names it, such as `ingest/cars`.
/// Cloning is cheap.
#[derive(Debug, Clone, Default)]
pub struct DeadLetterCounts(Family<StageLabels, Counter>);

impl DeadLetterCounts {
    /// The counter of a stage.
    #[must_use]
    pub fn of(&self, stage: &str) -> Counter {
        self.0.get_or_create_owned(&StageLabels { stage: stage.to_owned() })
    }

    pub(crate) fn family(&self) -> impl prometheus_client::registry::Metric + use<> {
        self.0.clone()
    }
}
