//! What a request's body is, by its content type.

use axum::http::HeaderMap;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use millrace_http::Problem;
use millrace_plan::model::BodyKind;

use crate::http::form::FormKind;

/// What a body is, as its sender says.
#[derive(Debug)]
pub(super) enum Content {
    /// It is not read.
    Nothing,
    /// JSON: an object, or an array of them.
    Json,
    /// A JSON text a line.
    Ndjson,
    /// Fields.
    Form(FormKind),
}

/// What a body is; a problem with status 415 where it is none of those that are taken.
pub(super) fn content_of(headers: &HeaderMap, accept: &[BodyKind]) -> Result<Content, Problem> {
    if accept.contains(&BodyKind::None) {
        return Ok(Content::Nothing);
    }
    let Some(value) = headers.get(CONTENT_TYPE) else {
        return Err(unsupported("the content type is missing", accept));
    };
    let text = String::from_utf8_lossy(value.as_bytes());
    let mut parts = text.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default().to_ascii_lowercase();
    let charset = parts.filter_map(|part| part.split_once('=')).find_map(|(name, charset)| {
        name.trim().eq_ignore_ascii_case("charset").then(|| charset.trim().trim_matches('"'))
    });
    if let Some(charset) = charset
        && !["utf-8", "utf8", "us-ascii"].iter().any(|known| charset.eq_ignore_ascii_case(known))
    {
        return Err(unsupported(&format!("the charset `{charset}` is not UTF-8"), accept));
    }
    let takes = |kind| accept.contains(&kind);
    let is_json = essence == "application/json"
        || (essence.starts_with("application/") && essence.ends_with("+json"));
    if is_json && (takes(BodyKind::Json) || takes(BodyKind::JsonArray)) {
        return Ok(Content::Json);
    }
    let is_ndjson =
        matches!(&*essence, "application/x-ndjson" | "application/ndjson" | "application/jsonl");
    if is_ndjson && takes(BodyKind::Ndjson) {
        return Ok(Content::Ndjson);
    }
    match FormKind::of(&text) {
        Some(kind) if takes(BodyKind::Form) => Ok(Content::Form(kind)),
        _ => Err(unsupported(&format!("the content type `{text}` is not taken"), accept)),
    }
}

fn unsupported(what: &str, accept: &[BodyKind]) -> Problem {
    let mut taken: Vec<&str> = Vec::new();
    for kind in accept {
        let names: &[&str] = match kind {
            BodyKind::Json | BodyKind::JsonArray => &["application/json"],
            BodyKind::Ndjson => &["application/x-ndjson"],
            BodyKind::Form => &["application/x-www-form-urlencoded", "multipart/form-data"],
            BodyKind::None => &[],
        };
        for name in names {
            if !taken.contains(name) {
                taken.push(name);
            }
        }
    }
    let detail = format!("{what}: send {}", taken.join(" or "));
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail)
}
