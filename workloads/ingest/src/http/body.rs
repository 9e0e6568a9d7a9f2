//! Reads bodies within their limits of size and time, and all of them within one of memory.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::EXPECT;
use bytes::Bytes;
use bytes::BytesMut;
use http_body_util::BodyExt as _;
use hyper::body::Body as _;
use tokio::sync::Semaphore;
use tokio::sync::SemaphorePermit;
use tokio::time::timeout;

/// Room that is made at once for a body; more comes as it arrives, so that a client must send what
/// it makes us hold.
const FIRST_ROOM: usize = 64 << 10;

/// How much of a refused body is read, so that its sender comes to read the answer.
const DISCARDED_BYTES: usize = 1 << 20;
const DISCARDED_FOR: Duration = Duration::from_millis(500);

/// Bytes of all bodies together that are read or worked on at a time.
const ROOM_BYTES: usize = 256 << 20;

/// The room of all bodies, shared by all ways in: a permit is a byte.
pub(super) fn room() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(ROOM_BYTES))
}

/// Takes room for so many bytes; no body needs more than all of it.
pub(super) fn take_room(room: &Semaphore, bytes: usize) -> Option<SemaphorePermit<'_>> {
    room.try_acquire_many(u32::try_from(bytes.min(ROOM_BYTES)).ok()?).ok()
}

/// A body that was not read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadBodyError {
    #[error("the body has more than {0} bytes")]
    TooLarge(usize),
    #[error("the body did not arrive within {0:?}")]
    Timeout(Duration),
    #[error("too much is being read already")]
    Full,
    #[error("the body could not be received")]
    Receive(#[source] axum::Error),
}

/// Whether the body says of itself that it is larger than the limit.
pub(super) fn announces_more(body: &Body, limit: usize) -> bool {
    body.size_hint().lower() > limit as u64
}

/// Reads a body, with the room that it takes. A single piece is not copied.
pub(super) async fn read<'a>(
    body: &mut Body,
    limit: usize,
    within: Duration,
    room: &'a Semaphore,
) -> Result<(Bytes, SemaphorePermit<'a>), ReadBodyError> {
    match timeout(within, read_all(body, limit, room)).await {
        Ok(read) => read,
        Err(_) => Err(ReadBodyError::Timeout(within)),
    }
}

async fn read_all<'a>(
    body: &mut Body,
    limit: usize,
    room: &'a Semaphore,
) -> Result<(Bytes, SemaphorePermit<'a>), ReadBodyError> {
    let mut taken = take_room(room, 0).ok_or(ReadBodyError::Full)?;
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
        taken.merge(take_room(room, data.len()).ok_or(ReadBodyError::Full)?);
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
    Ok((first.unwrap_or_else(|| all.freeze()), taken))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bodies_share_their_room_until_they_are_done_with() {
        let room = Semaphore::new(10);
        let read = async |text: &'static str| {
            read(&mut Body::from(text), 100, Duration::from_secs(1), &room).await
        };
        let first = read("sixsix").await.unwrap();
        assert_eq!((&*first.0, room.available_permits()), (&b"sixsix"[..], 4));
        assert!(matches!(read("fives").await, Err(ReadBodyError::Full)));
        assert_eq!(read("four").await.unwrap().0, "four");
        drop(first);
        assert_eq!(read("fives").await.unwrap().0, "fives");
        assert_eq!(room.available_permits(), 10);
    }
}
