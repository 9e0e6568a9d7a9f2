//! Paths that every pipeline answers itself.

/// Paths of the HTTP port that every pipeline has, each with the methods that it takes; `GET` takes
/// `HEAD` as well. A segment in braces stands for any text.
pub const OWN_PATHS: [(&str, &[&str]); 21] = [
    ("/", &["GET"]),
    ("/livez", &["GET"]),
    ("/readyz", &["GET"]),
    ("/metrics", &["GET"]),
    ("/openapi.json", &["GET"]),
    ("/openapi", &["GET"]),
    ("/dashboard", &["GET"]),
    ("/api/v1/pipeline", &["GET"]),
    ("/api/v1/status", &["GET"]),
    ("/api/v1/events", &["GET"]),
    ("/api/v1/streams/{stream}/events", &["GET"]),
    ("/api/v1/streams/{stream}/records", &["GET"]),
    ("/api/v1/tables", &["GET"]),
    ("/api/v1/tables/{table}", &["GET"]),
    ("/api/v1/dead-letters", &["GET"]),
    ("/api/v1/dead-letters/{offset}", &["GET"]),
    ("/api/v1/dead-letters/{offset}/replay", &["POST"]),
    ("/api/v1/rebuilds", &["GET", "POST"]),
    ("/api/v1/replays", &["POST"]),
    ("/api/v1/replays/{id}", &["GET"]),
    ("/api/v1/backup", &["GET"]),
];

/// Nothing may be declared at or below them.
pub(crate) const RESERVED: [&str; 16] = [
    "/livez",
    "/readyz",
    "/metrics",
    "/openapi.json",
    "/openapi",
    "/dashboard",
    "/_millrace",
    "/api/v1/pipeline",
    "/api/v1/status",
    "/api/v1/events",
    "/api/v1/streams",
    "/api/v1/tables",
    "/api/v1/dead-letters",
    "/api/v1/rebuilds",
    "/api/v1/replays",
    "/api/v1/backup",
];

/// The path of the pipeline itself that a declared one of this method would take by its
/// parameters. `/` alone may be declared.
pub(crate) fn taken_by(path: &str, method: &str) -> Option<&'static str> {
    let own = OWN_PATHS.iter().filter(|(own, methods)| *own != "/" && methods.contains(&method));
    own.map(|(own, _)| *own).find(|own| overlap(path, own))
}

/// Whether there is a request that both paths take.
fn overlap(path: &str, other: &str) -> bool {
    let is_parameter = |segment: &str| segment.starts_with('{') && segment.ends_with('}');
    path.split('/').count() == other.split('/').count()
        && path
            .split('/')
            .zip(other.split('/'))
            .all(|(a, b)| a == b || is_parameter(a) || is_parameter(b))
}

/// Whether a path is another one or below it.
pub(crate) fn is_below(path: &str, other: &str) -> bool {
    path.strip_prefix(other).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_own_path_but_the_first_is_reserved() {
        for (path, _) in &OWN_PATHS[1..] {
            assert!(RESERVED.iter().any(|reserved| is_below(path, reserved)), "{path}");
        }
    }

    #[test]
    fn a_parameter_takes_an_own_path_of_the_same_method_and_length() {
        assert_eq!(taken_by("/{device}", "POST"), None);
        assert_eq!(taken_by("/{device}", "GET"), Some("/livez"));
        assert_eq!(taken_by("/devices/{device}", "GET"), None);
        assert_eq!(taken_by("/{a}/v1/{b}", "POST"), Some("/api/v1/rebuilds"));
        assert_eq!(taken_by("/{a}/v1/{b}", "PUT"), None);
        assert_eq!(
            taken_by("/api/{a}/dead-letters/7/{b}", "POST"),
            Some("/api/v1/dead-letters/{offset}/replay")
        );
        assert_eq!(taken_by("/", "GET"), None);
    }
}
