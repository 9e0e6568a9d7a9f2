//! Live streams as server-sent events.

use std::convert::Infallible;
use std::fmt::Write;

use axum::body::Body;
use axum::http::header::CACHE_CONTROL;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::response::Response;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream;

use super::reader::Live;
use super::reader::LiveEvent;
use super::reader::Step;

/// The answer that does not end by itself.
pub(super) fn answer(live: Live) -> Response {
    let opening = stream::iter([Bytes::from_static(b"retry: 1000\n\n")]);
    let chunks = stream::unfold(live, |mut live| async {
        loop {
            let chunk = match live.next().await {
                Step::Events(events) if events.is_empty() => continue,
                Step::Events(events) => render(&events),
                Step::Silence => Bytes::from_static(b": heartbeat\n\n"),
                Step::End => return None,
            };
            return Some((chunk, live));
        }
    });
    let body = Body::from_stream(opening.chain(chunks).map(Ok::<_, Infallible>));
    (
        [(CONTENT_TYPE, "text/event-stream"), (CACHE_CONTROL, "no-store")],
        [("x-accel-buffering", "no")],
        body,
    )
        .into_response()
}

fn render(events: &[LiveEvent]) -> Bytes {
    let mut text = String::new();
    for LiveEvent { cursor, json } in events {
        // Line breaks can only be white space between the parts of the event's own JSON.
        let json = json.replace(['\n', '\r'], " ");
        let _ = write!(text, "id: {cursor}\nevent: record\ndata: {json}\n\n");
    }
    text.into()
}
