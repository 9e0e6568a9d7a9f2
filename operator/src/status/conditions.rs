//! `Valid`, `Ready`, `Progressing`, `Degraded` and `Lagging`: each with a reason and what to do next.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use millrace_api::TelemetryPipelineStatus;

use super::Certificate;
use super::PartState;
use super::Seen;
use super::Waiting;
use super::waiting;
use crate::names::Part;
use crate::reasons;
use crate::scale::Behind;
use crate::scale::Pace;
use crate::turns::AT_A_TIME;
use crate::validate::Problem;

/// Problems that are told at once.
const TOLD: usize = 5;

/// Longest message, in bytes, so that a status stays small.
const LONGEST: usize = 4096;

/// The condition that says how workers keep up.
const LAGGING: &str = "Lagging";

/// Whether a resource is valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Validity {
    /// It is, with what it gets otherwise than it asks for.
    Valid(Vec<String>),
    /// It is not.
    Invalid(Vec<Problem>),
    /// It cannot be read, for this reason.
    Unreadable(String),
}

struct Told {
    kind: &'static str,
    status: &'static str,
    reason: &'static str,
    message: String,
}

pub(super) fn conditions(
    seen: &Seen<'_>,
    states: &[PartState],
    before: Option<&TelemetryPipelineStatus>,
    now: Timestamp,
) -> Vec<Condition> {
    let worst = waiting::worst(seen.names.namespace(), seen.pods, now);
    let told = [
        valid(seen),
        ready(seen, states, worst.as_ref()),
        progressing(seen, states),
        degraded(seen, states, worst.as_ref()),
    ];
    let find = |kind: &str| {
        before.iter().flat_map(|status| &status.conditions).find(|was| was.type_ == kind).cloned()
    };
    let condition = |told: Told| {
        // A condition changes when its status does, not when its reason does.
        let since = find(told.kind).filter(|was| was.status == told.status);
        let since = since.map_or(Time(now), |was| was.last_transition_time);
        Condition {
            type_: told.kind.to_owned(),
            status: told.status.to_owned(),
            reason: told.reason.to_owned(),
            message: cut(told.message),
            last_transition_time: since,
            observed_generation: seen.generation,
        }
    };
    let lagging = seen.workers.as_ref().and_then(|workers| match &workers.pace {
        Some(pace) => Some(condition(lagging(pace, &workers.advice))),
        None => find(LAGGING).map(|was| Condition { observed_generation: seen.generation, ..was }),
    });
    told.into_iter().map(condition).chain(lagging).collect()
}

fn valid(seen: &Seen<'_>) -> Told {
    let (status, reason, message) = match &seen.validity {
        Validity::Valid(notes) if notes.is_empty() => {
            ("True", reasons::VALID, "the resource is valid".to_owned())
        }
        Validity::Valid(notes) => ("True", reasons::ADJUSTED, notes.join("; ")),
        Validity::Invalid(problems) => {
            let reason = problems.first().map_or(reasons::INVALID, |problem| problem.reason);
            let mut texts: Vec<String> =
                problems.iter().take(TOLD).map(ToString::to_string).collect();
            if problems.len() > TOLD {
                texts.push(format!("and {} more", problems.len() - TOLD));
            }
            ("False", reason, texts.join("\n"))
        }
        Validity::Unreadable(why) => (
            "False",
            reasons::UNREADABLE,
            format!(
                "this version of the operator cannot read the resource: {why}; write what it \
                 knows, or upgrade the operator"
            ),
        ),
    };
    Told { kind: "Valid", status, reason, message }
}

fn ready(seen: &Seen<'_>, states: &[PartState], worst: Option<&Waiting>) -> Told {
    let told = |status, reason, message| Told { kind: "Ready", status, reason, message };
    let is_valid = matches!(seen.validity, Validity::Valid(_));
    if seen.parts.is_none() {
        let (reason, message) = if seen.paused {
            (reasons::PAUSED, "nothing is made while paused; write paused: false")
        } else if is_valid {
            (reasons::WAITING, "nothing is made yet; see the condition Degraded")
        } else {
            let reason = valid(seen).reason;
            (reason, "nothing is made until the resource is valid; see the condition Valid")
        };
        return told("False", reason, message.to_owned());
    }
    if let Some((reason, message)) = &seen.failure {
        return told("False", reason, message.clone());
    }
    let waits: Vec<&str> = states
        .iter()
        .filter(|state| !state.is_ready())
        .map(|state| state.object.as_str())
        .collect();
    if !waits.is_empty() {
        let message = format!("waiting for {}", waits.join(", "));
        if let Some(worst) = worst {
            return told("False", worst.reason, format!("{message}; {}", worst.message));
        }
        if let Certificate::Awaited { secret } = &seen.certificate {
            let namespace = seen.names.namespace();
            let message = format!(
                "{message}; cert-manager has not made the Secret {secret} yet: see `kubectl -n \
                 {namespace} describe certificate {}`",
                seen.names.part(Part::Edge)
            );
            return told("False", reasons::CERTIFICATE_PENDING, message);
        }
        return told("False", reasons::WAITING, message);
    }
    let message = match &seen.reached.url {
        Some(url) => format!("everything runs; the dashboard is at {url}"),
        None => "everything runs".to_owned(),
    };
    if seen.paused {
        return told("True", reasons::PAUSED, message);
    }
    if is_valid {
        return told("True", reasons::READY, message);
    }
    let message = "what was valid last runs; see the condition Valid".to_owned();
    told("True", reasons::LAST_VALID_RUNS, message)
}

fn progressing(seen: &Seen<'_>, states: &[PartState]) -> Told {
    let told =
        |status, reason, message: String| Told { kind: "Progressing", status, reason, message };
    if seen.paused {
        let message = "paused: true leaves everything as it is; write paused: false".to_owned();
        return told("False", reasons::PAUSED, message);
    }
    if seen.waits {
        let message = format!(
            "this operator makes other pods than the one before, and changes {AT_A_TIME} pipelines \
             at a time: this one follows by itself; an edit of it is carried out at once"
        );
        return told("True", reasons::WAITS_FOR_TURN, message);
    }
    let moving: Vec<&str> = states
        .iter()
        .filter(|state| !state.is_ready())
        .map(|state| state.object.as_str())
        .collect();
    if moving.is_empty() {
        return told("False", reasons::STEADY, "nothing changes".to_owned());
    }
    told("True", reasons::ROLLING_OUT, format!("{} not as wanted yet", moving.join(", ")))
}

fn degraded(seen: &Seen<'_>, states: &[PartState], worst: Option<&Waiting>) -> Told {
    let told = |reason, message| Told { kind: "Degraded", status: "True", reason, message };
    if let Some((reason, message)) = &seen.failure
        && *reason != reasons::WAITING
    {
        return told(reason, message.clone());
    }
    if let Some(worst) = worst {
        return told(worst.reason, worst.message.clone());
    }
    for state in states {
        let Some(workload) = &state.workload else { continue };
        let Some((reason, message)) = &workload.trouble else { continue };
        let namespace = seen.names.namespace();
        let object = &state.object;
        if state.part == Part::Provision {
            return told(
                reasons::PROVISION_FAILED,
                format!(
                    "the Job {object} failed ({reason}: {message}); see `kubectl -n {namespace} \
                     logs job/{object}`, then `kubectl -n {namespace} delete job {object}` to try \
                     again"
                ),
            );
        }
        if !workload.is_ready() {
            return told(reasons::PODS_REFUSED, format!("{object}: {reason}: {message}"));
        }
    }
    Told {
        kind: "Degraded",
        status: "False",
        reason: reasons::HEALTHY,
        message: "nothing is known to be wrong".to_owned(),
    }
}

fn lagging(pace: &Pace, advice: &str) -> Told {
    let (status, reason, message) = match pace {
        Pace::KeepsUp => {
            ("False", reasons::KEEPS_UP, "the workers keep up with what comes in".to_owned())
        }
        Pace::Lags(Behind { group, records }) => (
            "True",
            reasons::FALLS_BEHIND,
            format!(
                "{records} records waited for the workers' group {group} after 5 minutes in which \
                 they had not become fewer; {advice}"
            ),
        ),
    };
    Told { kind: LAGGING, status, reason, message }
}

fn cut(mut message: String) -> String {
    if message.len() > LONGEST {
        message.truncate(message.floor_char_boundary(LONGEST - '…'.len_utf8()));
        message.push('…');
    }
    message
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "helpers fail as tests do")]
mod tests {
    use super::*;
    use crate::names::Names;
    use crate::owned::Objects;
    use crate::status::Following;
    use crate::status::Reached;

    fn lagging_of(workers: Option<Following>, before: Option<&str>) -> Option<(String, String)> {
        let before = before.map(|message| TelemetryPipelineStatus {
            conditions: vec![Condition {
                type_: "Lagging".to_owned(),
                status: "True".to_owned(),
                reason: "FallsBehind".to_owned(),
                message: message.to_owned(),
                last_transition_time: Time(Timestamp::UNIX_EPOCH),
                observed_generation: Some(1),
            }],
            ..TelemetryPipelineStatus::default()
        });
        let seen = Seen {
            names: &Names::new("factory", "race"),
            generation: Some(2),
            validity: Validity::Valid(Vec::new()),
            paused: false,
            waits: false,
            parts: Some(Vec::new()),
            objects: &Objects::new(),
            pods: &[],
            failure: None,
            workers,
            reached: Reached::default(),
            partitions: None,
            certificate: Certificate::Unknown,
        };
        let now = Timestamp::from_second(60).unwrap();
        let conditions = conditions(&seen, &[], before.as_ref(), now);
        let found = conditions.into_iter().find(|condition| condition.type_ == "Lagging")?;
        Some((format!("{} {}", found.status, found.reason), found.message))
    }

    fn following(pace: Option<Pace>) -> Following {
        Following { pace, advice: "add workers".to_owned() }
    }

    #[test]
    fn who_lags_is_told_with_the_group_and_what_to_do() {
        let behind = Behind { group: "motion".to_owned(), records: 20_000 };
        assert_eq!(
            lagging_of(Some(following(Some(Pace::Lags(behind)))), None).unwrap(),
            (
                "True FallsBehind".to_owned(),
                "20000 records waited for the workers' group motion after 5 minutes in which they had not become fewer; add workers".to_owned()
            )
        );
        assert_eq!(
            lagging_of(Some(following(Some(Pace::KeepsUp))), Some("before")).unwrap().0,
            "False KeepsUp"
        );
    }

    #[test]
    fn what_was_said_of_the_lag_stays_until_it_is_known_and_goes_where_nobody_reads_it() {
        let told = lagging_of(Some(following(None)), Some("before")).unwrap();
        assert_eq!(told, ("True FallsBehind".to_owned(), "before".to_owned()));
        assert_eq!(lagging_of(Some(following(None)), None), None);
        assert_eq!(lagging_of(None, Some("before")), None);
    }
}
