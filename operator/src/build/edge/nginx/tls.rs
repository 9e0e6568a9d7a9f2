//! The certificate and how it is used, by HTTPS and MQTT alike.

use crate::build::edge::nginx::places::Places;
use crate::build::edge::nginx::text::Text;

/// Of TLS 1.2 those with forward secrecy and authenticated encryption; 1.3 has no others.
const CIPHERS: &str = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:\
ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:\
ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";

/// Writes it, for sessions of this name.
pub(super) fn write(text: &mut Text, places: &Places, sessions: &str) {
    text.line(format_args!("ssl_certificate {}/tls.crt;", places.certificate));
    text.line(format_args!("ssl_certificate_key {}/tls.key;", places.certificate));
    text.line("ssl_protocols TLSv1.2 TLSv1.3;");
    text.line(format_args!("ssl_ciphers {CIPHERS};"));
    text.line(format_args!("ssl_session_cache shared:{sessions}:10m;"));
    text.line("ssl_session_timeout 1h;");
    // Their keys would be those of one process, and would not change.
    text.line("ssl_session_tickets off;");
}
