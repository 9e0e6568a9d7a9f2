//! Names of headers that have a meaning of their own, and so cannot be declared.

use super::checks::Checks;
use crate::program::Place;

/// Headers of requests that the server reads itself, and what to write instead.
const OF_REQUESTS: [(&str, &str); 14] = [
    ("accept-encoding", "the server compresses as the client asks; leave it out"),
    ("authorization", "say who may come in by `exposure.auth`; `%user` is who it was"),
    ("connection", "leave it out"),
    ("content-encoding", "gzip and zstd are always taken; leave it out"),
    ("content-length", "limit bodies by `maxBodyBytes`"),
    ("content-type", "say what is taken by `accept`"),
    ("cookie", "say who may come in by `exposure.auth`"),
    ("expect", "leave it out"),
    ("host", "leave it out"),
    ("idempotency-key", "it is always taken, and identifies the request; leave it out"),
    ("traceparent", "it is always taken and carried; leave it out"),
    ("tracestate", "it is always taken and carried; leave it out"),
    ("transfer-encoding", "leave it out"),
    ("upgrade", "leave it out"),
];

/// Headers of answers that the server writes itself.
const OF_ANSWERS: [&str; 9] = [
    "connection",
    "content-encoding",
    "content-length",
    "date",
    "set-cookie",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "www-authenticate",
];

/// Headers of calls to other systems that the sink writes itself.
const OF_CALLS: [&str; 10] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "host",
    "traceparent",
    "transfer-encoding",
    "webhook-id",
    "webhook-signature",
    "webhook-timestamp",
];

/// Checks the name of a header that requests must or may have.
pub(super) fn check_request(at: &str, name: &str, checks: &mut Checks) {
    let known = OF_REQUESTS.iter().find(|(known, _)| name.eq_ignore_ascii_case(known));
    if let Some((_, write)) = known {
        checks.error_with_hint(at, format!("`{name}` is read by the server itself"), *write);
    }
}

/// Checks the name of a header that is sent: of an answer, or (where events are) of a call.
pub(super) fn check_sent(at: &str, name: &str, place: Place, checks: &mut Checks) {
    let is = |known: &str| name.eq_ignore_ascii_case(known);
    if place == Place::Pipeline {
        if OF_CALLS.iter().any(|known| is(known)) {
            let message = format!("`{name}` is written by the sink itself");
            checks.error_with_hint(at, message, "leave it out");
        }
    } else if name.eq_ignore_ascii_case("content-type") {
        checks.error_with_hint(at, "the type has a field of its own", "write `contentType`");
    } else if OF_ANSWERS.iter().any(|known| is(known)) {
        let message = format!("`{name}` is written by the server itself");
        checks.error_with_hint(at, message, "leave it out");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_sorted_and_in_lower_case() {
        let requests = OF_REQUESTS.map(|(name, _)| name);
        for names in [&requests[..], &OF_ANSWERS, &OF_CALLS] {
            assert!(names.is_sorted());
            assert!(names.iter().all(|name| !name.bytes().any(|c| c.is_ascii_uppercase())));
        }
    }
}
