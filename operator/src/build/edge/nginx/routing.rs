//! Who gets a request: what a way in takes goes to ingest, all else to query, which also answers
//! for ways in that were asked by a wrong method. And what is said to them about it.

use crate::build::edge::nginx::paths;
use crate::build::edge::nginx::text::Text;
use crate::build::edge::nginx::upstreams::INGEST;
use crate::build::edge::nginx::upstreams::QUERY;
use crate::pipeline::Pipeline;

/// Headers that a request is passed on with. What clients claim about their own address and scheme
/// is replaced; all others stay as they are.
const HEADERS: [(&str, &str); 9] = [
    ("Host", "$host$host_port"),
    ("X-Forwarded-For", "$remote_addr"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Host", "$host$host_port"),
    ("X-Forwarded-Port", "\"\""),
    ("X-Real-IP", "\"\""),
    ("Forwarded", "\"\""),
    ("Upgrade", "$upgrade"),
    ("Connection", "$passed_connection"),
];

/// Writes the variables that it depends on.
pub(super) fn write(text: &mut Text, pipeline: &Pipeline) {
    text.block("map \"$request_method $request_uri\" $pods", |text| {
        text.line(format_args!("default {QUERY};"));
        if pipeline.ingest.is_some() {
            for way in &pipeline.ways_in.http {
                text.line(format_args!("\"~{}\" {INGEST};", paths::taken_by(way)));
            }
        }
    });
    text.block("map $request_uri $kept_back", |text| {
        text.line("default 0;");
        text.line(format_args!("\"~{}\" 1;", paths::kept_back()));
    });
    // Nothing but a WebSocket is passed on as something else than HTTP, and only where there is one.
    text.block("map $request_uri $upgradable", |text| {
        text.line("default no;");
        for path in paths::upgradable(&pipeline.ways_in.http) {
            text.line(format_args!("\"~{path}\" yes;"));
        }
    });
    text.block("map \"$upgradable $http_upgrade\" $upgrade", |text| {
        text.line("default \"\";");
        text.line("\"~*^yes websocket$\" websocket;");
    });
    text.block("map $upgrade $passed_connection", |text| {
        text.line("default upgrade;");
        text.line("\"\" \"\";");
    });
    // `$host` is checked and has no port; pages are recognised by both.
    text.block("map $http_host $host_port", |text| {
        text.line("default \"\";");
        text.line("\"~(?<port>:[0-9]{1,5})$\" $port;");
    });
}

/// Writes how requests are passed on, for all locations.
pub(super) fn write_passing(text: &mut Text) {
    text.line("proxy_http_version 1.1;");
    for (name, value) in HEADERS {
        text.line(format_args!("proxy_set_header {name} {value};"));
    }
    // Events are not kept here: a body goes on as it comes, and what waits is the sender.
    text.line("proxy_request_buffering off;");
    text.line("proxy_max_temp_file_size 0;");
    text.line("proxy_connect_timeout 2s;");
    text.line("proxy_send_timeout 60s;");
    text.line("proxy_read_timeout 120s;");
    text.line("proxy_socket_keepalive on;");
    // A request goes to another pod if it has reached none. One that has, and may not be repeated
    // (POST, PATCH), does not: its events could be stored twice.
    text.line("proxy_next_upstream error timeout;");
    text.line("proxy_next_upstream_tries 3;");
    text.line("proxy_next_upstream_timeout 10s;");
}
