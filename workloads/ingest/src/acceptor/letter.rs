//! Dead letters of requests: what they keep, so that the request can be made again.
//!
//! Their context is JSON: the path with its query, the headers that matter, the user, and the id
//! that the event would have had. A recorded line has the same form, and a payload beside it.

use std::collections::BTreeMap;

use axum::http::HeaderMap;
use axum::http::HeaderName;
use axum::http::HeaderValue;
use axum::http::Uri;
use axum::http::header::CONTENT_TYPE;
use bytes::Bytes;
use millrace_core::DeadLetter;
use millrace_core::EventId;
use serde::Deserialize;
use serde::Serialize;

use crate::acceptor::request::RequestHead;
use crate::acceptor::route::Route;

/// A request apart from its body, as it is written down.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WrittenHead {
    /// The path with its query; none: the way in's own, if that has no parameters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) path: Option<String>,
    /// Headers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) headers: BTreeMap<String, String>,
    /// Who sent it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<String>,
    /// The id that its event has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<EventId>,
}

/// A request's head that can be used again.
#[derive(Debug)]
pub(crate) struct ReadHead {
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) user: Option<String>,
    pub(crate) id: Option<EventId>,
}

impl WrittenHead {
    /// Reads it; what is wrong with it, for a person.
    pub(crate) fn read(self, route: &Route) -> Result<ReadHead, String> {
        let path = self.path.as_deref();
        let path = path
            .or_else(|| route.rules.as_ref().map(crate::acceptor::request::RequestRules::path))
            .unwrap_or("/");
        let uri = path.parse().map_err(|_| format!("`{path}` is not a path"))?;
        let mut headers = HeaderMap::new();
        for (name, value) in self.headers {
            let wrong = || format!("the header `{name}` cannot be sent");
            let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
            headers.insert(parsed, HeaderValue::from_bytes(value.as_bytes()).map_err(|_| wrong())?);
        }
        Ok(ReadHead { uri, headers, user: self.user, id: self.id })
    }
}

impl Route {
    /// The dead letter of a refused event. `json` says that the original is the JSON of one event,
    /// whatever the request's body was.
    pub(crate) fn letter(
        &self,
        head: RequestHead<'_>,
        original: Bytes,
        json: bool,
        id: Option<EventId>,
        reason: String,
    ) -> DeadLetter {
        let mut headers = BTreeMap::new();
        if let Some(rules) = &self.rules {
            let kept = rules.kept(head.headers);
            headers.extend(kept.map(|(name, value)| (name.as_str().to_owned(), value)));
        }
        if json {
            headers.insert(CONTENT_TYPE.as_str().to_owned(), "application/json".to_owned());
        }
        let written = WrittenHead {
            path: head.uri.path_and_query().map(ToString::to_string),
            headers,
            user: head.user.map(str::to_owned),
            id,
        };
        // Texts and maps of texts can always be written.
        let context = serde_json::to_string(&written).unwrap_or_default();
        DeadLetter {
            stage: self.stage().to_owned(),
            reason,
            id: EventId::of_dead_letter(self.stage(), context.as_bytes(), &original),
            context,
            source: None,
            key: Bytes::new(),
            event_time: head.arrival,
            ingest_time: head.arrival,
            original,
        }
    }
}
