//! MQTT over TLS: the edge takes TLS off and passes the bytes on.

use crate::build::edge::nginx::limits;
use crate::build::edge::nginx::places::Places;
use crate::build::edge::nginx::text::Text;
use crate::build::edge::nginx::tls;
use crate::build::edge::nginx::upstreams;
use crate::build::edge::nginx::upstreams::MQTT;
use crate::pipeline::Pipeline;

/// Writes it, where clients connect over MQTT.
pub(super) fn write(text: &mut Text, pipeline: &Pipeline, places: &Places) {
    if !pipeline.ways_in.mqtt || pipeline.ingest.is_none() {
        return;
    }
    text.block("stream", |text| {
        text.line(
            r#"log_format connections escape=json '{"time":"$time_iso8601","client":"$remote_addr","protocol":"mqtts","status":$status,"received":$bytes_received,"sent":$bytes_sent,"seconds":$session_time,"pod":"$upstream_addr"}';"#,
        );
        text.line(format_args!("access_log {} connections buffer=4k flush=1s;", places.log));
        text.line("error_log stderr warn;");
        text.line(format_args!("include {}/resolver.conf;", places.temporary));
        limits::write_stream(text, pipeline);
        upstreams::write_mqtt(text, pipeline, places);
        text.block("server", |text| {
            let port = places.mqtt;
            text.line(format_args!("listen {port} ssl so_keepalive=on;"));
            text.line(format_args!("listen [::]:{port} ssl so_keepalive=on;"));
            tls::write(text, places, "mqtt_sessions");
            text.line("ssl_handshake_timeout 10s;");
            text.line(format_args!("proxy_pass {MQTT};"));
            text.line("proxy_connect_timeout 2s;");
            text.line("proxy_socket_keepalive on;");
            // A client's own interval is at most 18.2 hours; the endpoint behind watches over it.
            text.line("proxy_timeout 20h;");
        });
    });
}
