//! For whom a port is: what operators alone may see and do is not on one that others reach.

use millrace_observe::State;

/// Paths that operators alone may use, with all below them.
const OPERATORS: [&str; 4] =
    ["/api/v1/backup", "/api/v1/dead-letters", "/api/v1/rebuilds", "/api/v1/replays"];

/// What is said instead of a reason: it may name other systems, and what they answered.
const ASK: &str = "operators are told why, by `millrace status`";

/// Among a request's extensions where operators have a port of their own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outsiders;

/// Whether operators alone may use a path.
pub(crate) fn is_of_operators(path: &str) -> bool {
    OPERATORS.iter().any(|own| {
        path.strip_prefix(own).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

/// Reasons as outsiders are told them.
pub(crate) fn without_reasons(reasons: &[String]) -> Vec<String> {
    reasons.first().map(|_| ASK.to_owned()).into_iter().collect()
}

/// A state as outsiders are told it.
pub(crate) fn without_reason(state: State) -> State {
    match state {
        State::Waiting(_) => State::Waiting(ASK.to_owned()),
        State::Failed(_) => State::Failed(ASK.to_owned()),
        state @ (State::Starting | State::Running | State::Finished) => state,
    }
}

#[cfg(test)]
mod tests {
    use millrace_plan::OWN_PATHS;

    use super::*;

    #[test]
    fn whatever_changes_a_pipeline_is_for_operators() {
        let others = OWN_PATHS.iter().filter(|(path, _)| !is_of_operators(path));
        for (path, methods) in others {
            assert_eq!(*methods, ["GET"], "{path}");
        }
        assert!(is_of_operators("/api/v1/dead-letters/7/replay"));
        assert!(!is_of_operators("/api/v1/replaystation"));
    }
}
