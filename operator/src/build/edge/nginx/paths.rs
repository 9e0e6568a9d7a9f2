//! Paths of requests as patterns.
//!
//! nginx knows a path in two ways: as it was sent, which is how our processes read it, and tidied
//! up (decoded, without dots and double slashes), which is how it chooses a location. Who gets a
//! request is decided by what was sent, so that nginx and the process agree; how large it may be, by
//! the location. What operators alone may reach is kept back in either reading.

use crate::build::edge::nginx::text::literal;
use crate::pipeline::HttpWayIn;

/// Paths of every pipeline that the edge does not pass on, with all below them: probes, metrics, and
/// what changes the pipeline or shows what it refused. Operators reach them within the cluster.
pub(super) const KEPT_BACK: [&str; 7] = [
    "/livez",
    "/readyz",
    "/metrics",
    "/api/v1/backup",
    "/api/v1/dead-letters",
    "/api/v1/rebuilds",
    "/api/v1/replays",
];

/// Paths of every pipeline whose answers do not end by themselves, and which may be WebSockets.
const LIVE: [&str; 2] = ["/api/v1/events", "/api/v1/streams/{stream}/events"];

/// What ends a path as it was sent.
const END: &str = "(?:[?#]|$)";

/// Pattern of requests that a way in takes, over `METHOD path` as they were sent.
pub(super) fn taken_by(way: &HttpWayIn) -> String {
    format!("^{} {}{END}", literal(&way.method), segments(&way.path, "[^/?#]"))
}

/// Pattern of a way in's path, tidied up.
pub(super) fn location(path: &str) -> String {
    format!("^{}$", segments(path, "[^/]"))
}

/// Pattern of live paths, tidied up.
pub(super) fn live_location() -> String {
    let paths: Vec<String> = LIVE.iter().map(|path| segments(path, "[^/]")).collect();
    format!("^(?:{})$", paths.join("|"))
}

/// Patterns of paths that may become WebSockets, as they were sent.
pub(super) fn upgradable(ways: &[HttpWayIn]) -> Vec<String> {
    let ways = ways.iter().filter(|way| way.websocket).map(|way| way.path.as_str());
    let paths = LIVE.into_iter().chain(ways);
    paths.map(|path| format!("^{}{END}", segments(path, "[^/?#]"))).collect()
}

/// Pattern of what is kept back, as it was sent.
pub(super) fn kept_back() -> String {
    format!("^(?:{})(?:[/?#]|$)", KEPT_BACK.map(literal).join("|"))
}

/// Pattern of what is kept back, tidied up.
pub(super) fn kept_back_location() -> String {
    format!("^(?:{})(?:/|$)", KEPT_BACK.map(literal).join("|"))
}

/// Pattern of a path whose parameters take one segment, of characters of this class. The last one
/// may be empty, as in our processes.
fn segments(path: &str, class: &str) -> String {
    let mut segments = path.split('/').peekable();
    let mut patterns = Vec::new();
    while let Some(segment) = segments.next() {
        patterns.push(match (segment.starts_with('{'), segments.peek()) {
            (true, None) => format!("{class}*"),
            (true, Some(_)) => format!("{class}+"),
            (false, _) => literal(segment),
        });
    }
    patterns.join("/")
}

#[cfg(test)]
mod tests {
    use millrace_plan::OWN_PATHS;

    use super::*;
    use crate::fixture::way_in;

    #[test]
    fn a_parameter_is_one_segment_and_the_last_may_be_empty() {
        assert_eq!(location("/api/v1/timestamp/{ts}"), "^/api/v1/timestamp/[^/]*$");
        assert_eq!(location("/{a}/b/{c}/d"), "^/[^/]+/b/[^/]+/d$");
        assert_eq!(location("/"), "^/$");
        assert_eq!(taken_by(&way_in("/a/{id}", "POST")), "^POST /a/[^/?#]*(?:[?#]|$)");
        assert_eq!(taken_by(&way_in("/a.b", "PUT")), r"^PUT /a\x2Eb(?:[?#]|$)");
    }

    #[test]
    fn every_own_path_that_changes_something_is_kept_back() {
        let changing = OWN_PATHS.iter().filter(|(_, methods)| methods.contains(&"POST"));
        for (path, _) in changing {
            assert!(KEPT_BACK.iter().any(|kept| path.starts_with(kept)), "{path}");
        }
        let open: Vec<&str> = OWN_PATHS
            .iter()
            .map(|(path, _)| *path)
            .filter(|path| !KEPT_BACK.iter().any(|kept| path.starts_with(kept)))
            .collect();
        assert_eq!(
            open,
            [
                "/",
                "/openapi.json",
                "/openapi",
                "/dashboard",
                "/api/v1/pipeline",
                "/api/v1/status",
                "/api/v1/events",
                "/api/v1/streams/{stream}/events",
                "/api/v1/streams/{stream}/records",
                "/api/v1/tables",
                "/api/v1/tables/{table}",
            ]
        );
    }
}
