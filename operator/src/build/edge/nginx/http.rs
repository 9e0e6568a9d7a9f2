//! What all requests have in common.

use crate::build::edge::nginx::limits;
use crate::build::edge::nginx::places::Places;
use crate::build::edge::nginx::routing;
use crate::build::edge::nginx::servers;
use crate::build::edge::nginx::text::Text;
use crate::build::edge::nginx::upstreams;
use crate::pipeline::Pipeline;

/// A line of the log for each request. It holds neither the query nor headers with credentials:
/// tokens may be in them.
const LOG: [(&str, &str); 14] = [
    ("time", "\"$time_iso8601\""),
    ("client", "\"$remote_addr\""),
    ("host", "\"$host\""),
    ("method", "\"$request_method\""),
    ("path", "\"$uri\""),
    ("protocol", "\"$server_protocol\""),
    ("status", "$status"),
    ("received", "$request_length"),
    ("sent", "$bytes_sent"),
    ("seconds", "$request_time"),
    ("pod", "\"$upstream_addr\""),
    ("podStatus", "\"$upstream_status\""),
    ("podSeconds", "\"$upstream_response_time\""),
    ("traceparent", "\"$http_traceparent\""),
];

/// Writes it.
pub(super) fn write(text: &mut Text, pipeline: &Pipeline, places: &Places) {
    text.block("http", |text| {
        log(text, places);
        text.line(format_args!("include {}/resolver.conf;", places.temporary));
        for (folder, directive) in [
            ("bodies", "client_body_temp_path"),
            ("answers", "proxy_temp_path"),
            ("fastcgi", "fastcgi_temp_path"),
            ("uwsgi", "uwsgi_temp_path"),
            ("scgi", "scgi_temp_path"),
        ] {
            text.line(format_args!("{directive} {}/{folder};", places.temporary));
        }
        text.line("server_tokens off;");
        text.line("default_type text/plain;");
        text.line("tcp_nodelay on;");
        text.line("reset_timedout_connection on;");
        // The longest name of a host has 253 characters.
        text.line("server_names_hash_bucket_size 512;");
        text.line("variables_hash_max_size 2048;");
        limits::write(text, pipeline);
        routing::write(text, pipeline);
        upstreams::write(text, pipeline, places);
        servers::write(text, pipeline, places);
    });
}

fn log(text: &mut Text, places: &Places) {
    let fields: Vec<String> =
        LOG.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    text.line(format_args!("log_format requests escape=json '{{{}}}';", fields.join(",")));
    text.line(access_log(places, ""));
    // Below that, nginx writes whole requests, with queries. What fails is in the log of requests.
    text.line("error_log stderr crit;");
}

/// Where requests are logged. A pipe takes up to 4096 bytes as a whole, so that lines of two
/// processes do not mix.
pub(super) fn access_log(places: &Places, condition: &str) -> String {
    format!("access_log {} requests buffer=4k flush=1s{condition};", places.log)
}
