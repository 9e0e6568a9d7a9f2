//! The pod that is asked. It answers operators on its loopback, without credentials: who may forward
//! a port to it may ask.

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::ResourceExt as _;
use kube::api::ListParams;

/// Port on a query pod's loopback that answers operators.
pub(crate) const PORT: u16 = 9090;

/// Query pods of a pipeline.
pub(crate) struct QueryPods {
    api: Api<Pod>,
    pipeline: String,
}

impl QueryPods {
    /// Those of this pipeline.
    pub(crate) fn new(api: Api<Pod>, pipeline: &str) -> Self {
        Self { api, pipeline: pipeline.to_owned() }
    }

    /// The name of a pod that is ready; none if there is none. The one before, as long as it is:
    /// how far a replay has come is known to who carries it out.
    pub(crate) async fn ready(&self, before: Option<&str>) -> Result<Option<String>, kube::Error> {
        let pods = self.api.list(&ListParams::default().labels(&selector(&self.pipeline))).await?;
        Ok(choose(&pods.items, before))
    }
}

fn selector(pipeline: &str) -> String {
    format!("app.kubernetes.io/component=query,millrace.dev/pipeline={pipeline}")
}

/// The first one by name: who asks twice asks the same.
fn choose(pods: &[Pod], before: Option<&str>) -> Option<String> {
    let mut names: Vec<String> =
        pods.iter().filter(|pod| is_ready(pod)).map(Pod::name_any).collect();
    names.sort();
    let same = names.iter().position(|name| Some(&**name) == before);
    (!names.is_empty()).then(|| names.swap_remove(same.unwrap_or(0)))
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let mut conditions = conditions.filter(|condition| condition.type_ == "Ready");
    // One that is to end may be ready until it has ended.
    pod.metadata.deletion_timestamp.is_none()
        && conditions.any(|condition| condition.status == "True")
}

#[cfg(test)]
mod tests {
    use millrace_operator::labels;
    use millrace_operator::names::Names;
    use millrace_operator::names::Part;
    use serde_json::json;

    use super::*;

    fn pod(name: &str, ready: &str, ends: bool) -> Pod {
        let ends = ends.then_some("2026-01-01T00:00:00Z");
        serde_json::from_value(json!({
            "metadata": {"name": name, "deletionTimestamp": ends},
            "status": {"conditions": [
                {"type": "PodScheduled", "status": "True"},
                {"type": "Ready", "status": ready},
            ]},
        }))
        .unwrap()
    }

    #[test]
    fn the_first_ready_pod_that_stays_is_asked() {
        let pods = [
            pod("race-query-d", "True", false),
            pod("race-query-a", "False", false),
            pod("race-query-b", "True", true),
            pod("race-query-c", "True", false),
        ];
        assert_eq!(choose(&pods, None).as_deref(), Some("race-query-c"));
        assert_eq!(choose(&pods[1..3], None), None);
        assert_eq!(choose(&[Pod::default()], None), None);
    }

    #[test]
    fn the_pod_before_is_asked_again_while_it_is_ready() {
        let pods = [pod("race-query-a", "True", false), pod("race-query-b", "True", false)];
        assert_eq!(choose(&pods, Some("race-query-b")).as_deref(), Some("race-query-b"));
        assert_eq!(choose(&pods[..1], Some("race-query-b")).as_deref(), Some("race-query-a"));
    }

    #[test]
    fn pods_are_found_by_the_labels_that_the_operator_gives_them() {
        let labels = labels::selector(&Names::new("factory", "race"), Part::Query);
        let labels: Vec<String> =
            labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(selector("race"), labels.join(","));
    }

    #[test]
    fn the_port_is_where_the_operator_has_query_pods_listen() {
        let builder = include_str!("../../operator/src/build/query.rs");
        assert!(builder.contains(&format!("const ADMIN: &str = \"127.0.0.1:{PORT}\";")));
    }
}
