//! What one client may do, and what a request may be like.
//!
//! A client is an address, or with version 6 a network of 64 bits. Sizes of bodies are with the
//! locations.

use crate::build::edge::nginx::text::Text;
use crate::pipeline::Pipeline;

/// Memory for the addresses of clients: about 160,000 of them; those that were quiet for longest are
/// forgotten.
const ZONE: &str = "10m";

/// What a client is counted by.
pub(super) const CLIENT: &str = "$client";

/// Writes it.
pub(super) fn write(text: &mut Text, pipeline: &Pipeline) {
    let exposure = &pipeline.exposure;
    let bytes = exposure.limits.header_bytes;
    text.line("client_header_timeout 10s;");
    text.line("client_body_timeout 60s;");
    text.line("send_timeout 60s;");
    text.line("client_header_buffer_size 1k;");
    // The request's first line may fill one. The process behind counts exactly.
    text.line(format_args!("large_client_header_buffers 2 {bytes};"));
    // Names of headers are passed on as they are: a way in may ask for any.
    text.line("ignore_invalid_headers off;");
    text.line("underscores_in_headers on;");
    text.line("keepalive_timeout 75s;");
    text.line("keepalive_requests 10000;");
    // A process that ends answers what clients send to it once more, and says with it that the
    // connection ends.
    text.line("keepalive_min_timeout 10s;");
    clients(text);
    if let Some(requests) = &exposure.edge.requests {
        let rate = requests.per_second;
        text.line(format_args!("limit_req_zone {CLIENT} zone=requests:{ZONE} rate={rate}r/s;"));
        match requests.burst.unwrap_or(rate) {
            0 => text.line("limit_req zone=requests;"),
            burst => text.line(format_args!("limit_req zone=requests burst={burst} nodelay;")),
        }
        text.line("limit_req_status 429;");
    }
    if let Some(connections) = exposure.edge.connections {
        text.line(format_args!("limit_conn_zone {CLIENT} zone=connections:{ZONE};"));
        text.line(format_args!("limit_conn connections {connections};"));
        text.line("limit_conn_status 429;");
    }
}

/// Writes the same for MQTT, where only connections are counted.
pub(super) fn write_stream(text: &mut Text, pipeline: &Pipeline) {
    if let Some(connections) = pipeline.exposure.edge.connections {
        clients(text);
        text.line(format_args!("limit_conn_zone {CLIENT} zone=mqtt_connections:{ZONE};"));
        text.line(format_args!("limit_conn mqtt_connections {connections};"));
    }
}

fn clients(text: &mut Text) {
    text.block(format_args!("map $binary_remote_addr {CLIENT}"), |text| {
        text.line("default $binary_remote_addr;");
        text.line(r#""~(?s)^(?<network>.{8}).{8}$" $network;"#);
    });
}
