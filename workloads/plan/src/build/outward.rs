//! `webhook` and `archive` sinks.

use millrace_api as api;

use super::checks::Checks;
use super::exposure::secret;
use super::header_names;
use super::http;
use crate::model::ArchiveFormat;
use crate::model::ArchiveSink;
use crate::model::SecretSource;
use crate::model::StoreAddress;
use crate::model::WebhookSink;
use crate::program::Place;
use crate::program::RequestShape;

/// Requests to another system.
pub(super) fn webhook(at: &str, spec: &api::WebhookSinkSpec, checks: &mut Checks) -> WebhookSink {
    let shape = RequestShape::default();
    let headers = format!("{at}.headers");
    checks.without_password(&format!("{at}.url"), &spec.url);
    WebhookSink {
        url: spec.url.to_string(),
        body: spec
            .body
            .as_ref()
            .and_then(|body| checks.program(&format!("{at}.body"), body, Place::Pipeline)),
        headers: http::response_headers(&headers, &spec.headers, Place::Pipeline, &shape, checks),
        secret_headers: secret_headers(at, spec, checks),
        signing_secret: spec
            .signing_secret
            .as_ref()
            .and_then(|value| secret(&format!("{at}.signingSecret"), value, checks)),
        timeout: checks.positive_duration(&format!("{at}.timeout"), &spec.timeout),
        retries: u32::try_from(spec.retries).unwrap_or_default(),
        concurrent: Checks::count(spec.concurrent).max(1),
    }
}

/// Headers whose values are secrets: each once, and none that is written otherwise.
fn secret_headers(
    at: &str,
    spec: &api::WebhookSinkSpec,
    checks: &mut Checks,
) -> Vec<(String, SecretSource)> {
    let mut headers = Vec::new();
    for (index, header) in spec.secret_headers.iter().enumerate() {
        let at = format!("{at}.secretHeaders[{index}]");
        let is = |other: &api::HeaderName| other.eq_ignore_ascii_case(&header.name);
        if spec.headers.iter().any(|other| is(&other.name))
            || spec.secret_headers[..index].iter().any(|other| is(&other.name))
        {
            let message = format!("`{}` stands twice", header.name);
            checks.error_with_hint(format!("{at}.name"), message, "leave one out");
        } else {
            header_names::check_sent(&format!("{at}.name"), &header.name, Place::Pipeline, checks);
        }
        let value = secret(&format!("{at}.value"), &header.value, checks);
        headers.extend(value.map(|value| (header.name.to_string(), value)));
    }
    headers
}

/// Files.
pub(super) fn archive(at: &str, spec: &api::ArchiveSinkSpec, checks: &mut Checks) -> ArchiveSink {
    check_store(at, spec, checks);
    ArchiveSink {
        store: StoreAddress {
            url: spec.url.to_string(),
            endpoint: spec.endpoint.as_ref().map(ToString::to_string),
            region: spec.region.as_ref().map(ToString::to_string),
            credentials: spec.credentials.as_ref().map(|secret| secret.name.to_string()),
        },
        format: match spec.format {
            api::ArchiveFormatSpec::Parquet => ArchiveFormat::Parquet,
            api::ArchiveFormatSpec::Ndjson => ArchiveFormat::Ndjson,
        },
        every: checks.positive_duration(&format!("{at}.every"), &spec.every),
        max_events: Checks::count(spec.max_events).max(1),
    }
}

/// What is said of an object store must be about one, and a folder must be where it says.
fn check_store(at: &str, spec: &api::ArchiveSinkSpec, checks: &mut Checks) {
    if let Some(endpoint) = &spec.endpoint {
        checks.without_password(&format!("{at}.endpoint"), endpoint);
    }
    if spec.url.contains("://") {
        return;
    }
    let settings = [
        ("endpoint", spec.endpoint.is_some()),
        ("region", spec.region.is_some()),
        ("credentials", spec.credentials.is_some()),
    ];
    for (name, _) in settings.iter().filter(|(_, is_set)| *is_set) {
        checks.error_with_hint(
            format!("{at}.{name}"),
            format!("`{}` is a folder, not an object store", spec.url),
            "leave it out, or write an address such as `s3://bucket/prefix`",
        );
    }
    if spec.url.split('/').any(|part| part == "..") {
        checks.error_with_hint(
            format!("{at}.url"),
            format!("`{}` leads out of the folder by `..`", spec.url),
            "write the folder itself",
        );
    }
}
