//! HTTP and WebSocket ways in, and what is answered: paths, headers and programs.

use millrace_api as api;

use super::checks::Checks;
use super::header_names;
use crate::model::BodyKind;
use crate::model::HeaderFormat;
use crate::model::HttpIngest;
use crate::model::HttpLimits;
use crate::model::HttpMethod;
use crate::model::HttpPath;
use crate::model::Identity;
use crate::model::RequestHeader;
use crate::model::ResponsePlan;
use crate::model::WebSocketIngest;
use crate::own_paths;
use crate::program::Place;
use crate::program::RequestShape;

/// Paths of every pipeline that are open to all to read, whatever `exposure.auth` says.
const OPEN: [&str; 4] = ["/livez", "/readyz", "/metrics", "/openapi.json"];

/// Statuses whose answers have no body.
const WITHOUT_BODY: [i32; 3] = [204, 205, 304];

/// A way in over HTTP.
pub(super) fn http(at: &str, spec: &api::HttpIngestSpec, checks: &mut Checks) -> HttpIngest {
    let method = match spec.method {
        api::HttpMethodSpec::Post => HttpMethod::Post,
        api::HttpMethodSpec::Put => HttpMethod::Put,
        api::HttpMethodSpec::Patch => HttpMethod::Patch,
    };
    let path = path(&format!("{at}.path"), &spec.path, method.name(), checks);
    let headers = headers(at, &spec.headers, checks);
    let shape = shape(&path, &headers);
    let mut accept = Vec::new();
    for (index, kind) in spec.accept.iter().enumerate() {
        let kind = match kind {
            api::BodyKindSpec::Json => BodyKind::Json,
            api::BodyKindSpec::JsonArray => BodyKind::JsonArray,
            api::BodyKindSpec::Ndjson => BodyKind::Ndjson,
            api::BodyKindSpec::Form => BodyKind::Form,
            api::BodyKindSpec::None => BodyKind::None,
        };
        if accept.contains(&kind) {
            checks.error_with_hint(
                format!("{at}.accept[{index}]"),
                "stands twice",
                "leave one out",
            );
        }
        accept.push(kind);
    }
    if accept.contains(&BodyKind::None) && accept.len() > 1 {
        checks.error_with_hint(
            format!("{at}.accept"),
            "`none` does not read the body, and so takes all types",
            "write `none` alone, or leave it out",
        );
    }
    let respond = spec.respond.as_ref().map(|respond| {
        let at = format!("{at}.respond");
        if respond.content_type.is_some() && respond.body.is_none() {
            checks.error_with_hint(
                format!("{at}.contentType"),
                "an answer without a body has no type",
                "write `body` as well, or leave it out",
            );
        }
        response(&at, respond, Place::Response, &shape, checks)
    });
    HttpIngest {
        method,
        path,
        accept,
        headers,
        all_or_nothing: spec.batch.all_or_nothing,
        max_events: Checks::count(spec.batch.max_events).max(1),
        limits: limits(&format!("{at}.limits"), &spec.limits, checks),
        respond,
        invalid_status: u16::try_from(spec.on_invalid.status).unwrap_or(422),
        dead_letter: spec.on_invalid.dead_letter,
        identity: identity(spec.identity),
    }
}

/// A way in over WebSocket.
pub(super) fn websocket(
    at: &str,
    spec: &api::WebSocketIngestSpec,
    checks: &mut Checks,
) -> WebSocketIngest {
    WebSocketIngest {
        path: path(&format!("{at}.path"), &spec.path, "GET", checks),
        headers: headers(at, &spec.headers, checks),
        limits: limits(&format!("{at}.limits"), &spec.limits, checks),
        identity: identity(spec.identity),
        idle_timeout: checks.positive_duration(&format!("{at}.idleTimeout"), &spec.idle_timeout),
    }
}

/// What programs know of the requests of a way in.
pub(super) fn shape(path: &HttpPath, headers: &[RequestHeader]) -> RequestShape {
    let required = headers.iter().filter(|header| header.required);
    RequestShape {
        path: path.parameters.clone(),
        headers: required.map(|header| header.name.to_ascii_lowercase()).collect(),
    }
}

/// A path with its parameters, for requests of this method.
pub(super) fn path(at: &str, text: &str, method: &str, checks: &mut Checks) -> HttpPath {
    let mut parameters: Vec<String> = Vec::new();
    for segment in text.split('/') {
        let Some(name) = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) else {
            continue;
        };
        if parameters.iter().any(|other| other == name) {
            checks.error_with_hint(
                at,
                format!("the parameter `{name}` stands twice"),
                "write another name",
            );
        }
        parameters.push(name.to_owned());
    }
    let mut reserved = own_paths::RESERVED.into_iter();
    if let Some(reserved) = reserved.find(|reserved| own_paths::is_below(text, reserved)) {
        checks.error_with_hint(
            at,
            format!("`{reserved}` is answered by every pipeline itself"),
            "write another path",
        );
    } else if let Some(taken) = own_paths::taken_by(text, method) {
        checks.error_with_hint(
            at,
            format!("takes `{method} {taken}` by a parameter, which every pipeline answers itself"),
            "begin the path with a name, such as `/devices`",
        );
    }
    HttpPath { text: text.to_owned(), parameters }
}

/// The path that is open to all whatever the resource says, if this is such a one.
pub(super) fn always_open(path: &str) -> Option<&'static str> {
    OPEN.into_iter().find(|open| own_paths::is_below(path, open))
}

fn headers(at: &str, specs: &[api::RequestHeaderSpec], checks: &mut Checks) -> Vec<RequestHeader> {
    let mut headers: Vec<RequestHeader> = Vec::new();
    for (index, spec) in specs.iter().enumerate() {
        if headers.iter().any(|other| other.name.eq_ignore_ascii_case(&spec.name)) {
            checks.error_with_hint(
                format!("{at}.headers[{index}].name"),
                format!("`{}` stands twice", spec.name),
                "leave one out",
            );
        }
        header_names::check_request(&format!("{at}.headers[{index}].name"), &spec.name, checks);
        headers.push(RequestHeader {
            name: spec.name.to_string(),
            required: spec.required,
            format: match spec.format {
                api::HeaderFormatSpec::Text => HeaderFormat::Text,
                api::HeaderFormatSpec::Uuid => HeaderFormat::Uuid,
            },
            carry: spec.carry,
        });
    }
    headers
}

fn limits(at: &str, spec: &api::HttpLimitsSpec, checks: &mut Checks) -> HttpLimits {
    HttpLimits {
        rate: spec.rate.and_then(|rate| u32::try_from(rate).ok()),
        concurrent: Checks::count(spec.concurrent).max(1),
        timeout: checks.positive_duration(&format!("{at}.timeout"), &spec.timeout),
    }
}

const fn identity(spec: api::IdentitySpec) -> Identity {
    match spec {
        api::IdentitySpec::Generated => Identity::Generated,
        api::IdentitySpec::Content => Identity::Content,
    }
}

/// An answer.
pub(super) fn response(
    at: &str,
    spec: &api::ResponseSpec,
    place: Place,
    shape: &RequestShape,
    checks: &mut Checks,
) -> ResponsePlan {
    if spec.body.is_some() && WITHOUT_BODY.contains(&spec.status) {
        checks.error_with_hint(
            format!("{at}.body"),
            format!("an answer of status {} has no body", spec.status),
            "write another status, or leave the body out",
        );
    }
    let body = spec
        .body
        .as_ref()
        .and_then(|body| checks.request_program(&format!("{at}.body"), body, place, shape));
    ResponsePlan {
        status: u16::try_from(spec.status).unwrap_or(200),
        body,
        content_type: spec.content_type.as_ref().map(ToString::to_string),
        headers: response_headers(&format!("{at}.headers"), &spec.headers, place, shape, checks),
    }
}

/// Headers whose values are programs that give texts.
pub(super) fn response_headers(
    at: &str,
    specs: &[api::ResponseHeaderSpec],
    place: Place,
    shape: &RequestShape,
    checks: &mut Checks,
) -> Vec<(String, crate::program::Program)> {
    let mut headers: Vec<(String, crate::program::Program)> = Vec::new();
    for (index, header) in specs.iter().enumerate() {
        let name = format!("{at}[{index}].name");
        if specs[..index].iter().any(|other| other.name.eq_ignore_ascii_case(&header.name)) {
            let message = format!("`{}` stands twice", header.name);
            checks.error_with_hint(name, message, "leave one out");
        } else {
            header_names::check_sent(&name, &header.name, place, checks);
        }
        let at = format!("{at}[{index}].value");
        let Some(program) = checks.request_program(&at, &header.value, place, shape) else {
            continue;
        };
        if !program.returns_text() {
            checks.error_with_hint(
                at,
                "the last expression is not always a text",
                "end the program with a text, such as `\"max-age=60\"`",
            );
        }
        headers.push((header.name.to_string(), program));
    }
    headers
}
