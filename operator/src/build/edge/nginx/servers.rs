//! The ports: plain HTTP, which shows the way to HTTPS, and HTTPS.
//!
//! With an Ingress or a Gateway in front, TLS ends there for HTTP. What comes from it by plain HTTP
//! and says that it was HTTPS is served; who claims so without being it, harms none but itself.

use millrace_api::ExposureMode;
use millrace_api::ExposureSpec;

use crate::build::edge::nginx::http::access_log;
use crate::build::edge::nginx::locations;
use crate::build::edge::nginx::places::Places;
use crate::build::edge::nginx::problems;
use crate::build::edge::nginx::text::Text;
use crate::build::edge::nginx::tls;
use crate::pipeline::Pipeline;

/// Browsers are to come by HTTPS alone, once they have been told so over it.
const TRANSPORT_SECURITY: &str = "add_header Strict-Transport-Security $transport_security always;";

/// Writes them.
pub(super) fn write(text: &mut Text, pipeline: &Pipeline, places: &Places) {
    let exposure = &pipeline.exposure;
    tls::write(text, places, "sessions");
    if has_trusted_certificate(exposure) {
        // Not where a process has said something itself.
        text.block("map $upstream_http_strict_transport_security $transport_security", |text| {
            text.line("default \"\";");
            text.line("\"\" max-age=31536000;");
        });
    }
    if is_behind(exposure.mode) {
        // What plain HTTP is answered where it has not been HTTPS before: probes, and all others.
        text.block("map $http_x_forwarded_proto:$uri $plain", |text| {
            text.line("default 301;");
            text.line("\"~*^https:\" \"\";");
            text.line(":/healthz 200;");
        });
        text.block("map $plain $logged", |text| {
            text.line("default 1;");
            text.line("200 0;");
        });
    }
    let default = if exposure.hosts.is_empty() { " default_server" } else { "" };
    if !exposure.hosts.is_empty() {
        text.block("server", |text| {
            listen(text, places.http, " default_server");
            text.line("server_name _;");
            health(text);
            text.block("location /", |text| text.line("return 421;"));
            problems::write(text);
        });
        text.block("server", |text| {
            listen(text, places.https, " ssl default_server");
            text.line("http2 on;");
            text.line("server_name _;");
            text.block("location /", |text| text.line("return 421;"));
            problems::write(text);
        });
    }
    text.block("server", |text| {
        listen(text, places.http, default);
        names(text, exposure);
        if is_behind(exposure.mode) {
            text.line(access_log(places, " if=$logged"));
            text.line("if ($plain = 200) { return 200 \"ok\\n\"; }");
            text.line("if ($plain = 301) { return 301 https://$host$request_uri; }");
            locations::write(text, pipeline);
            problems::write(text);
        } else {
            health(text);
            text.block("location /", |text| {
                text.line("return 301 https://$host$request_uri;");
            });
        }
    });
    text.block("server", |text| {
        listen(text, places.https, &format!(" ssl{default}"));
        text.line("http2 on;");
        names(text, exposure);
        // Plain HTTP on this port is shown the way as well: to the same port, as the client knows it.
        text.line("error_page 497 =301 https://$http_host$request_uri;");
        if has_trusted_certificate(exposure) {
            text.line(TRANSPORT_SECURITY);
        }
        locations::write(text, pipeline);
        problems::write(text);
    });
}

/// Both families of addresses. Where the machine has no version 6, its lines are left out at the
/// start.
fn listen(text: &mut Text, port: u16, options: &str) {
    text.line(format_args!("listen {port}{options};"));
    text.line(format_args!("listen [::]:{port}{options};"));
}

fn names(text: &mut Text, exposure: &ExposureSpec) {
    if exposure.hosts.is_empty() {
        text.line("server_name _;");
    }
    for host in &exposure.hosts {
        text.line(format_args!("server_name {host};"));
    }
}

/// For probes, which know no host.
fn health(text: &mut Text) {
    text.block("location = /healthz", |text| {
        text.line("access_log off;");
        text.line("return 200 \"ok\\n\";");
    });
}

const fn is_behind(mode: ExposureMode) -> bool {
    matches!(mode, ExposureMode::Ingress | ExposureMode::Gateway)
}

/// Whether browsers can be expected to trust the certificate: then they may be told never to come
/// without one.
fn has_trusted_certificate(exposure: &ExposureSpec) -> bool {
    let given =
        exposure.tls.as_ref().is_some_and(|tls| tls.secret.is_some() || tls.cert_manager.is_some());
    given && !exposure.hosts.is_empty()
}
