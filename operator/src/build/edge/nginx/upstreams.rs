//! Where pods are. nginx asks DNS for their addresses and follows their changes.
//!
//! But for where requests alike are to go to the same pod: nginx spreads consistently over names, and
//! within one name from address to address. So the script that starts nginx follows that name
//! instead, and writes each address as a server of its own. What it follows is said by a comment.

use millrace_api::BalanceSpec;

use crate::build::edge::nginx::places::Places;
use crate::build::edge::nginx::text::Text;
use crate::build::edge::nginx::text::literal;
use crate::names::Part;
use crate::pipeline::Pipeline;

/// Pods that take events in.
pub(super) const INGEST: &str = "ingest";

/// Pods that answer.
pub(super) const QUERY: &str = "query";

/// Pods that take MQTT.
pub(super) const MQTT: &str = "mqtt";

/// Memory that nginx' processes share about one group of pods.
const ZONE: &str = "256k";

/// A pod that fails twice within this time gets nothing for as long, where there are others.
const FAILURES: &str = "max_fails=2 fail_timeout=2s";

/// Writes those of HTTP.
pub(super) fn write(text: &mut Text, pipeline: &Pipeline, places: &Places) {
    if pipeline.ingest.is_some() {
        let host = pipeline.names.host(Part::Ingest);
        let port = places.ingest_http;
        let key = pipeline.exposure.edge.balance.as_ref().and_then(|by| balance_key(text, by));
        match key {
            Some(key) => http(text, INGEST, |text| {
                text.line(format_args!("# follow {INGEST} {host} {port} {FAILURES}"));
                text.line(format_args!("hash {key} consistent;"));
                text.line(format_args!("include {}/{INGEST}.followed;", places.temporary));
            }),
            None => http(text, INGEST, |text| server(text, &host, port)),
        }
    }
    http(text, QUERY, |text| server(text, &pipeline.names.host(Part::Query), places.query_http));
}

/// Writes that of MQTT, whose connections last.
pub(super) fn write_mqtt(text: &mut Text, pipeline: &Pipeline, places: &Places) {
    text.block(format_args!("upstream {MQTT}"), |text| {
        text.line(format_args!("zone {MQTT} {ZONE};"));
        text.line("least_conn;");
        server(text, &pipeline.names.host(Part::Ingest), places.ingest_mqtt);
    });
}

fn http(text: &mut Text, name: &str, servers: impl FnOnce(&mut Text)) {
    text.block(format_args!("upstream {name}"), |text| {
        text.line(format_args!("zone {name} {ZONE};"));
        servers(text);
        text.line("keepalive 64;");
        text.line("keepalive_requests 10000;");
        // Shorter than the process behind keeps an idle connection, so that it is not closed there
        // as a request comes.
        text.line("keepalive_timeout 60s;");
    });
}

fn server(text: &mut Text, host: &str, port: u16) {
    text.line(format_args!("server {host}:{port} resolve {FAILURES};"));
}

/// Writes the variable that requests are told apart by. A request without it goes anywhere.
///
/// nginx has no name for a header with a dot in its own.
fn balance_key(text: &mut Text, by: &BalanceSpec) -> Option<&'static str> {
    const KEY: &str = "$balance_key";
    if let Some(header) = &by.header {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if !header.chars().all(is_plain) {
            return None;
        }
        let name = header.to_ascii_lowercase().replace('-', "_");
        text.block(format_args!("map $http_{name} {KEY}"), |text| {
            text.line(format_args!("default $http_{name};"));
            text.line("\"\" $request_id;");
        });
        return Some(KEY);
    }
    let name = literal(by.query.as_ref()?);
    text.block(format_args!("map $args {KEY}"), |text| {
        text.line("default $request_id;");
        text.line(format_args!("\"~(?:^|&){name}=(?<balance_value>[^&]+)\" $balance_value;"));
    });
    Some(KEY)
}
