//! Reads bodies within their limits of size and time.

use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::EXPECT;
use bytes::Bytes;
use bytes::BytesMut;
use http_body_util::BodyExt as _;
use hyper::body::Body as _;
use tokio::time::timeout;

/// Room that is made at once for a body; more comes as it arrives, so that a client must send what
/// it makes us hold.
const FIRST_ROOM: usize = 64 << 10;

/// How much of a refused body is read, so that its sender comes to read the answer.
const DISCARDED_BYTES: usize = 1 << 20;
const DISCARDED_FOR: Duration = Duration::from_millis(500);

/// A body that was not read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadBodyError {
    #[error("the body has more than {0} bytes")]
    TooLarge(usize),
    #[error("the body did not arrive within {0:?}")]
    Timeout(Duration),
    #[error("the body could not be received")]
    Receive(#[source] axum::Error),
}

/// Whether the body says of itself that it is larger than the limit.
pub(super) fn announces_more(body: &Body, limit: usize) -> bool {
    body.size_hint().lower() > limit as u64
}

/// Reads a body. A single piece is not copied.
pub(super) async fn read(
    body: &mut Body,
    limit: usize,
    within: Duration,
) -> Result<Bytes, ReadBodyError> {
    match timeout(within, read_all(body, limit)).await {
        Ok(read) => read,
        Err(_) => Err(ReadBodyError::Timeout(within)),
    }
}

async fn read_all(body: &mut Body, limit: usize) -> Result<Bytes, ReadBodyError> {
    let mut first: Option<Bytes> = None;
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(ReadBodyError::Receive)?;
        // Trailers say nothing about events.
        let Ok(data) = frame.into_data() else { continue };
        let before = first.as_ref().map_or(all.len(), Bytes::len);
        if before + data.len() > limit {
            return Err(ReadBodyError::TooLarge(limit));
        }
        match first.take() {
            None if all.is_empty() => first = Some(data),
            None => all.extend_from_slice(&data),
            Some(head) => {
                let rest = usize::try_from(body.size_hint().lower()).unwrap_or(0);
                all.reserve(head.len() + data.len() + rest.min(FIRST_ROOM));
                all.extend_from_slice(&head);
                all.extend_from_slice(&data);
            }
        }
    }
    Ok(first.unwrap_or_else(|| all.freeze()))
}

/// Reads some of a body that is refused: a client that is still sending when its connection is
/// closed may never see the answer. One that waits to be told to send is not told.
pub(super) async fn discard(headers: &HeaderMap, mut body: Body) {
    if headers.contains_key(EXPECT) || body.is_end_stream() {
        return;
    }
    let reading = async {
        let mut read = 0;
        while read < DISCARDED_BYTES
            && let Some(Ok(frame)) = body.frame().await
        {
            read += frame.data_ref().map_or(0, Bytes::len);
        }
    };
    // Whoever is slower sees a closed connection.
    let _ = timeout(DISCARDED_FOR, reading).await;
}
