//! An answer's body that says when it has ended, and over HTTP/2 when the client is to take it.

use std::pin::Pin;
use std::task::Context;
use std::task::Poll;

use axum::body::Body;
use bytes::Bytes;
use http_body::Frame;
use http_body::SizeHint;

use super::activity::Answering;

/// An answer's body; the request counts as answered when it is dropped.
pub(super) struct AnswerBody {
    body: Body,
    answering: Answering,
    /// Over HTTP/2: what the connection knows it by. There it is asked for more only when the
    /// client has room for it; over HTTP/1.1 the connection itself sees that nothing is taken.
    watched: Option<u64>,
}

impl AnswerBody {
    /// A body that may wait for the client unseen if `is_shared`: others come over its connection.
    pub(super) fn new(body: Body, answering: Answering, is_shared: bool) -> Self {
        let watched = (is_shared && !http_body::Body::is_end_stream(&body)).then(|| {
            let answer = answering.activity().answer();
            answering.activity().set_handed(answer, true);
            answer
        });
        Self { body, answering, watched }
    }
}

impl http_body::Body for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Some(answer) = self.watched {
            // What there is to take is for the client to take; for more, it waits for us.
            self.answering.activity().set_handed(answer, polled.is_ready());
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        if let Some(answer) = self.watched {
            self.answering.activity().set_handed(answer, false);
        }
    }
}
