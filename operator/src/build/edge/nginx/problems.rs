//! What the edge answers itself, in the form of our processes (RFC 9457).

use crate::build::edge::nginx::text::Text;

/// An answer of the edge.
struct Answer {
    /// Its location.
    name: &'static str,
    /// nginx's own statuses that become it.
    instead_of: &'static str,
    /// Its status.
    status: u16,
    title: &'static str,
    /// What to do about it. No quotes and no `$`.
    detail: &'static str,
    /// Whether the client may come again in a second.
    again: bool,
}

/// All of them.
const ANSWERS: [Answer; 7] = [
    Answer {
        name: "@not_found",
        instead_of: "404",
        status: 404,
        title: "Not Found",
        detail: "this path is not for clients; operators reach it within the cluster, by kubectl millrace",
        again: false,
    },
    Answer {
        name: "@too_slow",
        instead_of: "408",
        status: 408,
        title: "Request Timeout",
        detail: "the request has not come in time",
        again: false,
    },
    Answer {
        name: "@too_large",
        instead_of: "413",
        status: 413,
        title: "Payload Too Large",
        detail: "the body has more bytes than this path takes",
        again: false,
    },
    Answer {
        name: "@not_here",
        instead_of: "421",
        status: 421,
        title: "Misdirected Request",
        detail: "no host of this name is declared here",
        again: false,
    },
    Answer {
        name: "@too_many",
        instead_of: "429",
        status: 429,
        title: "Too Many Requests",
        detail: "this address sends more than it may",
        again: true,
    },
    Answer {
        name: "@too_long",
        instead_of: "494",
        status: 431,
        title: "Request Header Fields Too Large",
        detail: "the request has more bytes of headers than are taken",
        again: false,
    },
    Answer {
        name: "@unavailable",
        instead_of: "500 502 503 504",
        status: 503,
        title: "Service Unavailable",
        detail: "no pod has answered; whether one has taken the request is not known",
        again: true,
    },
];

/// Writes them, for a server.
pub(super) fn write(text: &mut Text) {
    for Answer { name, instead_of, status, title, detail, again } in ANSWERS {
        text.line(format_args!("error_page {instead_of} ={status} {name};"));
        text.block(format_args!("location {name}"), |text| {
            text.line("default_type application/problem+json;");
            text.line("add_header Cache-Control no-store always;");
            text.line("add_header X-Content-Type-Options nosniff always;");
            if again {
                text.line("add_header Retry-After 1 always;");
            }
            text.line(format_args!(
                r#"return {status} '{{"type":"about:blank","title":"{title}","status":{status},"detail":"{detail}"}}';"#
            ));
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_word_of_an_answer_means_something_to_nginx() {
        for answer in ANSWERS {
            assert!(!answer.detail.contains(['\'', '"', '$', '\\']), "{}", answer.name);
        }
    }
}
