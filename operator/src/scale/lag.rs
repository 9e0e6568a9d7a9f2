//! How far workers are behind, as a pod that answers says it.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::Client;
use kube::api::ListParams;

use crate::labels::COMPONENT;
use crate::labels::PIPELINE;
use crate::names::Part;
use crate::owned::PipelineKey;
use crate::scale::Behind;

/// The metric.
const METRIC: &str = "millrace_component_lag_records";

/// Port of health, metrics and answers.
const PORT: u16 = 8080;

/// Why it is not known.
#[derive(Debug, thiserror::Error)]
pub(super) enum LagError {
    /// Pods cannot be listed.
    #[error("cannot list the pods that answer")]
    List(#[source] kube::Error),
    /// There is none that answers.
    #[error("no pod that answers is ready")]
    NoPod,
    /// It does not answer.
    #[error("cannot read metrics of the pod {pod}")]
    Get {
        /// Its name.
        pod: String,
        /// Why not.
        source: reqwest::Error,
    },
    /// It does not say.
    #[error("the pod {pod} does not say how far any of the workers' groups is behind")]
    Unknown {
        /// Its name.
        pod: String,
    },
}

/// The group that is furthest behind.
pub(super) async fn read(
    client: &Client,
    http: &reqwest::Client,
    pipeline: &PipelineKey,
    groups: &[String],
) -> Result<Behind, LagError> {
    let api: Api<Pod> = Api::namespaced(client.clone(), &pipeline.namespace);
    let labels = format!("{PIPELINE}={},{COMPONENT}={}", pipeline.name, Part::Query.name());
    let pods = api.list(&ListParams::default().labels(&labels)).await.map_err(LagError::List)?;
    let ready = pods.items.into_iter().find_map(|pod| {
        let status = pod.status?;
        let ready = status.conditions?.iter().any(|c| c.type_ == "Ready" && c.status == "True");
        Some((pod.metadata.name?, status.pod_ip.filter(|_| ready)?))
    });
    let (pod, address) = ready.ok_or(LagError::NoPod)?;
    let host = if address.contains(':') { format!("[{address}]") } else { address };
    let url = format!("http://{host}:{PORT}/metrics");
    let text = async { http.get(url).send().await?.error_for_status()?.text().await }.await;
    let text = text.map_err(|source| LagError::Get { pod: pod.clone(), source })?;
    highest(&text, groups).ok_or(LagError::Unknown { pod })
}

/// The group with the highest sum over partitions.
fn highest(text: &str, groups: &[String]) -> Option<Behind> {
    let mut sums: BTreeMap<&str, i64> = BTreeMap::new();
    for line in text.lines() {
        let Some((labels, value)) = line
            .strip_prefix(METRIC)
            .and_then(|rest| rest.strip_prefix('{'))
            .and_then(|rest| rest.rsplit_once("} "))
        else {
            continue;
        };
        let name = labels
            .split(',')
            .find_map(|label| label.strip_prefix("name=\"")?.strip_suffix('"'))
            .and_then(|name| groups.iter().find(|group| *group == name));
        let value = value.split(' ').next().and_then(|value| value.parse::<i64>().ok());
        if let (Some(name), Some(value)) = (name, value) {
            *sums.entry(name.as_str()).or_default() += value.max(0);
        }
    }
    let (group, records) = sums.into_iter().max_by_key(|(_, records)| *records)?;
    Some(Behind { group: group.to_owned(), records })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_that_is_furthest_behind_counts() {
        let text = r#"# TYPE millrace_component_lag_records gauge
millrace_component_lag_records{kind="task",name="motion",stream="coordinates",partition="0"} 3
millrace_component_lag_records{kind="task",name="motion",stream="coordinates",partition="1"} 4
millrace_component_lag_records{kind="sink",name="laps",stream="lapTimes",partition="0"} 5
millrace_component_lag_records{kind="sink",name="other",stream="lapTimes",partition="0"} 500
millrace_component_up{kind="task",name="motion"} 1
"#;
        let groups = ["motion".to_owned(), "laps".to_owned()];
        let motion = Behind { group: "motion".to_owned(), records: 7 };
        assert_eq!(highest(text, &groups), Some(motion));
        assert_eq!(highest(text, &["none".to_owned()]), None);
    }
}
