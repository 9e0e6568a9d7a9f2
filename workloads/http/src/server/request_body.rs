//! A request's body of which the rest is taken in when nobody reads it to its end.
//!
//! An answer may come before the body has: who has no password gets 401 at once. Were the body
//! given up then, the connection would be reset under a client that still sends, and the client
//! might never see the answer (RFC 9113, 8.1; RFC 9112, 9.6).

use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use axum::http::Request;
use axum::http::header::EXPECT;
use bytes::Bytes;
use http_body::Body;
use http_body::Frame;
use http_body::SizeHint;
use hyper::body::Incoming;

use super::activity::Activity;
use super::activity::Answering;

/// How many bytes of a body are thrown away, so that who sends them hears the answer.
const REST: usize = 1024 * 1024;

/// For how long.
const REST_TIME: Duration = Duration::from_secs(2);

/// A request's body. What is left of it when it is dropped is read and thrown away, within limits.
pub(super) struct RequestBody {
    body: Option<Incoming>,
    /// Until the body is over so is not the request: another may follow on the connection. None
    /// where nothing is left unread: without a body, and where the client waits with its body for
    /// somebody to read it.
    open: Option<Answering>,
}

impl RequestBody {
    /// The request with its body as one of these.
    pub(super) fn of(request: Request<Incoming>, activity: &Arc<Activity>) -> Request<Self> {
        let waits = request.headers().contains_key(EXPECT);
        request.map(|body| {
            let open = (!waits && !body.is_end_stream()).then(|| activity.request());
            Self { body: Some(body), open }
        })
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        let (Some(body), Some(open)) = (self.body.take(), self.open.take()) else { return };
        if !body.is_end_stream() {
            tokio::spawn(async move {
                // Whatever the end of it: nobody is there to be told.
                let _ = tokio::time::timeout(REST_TIME, throw_away(body)).await;
                drop(open);
            });
        }
    }
}

async fn throw_away(mut body: Incoming) {
    let mut thrown = 0;
    while thrown < REST {
        let next = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await;
        match next {
            Some(Ok(frame)) => thrown += frame.data_ref().map_or(0, Bytes::len),
            Some(Err(_)) | None => return,
        }
    }
}
