//! An answer's body that says when it has ended.

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
    _answering: Answering,
}

impl AnswerBody {
    pub(super) fn new(body: Body, answering: Answering) -> Self {
        Self { body, _answering: answering }
    }
}

impl http_body::Body for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
