//! Events: at transitions alone, with the reason of the condition.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::Event;
use kube::runtime::events::EventType;
use kube::runtime::events::Recorder;
use kube::runtime::events::Reporter;
use millrace_api::TelemetryPipelineStatus;
use millrace_core::with_causes;
use tracing::warn;

/// Most bytes of an Event's note.
const LONGEST: usize = 1024;

/// Who reports.
const REPORTER: &str = "millrace.dev/operator";

/// What happened to a pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happening {
    /// Whether somebody has to do something.
    pub warning: bool,
    /// Reason of the condition.
    pub reason: String,
    /// Its message.
    pub note: String,
}

/// Tells of transitions.
#[derive(Clone)]
pub struct Events(Recorder);

impl Events {
    /// Events of this operator.
    #[must_use]
    pub fn new(client: Client, identity: String) -> Self {
        let reporter = Reporter { controller: REPORTER.to_owned(), instance: Some(identity) };
        Self(Recorder::new(client, reporter))
    }

    /// Tells of something. That it cannot be told is logged, and stops nothing.
    pub async fn tell(&self, about: &ObjectReference, happening: Happening) {
        let event = Event {
            type_: if happening.warning { EventType::Warning } else { EventType::Normal },
            reason: happening.reason,
            note: Some(cut(happening.note)),
            action: "Reconcile".to_owned(),
            secondary: None,
        };
        if let Err(error) = self.0.publish(&event, about).await {
            if namespace_ends(&error) {
                return;
            }
            let reason = &event.reason;
            warn!(message = "Failed to write an Event.", reason, error = with_causes(&error));
        }
    }
}

/// What has happened between two statuses.
#[must_use]
pub fn transitions(
    before: Option<&TelemetryPipelineStatus>,
    after: &TelemetryPipelineStatus,
) -> Vec<Happening> {
    let before = before.map(|status| status.conditions.as_slice()).unwrap_or_default();
    let changed = after.conditions.iter().filter(|condition| {
        let was = before.iter().find(|was| was.type_ == condition.type_);
        // Before its first status a pipeline was not ready, and nothing was wrong.
        match was {
            Some(was) => (&was.status, &was.reason) != (&condition.status, &condition.reason),
            None => condition.status == bad(&condition.type_) && condition.type_ != "Ready",
        }
    });
    changed
        .filter(|condition| condition.type_ != "Progressing")
        .map(|condition| Happening {
            warning: condition.status == bad(&condition.type_),
            reason: condition.reason.clone(),
            note: condition.message.clone(),
        })
        .collect()
}

/// Whether a namespace takes nothing new, since it is being deleted or is gone.
fn namespace_ends(error: &kube::Error) -> bool {
    let kube::Error::Api(answer) = error else { return false };
    let Some(details) = &answer.details else { return false };
    let is_gone = answer.code == 404 && details.kind == "namespaces";
    is_gone || details.causes.iter().any(|cause| cause.reason == "NamespaceTerminating")
}

/// The status of a condition that is a cause for concern.
fn bad(condition: &str) -> &'static str {
    if ["Degraded", "Lagging"].contains(&condition) { "True" } else { "False" }
}

fn cut(mut text: String) -> String {
    if text.len() > LONGEST {
        let end = text.floor_char_boundary(LONGEST - '…'.len_utf8());
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;

    fn status(conditions: &[(&str, &str, &str)]) -> TelemetryPipelineStatus {
        let conditions = conditions.iter().map(|(kind, status, reason)| Condition {
            type_: (*kind).to_owned(),
            status: (*status).to_owned(),
            reason: (*reason).to_owned(),
            message: format!("about {reason}"),
            last_transition_time: Time(jiff::Timestamp::UNIX_EPOCH),
            observed_generation: None,
        });
        TelemetryPipelineStatus {
            conditions: conditions.collect(),
            ..TelemetryPipelineStatus::default()
        }
    }

    #[test]
    fn an_event_is_of_a_change_and_not_of_a_state() {
        let waiting = status(&[("Ready", "False", "Waiting"), ("Degraded", "False", "Healthy")]);
        assert_eq!(transitions(None, &waiting), []);
        assert_eq!(transitions(Some(&waiting), &waiting), []);
        let crashing = status(&[("Ready", "False", "Waiting"), ("Degraded", "True", "Crashing")]);
        assert_eq!(
            transitions(Some(&waiting), &crashing),
            [Happening {
                warning: true,
                reason: "Crashing".to_owned(),
                note: "about Crashing".to_owned(),
            }]
        );
        let ready = status(&[("Ready", "True", "Ready"), ("Degraded", "True", "Crashing")]);
        assert_eq!(
            transitions(Some(&crashing), &ready),
            [Happening {
                warning: false,
                reason: "Ready".to_owned(),
                note: "about Ready".to_owned()
            }]
        );
    }

    #[test]
    fn an_event_that_a_namespace_does_not_take_because_it_ends_is_known() {
        let ends = |answer: serde_json::Value| {
            namespace_ends(&kube::Error::Api(serde_json::from_value(answer).unwrap()))
        };
        assert!(ends(serde_json::json!({
            "code": 403, "reason": "Forbidden", "message": "is being terminated",
            "details": {"causes": [{"reason": "NamespaceTerminating", "field": "metadata.namespace"}]},
        })));
        assert!(ends(serde_json::json!({"code": 404, "details": {"kind": "namespaces"}})));
        assert!(!ends(serde_json::json!({"code": 403, "details": {"kind": "events"}})));
        assert!(!ends(serde_json::json!({"code": 404, "details": {"kind": "events"}})));
    }

    #[test]
    fn a_lag_is_a_warning_while_it_lasts() {
        let keeps_up = status(&[("Lagging", "False", "KeepsUp")]);
        let lags = status(&[("Lagging", "True", "FallsBehind")]);
        assert_eq!(transitions(None, &keeps_up), []);
        assert!(transitions(Some(&keeps_up), &lags)[0].warning);
        assert!(!transitions(Some(&lags), &keeps_up)[0].warning);
        // That nobody reads it any more is no news.
        assert_eq!(transitions(Some(&lags), &status(&[])), []);
    }

    #[test]
    fn a_note_is_at_most_a_kibibyte() {
        assert_eq!(cut("ä".repeat(600)).len(), 1023);
        assert_eq!(cut("short".to_owned()), "short");
    }
}
