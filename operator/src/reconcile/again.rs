//! When to look at a pipeline again that nothing is heard of.

use std::time::Duration;

use jiff::Timestamp;
use millrace_api::TelemetryPipelineStatus;

/// Shortest time to the next look at a pipeline that is not ready: pods are not watched.
const SOON: Duration = Duration::from_secs(10);
/// Longest time to it. As soon as its pods are ready there is a pass anyway.
const LATER: Duration = Duration::from_mins(1);

/// Time to the next look at a pipeline that is not ready: a quarter of the time that it has not been,
/// so that many that wait for long leave the time of passes to those that change.
pub(super) fn until_ready(status: Option<&TelemetryPipelineStatus>, now: Timestamp) -> Duration {
    let conditions = status.iter().flat_map(|status| &status.conditions);
    let mut waiting = conditions.filter(|it| it.type_ == "Ready" && it.status != "True");
    let since = waiting.next().map_or(now, |ready| ready.last_transition_time.0);
    let waited = Duration::try_from(now.duration_since(since)).unwrap_or_default();
    (waited / 4).clamp(SOON, LATER)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn after(seconds: i64, status: &str) -> u64 {
        let since: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let ready = json!({
            "type": "Ready", "status": status, "reason": "Waiting", "message": "",
            "lastTransitionTime": since.to_string(),
        });
        let status = serde_json::from_value(json!({"conditions": [ready]})).unwrap();
        let now = Timestamp::from_second(since.as_second() + seconds).unwrap();
        until_ready(Some(&status), now).as_secs()
    }

    #[test]
    fn who_is_not_ready_for_long_is_looked_at_less_often() {
        let looks = [0, 40, 100, 10_000].map(|seconds| after(seconds, "False"));
        assert_eq!(looks, [10, 10, 25, 60]);
    }

    #[test]
    fn who_has_just_been_ready_or_is_new_is_looked_at_soon() {
        assert_eq!(after(10_000, "True"), 10);
        assert_eq!(until_ready(None, Timestamp::UNIX_EPOCH).as_secs(), 10);
    }

    #[test]
    fn a_clock_that_went_back_means_soon() {
        assert_eq!(after(-100, "False"), 10);
    }
}
