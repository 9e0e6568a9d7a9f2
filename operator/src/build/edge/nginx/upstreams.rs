//! Where pods are. nginx asks DNS for their addresses and follows their changes.

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
        let key = pipeline.exposure.edge.balance.as_ref().and_then(|by| balance_key(text, by));
        http(text, INGEST, &host(pipeline, Part::Ingest, places.ingest_http), key);
    }
    http(text, QUERY, &host(pipeline, Part::Query, places.query_http), None);
}

/// Writes that of MQTT, whose connections last.
pub(super) fn write_mqtt(text: &mut Text, pipeline: &Pipeline, places: &Places) {
    text.block(format_args!("upstream {MQTT}"), |text| {
        text.line(format_args!("zone {MQTT} {ZONE};"));
        text.line("least_conn;");
        let host = host(pipeline, Part::Ingest, places.ingest_mqtt);
        text.line(format_args!("server {host} resolve {FAILURES};"));
    });
}

fn http(text: &mut Text, name: &str, host: &str, key: Option<&str>) {
    text.block(format_args!("upstream {name}"), |text| {
        text.line(format_args!("zone {name} {ZONE};"));
        if let Some(key) = key {
            text.line(format_args!("hash {key} consistent;"));
        }
        text.line(format_args!("server {host} resolve {FAILURES};"));
        text.line("keepalive 64;");
        text.line("keepalive_requests 10000;");
        // Shorter than the process behind keeps an idle connection, so that it is not closed there
        // as a request comes.
        text.line("keepalive_timeout 60s;");
    });
}

fn host(pipeline: &Pipeline, part: Part, port: u16) -> String {
    format!("{}:{port}", pipeline.names.host(part))
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
