//! Why pods are not ready, and what to do about it.

use jiff::SignedDuration;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ContainerStatus;
use k8s_openapi::api::core::v1::Pod;

use crate::reasons;

/// How long a pod has no node before that is told: volumes and nodes take a while to be made.
const UNPLACED: SignedDuration = SignedDuration::from_mins(1);

/// Why something is not ready, and will not be by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Reason of the condition.
    pub reason: &'static str,
    /// The object and the next step.
    pub message: String,
}

/// What holds pods up most.
#[must_use]
pub fn worst(namespace: &str, pods: &[Pod], now: Timestamp) -> Option<Waiting> {
    let all = pods.iter().filter_map(|pod| why(namespace, pod, now));
    // The first of the highest rank, so that the message does not change by itself.
    all.min_by_key(|(rank, waiting)| (*rank, waiting.message.clone())).map(|(_, waiting)| waiting)
}

fn why(namespace: &str, pod: &Pod, now: Timestamp) -> Option<(u8, Waiting)> {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let status = pod.status.as_ref()?;
    if pod.metadata.deletion_timestamp.is_some() || status.phase.as_deref() == Some("Succeeded") {
        return None;
    }
    let containers = status
        .init_container_statuses
        .iter()
        .flatten()
        .chain(status.container_statuses.iter().flatten());
    for container in containers {
        if let Some(found) = container_waits(namespace, name, container) {
            return Some(found);
        }
    }
    let mut conditions = status.conditions.iter().flatten();
    let unplaced = conditions.find(|c| c.type_ == "PodScheduled" && c.status == "False");
    if let Some(condition) = unplaced {
        let since = condition.last_transition_time.as_ref();
        if since.is_some_and(|since| now.duration_since(since.0) < UNPLACED) {
            return None;
        }
        let message = condition.message.as_deref().unwrap_or("no node takes it");
        let volume = message.contains("PersistentVolumeClaim") || message.contains("volume");
        let (reason, next) = if volume {
            // https://github.com/kubernetes/kubernetes/issues/93552: a scheduler may have looked too
            // early and then looks again after five minutes.
            let next = format!(
                "see `kubectl -n {namespace} get pvc`; if all are Bound, the scheduler looks again \
                 within six minutes, or at once after `kubectl -n {namespace} delete pod {name}`"
            );
            (reasons::VOLUME_PENDING, next)
        } else {
            let next = "lower spec.resources, change spec.placement, or add nodes".to_owned();
            (reasons::UNSCHEDULABLE, next)
        };
        let message = format!("the pod {name} has no node: {message}; {next}");
        return Some((2, Waiting { reason, message }));
    }
    if status.phase.as_deref() == Some("Failed") {
        let message = status.message.as_deref().unwrap_or("it ended with an error");
        let message =
            format!("the pod {name} failed: {message}; see `kubectl -n {namespace} logs {name}`");
        return Some((3, Waiting { reason: reasons::CRASHING, message }));
    }
    None
}

fn container_waits(
    namespace: &str,
    pod: &str,
    container: &ContainerStatus,
) -> Option<(u8, Waiting)> {
    let state = container.state.as_ref()?;
    if let Some(waiting) = &state.waiting {
        let reason = waiting.reason.as_deref().unwrap_or_default();
        let said = waiting.message.as_deref().unwrap_or(reason);
        return match reason {
            "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull" => {
                // What the kubelet says alternates; the image and the reason do not.
                let message = format!(
                    "the pod {pod} cannot pull the image {}; correct it, or name a Secret in \
                     spec.images.pullSecrets",
                    container.image
                );
                let reason = reasons::IMAGE_PULL_FAILED;
                Some((0, Waiting { reason, message }))
            }
            "CrashLoopBackOff" => Some((1, crashing(namespace, pod, container))),
            "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => {
                let message = format!("the pod {pod} cannot start {}: {said}", container.name);
                Some((1, Waiting { reason: reasons::CRASHING, message }))
            }
            _ => None,
        };
    }
    let ended = state.terminated.as_ref().is_some_and(|ended| ended.exit_code != 0);
    (ended || (!container.ready && container.restart_count > 2 && last_failed(container)))
        .then(|| (1, crashing(namespace, pod, container)))
}

fn last_failed(container: &ContainerStatus) -> bool {
    let last = container.last_state.as_ref().and_then(|state| state.terminated.as_ref());
    last.is_some_and(|ended| ended.exit_code != 0)
}

fn crashing(namespace: &str, pod: &str, container: &ContainerStatus) -> Waiting {
    let now = container.state.as_ref().and_then(|state| state.terminated.as_ref());
    let last = container.last_state.as_ref().and_then(|state| state.terminated.as_ref());
    let ended = now.or(last);
    let code =
        ended.map_or_else(String::new, |ended| format!(" with exit code {}", ended.exit_code));
    let words = ended
        .and_then(|ended| ended.message.as_deref())
        .and_then(|message| message.lines().rfind(|line| !line.trim().is_empty()))
        .map_or_else(String::new, |line| format!(" ({})", line.trim()));
    let reason = ended.and_then(|ended| ended.reason.as_deref());
    let next = if reason == Some("OOMKilled") {
        "it needs more memory: raise it in spec.resources".to_owned()
    } else {
        format!("see `kubectl -n {namespace} logs {pod} -c {} --previous`", container.name)
    };
    Waiting {
        reason: reasons::CRASHING,
        message: format!("the pod {pod} ended{code}{words}; {next}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(status: &str) -> Pod {
        let text = format!("metadata: {{name: race-ingest-1}}\nstatus:\n{status}");
        serde_yaml_ng::from_str(&text).unwrap()
    }

    /// What is told of a pod that is without a node since noon, at this time of the day.
    fn unplaced(why: &str, now: &str) -> Option<Waiting> {
        let pod = pod(&format!(
            "  phase: Pending\n  conditions: [{{type: PodScheduled, status: 'False', message: {why}, lastTransitionTime: '2026-01-01T12:00:00Z'}}]",
        ));
        worst("factory", &[pod], format!("2026-01-01T{now}Z").parse().unwrap())
    }

    fn now() -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    #[test]
    fn an_image_that_cannot_be_pulled_is_named() {
        let pods = [pod(
            "  containerStatuses: [{name: ingest, image: millrace:x, imageID: '', ready: false, restartCount: 0, state: {waiting: {reason: ImagePullBackOff, message: Back-off}}}]",
        )];
        assert_eq!(
            worst("factory", &pods, now()),
            Some(Waiting {
                reason: "ImagePullFailed",
                message: "the pod race-ingest-1 cannot pull the image millrace:x; correct it, or name a Secret in spec.images.pullSecrets".to_owned(),
            })
        );
    }

    #[test]
    fn a_crash_has_its_last_words() {
        let pods = [pod(
            "  containerStatuses: [{name: ingest, image: m, imageID: '', ready: false, restartCount: 3, state: {waiting: {reason: CrashLoopBackOff}}, lastState: {terminated: {exitCode: 78, reason: Error, message: \"starting\\nno such topic\\n\"}}}]",
        )];
        assert_eq!(
            worst("factory", &pods, now()).map(|waiting| waiting.message),
            Some("the pod race-ingest-1 ended with exit code 78 (no such topic); see `kubectl -n factory logs race-ingest-1 -c ingest --previous`".to_owned())
        );
    }

    #[test]
    fn a_pod_without_a_node_says_why() {
        assert_eq!(
            unplaced("0/1 nodes are available", "12:01:00"),
            Some(Waiting {
                reason: "Unschedulable",
                message: "the pod race-ingest-1 has no node: 0/1 nodes are available; lower spec.resources, change spec.placement, or add nodes".to_owned(),
            })
        );
        assert_eq!(
            unplaced("pod has unbound immediate PersistentVolumeClaims", "12:01:00"),
            Some(Waiting {
                reason: "VolumePending",
                message: "the pod race-ingest-1 has no node: pod has unbound immediate PersistentVolumeClaims; see `kubectl -n factory get pvc`; if all are Bound, the scheduler looks again within six minutes, or at once after `kubectl -n factory delete pod race-ingest-1`".to_owned(),
            })
        );
    }

    #[test]
    fn a_pod_has_a_minute_to_get_a_node() {
        assert_eq!(unplaced("0/1 nodes are available", "12:00:59"), None);
    }

    #[test]
    fn a_pod_that_starts_is_only_waited_for() {
        let pods = [pod(
            "  phase: Pending\n  containerStatuses: [{name: ingest, image: m, imageID: '', ready: false, restartCount: 0, state: {waiting: {reason: ContainerCreating}}}]",
        )];
        assert_eq!(worst("factory", &pods, now()), None);
    }
}
