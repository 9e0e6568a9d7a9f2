//! Metrics of the operator.

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;

use millrace_api::TelemetryPipelineStatus;
use parking_lot::Mutex;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::owned::PipelineKey;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PassLabels {
    result: &'static str,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ConditionLabels {
    condition: String,
    status: String,
    reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ErrorLabels {
    reason: &'static str,
    status: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ScalingLabels {
    namespace: String,
    pipeline: String,
    reason: String,
}

/// Metrics of the operator.
pub struct Metrics {
    registry: Registry,
    passes: Family<PassLabels, Counter>,
    seconds: Histogram,
    conditions: Family<ConditionLabels, Gauge>,
    errors: Family<ErrorLabels, Counter>,
    writes: Counter,
    leader: Gauge,
    pipelines: Gauge,
    lag: Family<PipelineLabels, Gauge<f64, AtomicU64>>,
    scaled: Family<ScalingLabels, Gauge<f64, AtomicU64>>,
    current: Mutex<HashMap<PipelineKey, Vec<ConditionLabels>>>,
    last_scaling: Mutex<HashMap<PipelineKey, ScalingLabels>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PipelineLabels {
    namespace: String,
    pipeline: String,
}

impl PipelineLabels {
    fn of(key: &PipelineKey) -> Self {
        Self { namespace: key.namespace.to_string(), pipeline: key.name.to_string() }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("millrace_operator");
        let passes = Family::<PassLabels, Counter>::default();
        registry.register(
            "reconciles",
            "Passes over a pipeline, by result (ok, invalid, error) and reason",
            passes.clone(),
        );
        let seconds = Histogram::new([0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0]);
        registry.register("reconcile_seconds", "How long a pass took", seconds.clone());
        let conditions = Family::<ConditionLabels, Gauge>::default();
        registry.register(
            "pipelines_by_condition",
            "Pipelines, by type, status and reason of each condition",
            conditions.clone(),
        );
        let errors = Family::<ErrorLabels, Counter>::default();
        registry.register(
            "api_errors",
            "Answers of the API server other than expected, by what was tried and HTTP status",
            errors.clone(),
        );
        let writes = Counter::default();
        registry.register("writes", "Objects applied or deleted, and statuses", writes.clone());
        let leader = Gauge::default();
        registry.register("leader", "1 if this operator works, 0 if it waits", leader.clone());
        let pipelines = Gauge::default();
        registry.register("pipelines", "Pipelines that are looked after", pipelines.clone());
        let lag = Family::<PipelineLabels, Gauge<f64, AtomicU64>>::default();
        registry.register(
            "worker_lag_records",
            "Records that workers are behind, of the group that is furthest behind; only of pipelines that are scaled by it",
            lag.clone(),
        );
        let scaled = Family::<ScalingLabels, Gauge<f64, AtomicU64>>::default();
        registry.register(
            "last_scaling_seconds",
            "When workers were scaled last, in seconds since 1970, with the reason",
            scaled.clone(),
        );
        Self {
            registry,
            passes,
            seconds,
            conditions,
            errors,
            writes,
            leader,
            pipelines,
            lag,
            scaled,
            current: Mutex::default(),
            last_scaling: Mutex::default(),
        }
    }
}

impl Metrics {
    /// All of them, as Prometheus reads them. Empty where they cannot be written.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        if encode(&mut text, &self.registry).is_err() {
            text.clear();
        }
        text
    }

    /// Counts a pass.
    pub fn pass(&self, result: &'static str, reason: &'static str, seconds: f64) {
        self.passes.get_or_create(&PassLabels { result, reason }).inc();
        self.seconds.observe(seconds);
    }

    /// Counts an answer of the API server that was not expected.
    pub fn api_error(&self, reason: &'static str, error: &kube::Error) {
        let status = match error {
            kube::Error::Api(status) => status.code.to_string(),
            _ => "none".to_owned(),
        };
        self.errors.get_or_create(&ErrorLabels { reason, status }).inc();
    }

    /// Counts writes.
    pub fn wrote(&self, number: usize) {
        self.writes.inc_by(number as u64);
    }

    /// Says whether this operator works.
    pub fn set_leader(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    /// Says what is true of a pipeline.
    pub fn status(&self, key: &PipelineKey, status: &TelemetryPipelineStatus) {
        let labels: Vec<ConditionLabels> = status
            .conditions
            .iter()
            .map(|condition| ConditionLabels {
                condition: condition.type_.clone(),
                status: condition.status.clone(),
                reason: condition.reason.clone(),
            })
            .collect();
        let mut current = self.current.lock();
        let before = current.insert(key.clone(), labels.clone());
        self.exchange(before.as_deref().unwrap_or_default(), &labels);
        self.pipelines.set(i64::try_from(current.len()).unwrap_or(i64::MAX));
    }

    /// Forgets a pipeline.
    pub fn forget(&self, key: &PipelineKey) {
        let mut current = self.current.lock();
        let before = current.remove(key);
        self.exchange(before.as_deref().unwrap_or_default(), &[]);
        self.pipelines.set(i64::try_from(current.len()).unwrap_or(i64::MAX));
        self.lag.remove(&PipelineLabels::of(key));
        if let Some(labels) = self.last_scaling.lock().remove(key) {
            self.scaled.remove(&labels);
        }
    }

    /// Says how far the workers of a pipeline are behind.
    pub fn lag(&self, key: &PipelineKey, records: f64) {
        self.lag.get_or_create(&PipelineLabels::of(key)).set(records);
    }

    /// Says when and why workers were scaled last.
    pub fn scaled(&self, key: &PipelineKey, reason: &str, at: f64) {
        let labels = ScalingLabels {
            namespace: key.namespace.to_string(),
            pipeline: key.name.to_string(),
            reason: reason.to_owned(),
        };
        if let Some(before) = self.last_scaling.lock().insert(key.clone(), labels.clone()) {
            self.scaled.remove(&before);
        }
        self.scaled.get_or_create(&labels).set(at);
    }

    fn exchange(&self, before: &[ConditionLabels], after: &[ConditionLabels]) {
        for labels in before {
            let gauge = self.conditions.get_or_create(labels).clone();
            if gauge.dec() == 1 {
                self.conditions.remove(labels);
            }
        }
        for labels in after {
            self.conditions.get_or_create(labels).inc();
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;

    fn status(ready: &str) -> TelemetryPipelineStatus {
        TelemetryPipelineStatus {
            conditions: vec![Condition {
                type_: "Ready".to_owned(),
                status: ready.to_owned(),
                reason: "Waiting".to_owned(),
                message: String::new(),
                last_transition_time: Time(jiff::Timestamp::UNIX_EPOCH),
                observed_generation: None,
            }],
            ..TelemetryPipelineStatus::default()
        }
    }

    #[test]
    fn a_pipeline_counts_under_its_present_conditions_alone() {
        let metrics = Metrics::default();
        let key = PipelineKey::new("factory", "race");
        metrics.status(&key, &status("False"));
        metrics.status(&key, &status("True"));
        let line = |status: &str, count: &str| {
            format!(
                "millrace_operator_pipelines_by_condition{{condition=\"Ready\",status=\"{status}\",reason=\"Waiting\"}} {count}"
            )
        };
        assert!(metrics.text().contains(&line("True", "1")), "{}", metrics.text());
        assert!(!metrics.text().contains(&line("False", "")), "{}", metrics.text());
        metrics.forget(&key);
        assert!(!metrics.text().contains("status=\"True\""), "{}", metrics.text());
    }
}
