//! How far the pods of a Deployment, StatefulSet or Job are.

use std::sync::Arc;

use serde_json::Value;

use super::KindName;

/// How far the pods of a Deployment, StatefulSet or Job are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Workload {
    /// How many are wanted.
    pub wanted: i32,
    /// How many are ready.
    pub ready: i32,
    /// Whether all of them are of the newest template, and no older one is left.
    pub current: bool,
    /// Whether a Job has ended well.
    pub succeeded: bool,
    /// What its controller says it cannot do, as a reason and a message.
    pub trouble: Option<(Arc<str>, Arc<str>)>,
}

impl Workload {
    /// Reads what the content of an object of this kind and generation says.
    pub(super) fn read(kind: &KindName, data: &Value, generation: Option<i64>) -> Option<Self> {
        if !["Deployment.apps", "StatefulSet.apps", "Job.batch"].contains(&&*kind.0) {
            return None;
        }
        let spec = data.get("spec")?;
        let status = data.get("status").unwrap_or(&Value::Null);
        let number = |of: &Value, field: &str| {
            of.get(field).and_then(Value::as_i64).and_then(|n| i32::try_from(n).ok())
        };
        if &*kind.0 == "Job.batch" {
            let succeeded = condition(status, "Complete", "True").is_some();
            return Some(Self {
                wanted: 1,
                ready: i32::from(succeeded),
                current: true,
                succeeded,
                trouble: condition(status, "Failed", "True"),
            });
        }
        let wanted = number(spec, "replicas").unwrap_or(1);
        let seen = status.get("observedGeneration").and_then(Value::as_i64).unwrap_or_default();
        let count = |field: &str| number(status, field).unwrap_or_default();
        let revisions = (status.get("currentRevision"), status.get("updateRevision"));
        Some(Self {
            wanted,
            ready: count("readyReplicas"),
            current: Some(seen) >= generation
                && count("updatedReplicas") >= wanted
                && count("replicas") == wanted
                && (wanted == 0 || revisions.0 == revisions.1),
            succeeded: false,
            trouble: condition(status, "ReplicaFailure", "True")
                .or_else(|| condition(status, "Progressing", "False")),
        })
    }

    /// Whether nothing is left to be done.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.current && self.ready >= self.wanted
    }
}

fn condition(status: &Value, kind: &str, value: &str) -> Option<(Arc<str>, Arc<str>)> {
    let conditions = status.get("conditions")?.as_array()?;
    let found = conditions.iter().find(|condition| {
        condition.get("type").and_then(Value::as_str) == Some(kind)
            && condition.get("status").and_then(Value::as_str) == Some(value)
    })?;
    let text = |field: &str| found.get(field).and_then(Value::as_str).unwrap_or_default().into();
    Some((text("reason"), text("message")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_deployment_is_ready_when_all_pods_are_new_and_ready() {
        let read = |ready, updated, seen| {
            let kind = KindName("Deployment.apps".into());
            let data = json!({
                "spec": {"replicas": 2},
                "status": {
                    "replicas": 2, "readyReplicas": ready, "updatedReplicas": updated,
                    "observedGeneration": seen,
                },
            });
            Workload::read(&kind, &data, Some(2)).unwrap()
        };
        assert!(read(2, 2, 2).is_ready());
        assert!(!read(1, 2, 2).is_ready());
        assert!(!read(2, 1, 2).is_ready());
        assert!(!read(2, 2, 1).is_ready());
    }

    #[test]
    fn a_stateful_set_of_two_revisions_is_not_current() {
        let read = |revision: &str| {
            let kind = KindName("StatefulSet.apps".into());
            let data = json!({
                "spec": {"replicas": 1},
                "status": {
                    "replicas": 1, "readyReplicas": 1, "updatedReplicas": 1,
                    "observedGeneration": 1,
                    "currentRevision": "a", "updateRevision": revision,
                },
            });
            Workload::read(&kind, &data, Some(1)).unwrap()
        };
        assert!(read("a").is_ready());
        assert!(!read("b").is_ready());
    }

    #[test]
    fn a_job_says_why_it_failed() {
        let kind = KindName("Job.batch".into());
        let data = json!({
            "spec": {"completions": 1, "backoffLimit": 6},
            "status": {"conditions": [{
                "type": "Failed", "status": "True", "reason": "BackoffLimitExceeded",
                "message": "Job has reached the specified backoff limit",
            }]},
        });
        let job = Workload::read(&kind, &data, Some(1)).unwrap();
        assert!(!job.is_ready());
        assert_eq!(&*job.trouble.unwrap().0, "BackoffLimitExceeded");
    }
}
