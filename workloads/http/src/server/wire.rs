//! A connection's bytes, plain or over TLS.
//!
//! What was read to find out what the client speaks is handed out first. A client that takes
//! nothing of what is written for a minute loses its connection.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use bytes::Buf as _;
use bytes::Bytes;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;
use tokio::net::TcpStream;
use tokio::time::Sleep;
use tokio_rustls::server::TlsStream;

use super::activity::Activity;
use super::metrics::ServerMetrics;
use super::slots::Slot;

/// Longest time that a client may take nothing of what is written to it.
pub(super) const STALL: Duration = Duration::from_mins(1);

/// A connection's bytes.
pub(super) struct Wire {
    io: Io,
    /// Read already, not handed out yet.
    first: Bytes,
    activity: Arc<Activity>,
    stalled: Option<Pin<Box<Sleep>>>,
    open: Open,
}

/// The place of an open connection, also in the figures.
pub(super) struct Open {
    metrics: ServerMetrics,
    _slot: Slot,
}

enum Io {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Open {
    pub(super) fn new(slot: Slot, metrics: &ServerMetrics) -> Self {
        metrics.open.inc();
        metrics.accepted.inc();
        Self { metrics: metrics.clone(), _slot: slot }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.metrics.open.dec();
    }
}

impl Wire {
    pub(super) fn plain(stream: TcpStream, open: Open) -> Self {
        Self::new(Io::Plain(stream), open)
    }

    pub(super) fn tls(stream: TlsStream<TcpStream>, open: Open) -> Self {
        Self::new(Io::Tls(Box::new(stream)), open)
    }

    fn new(io: Io, open: Open) -> Self {
        Self { io, first: Bytes::new(), activity: Arc::default(), stalled: None, open }
    }

    pub(super) fn activity(&self) -> &Arc<Activity> {
        &self.activity
    }

    /// Gives back what was read too early.
    pub(super) fn unread(&mut self, bytes: Bytes) {
        self.first = bytes;
    }

    /// Ends when there is something to read, or the other end has closed.
    pub(super) async fn readable(&self) -> io::Result<()> {
        match &self.io {
            Io::Plain(stream) => stream.readable().await,
            Io::Tls(stream) => stream.get_ref().0.readable().await,
        }
    }

    /// Notes what came of an attempt to write, and whether the client has stalled for too long.
    fn written<T>(
        &mut self,
        context: &mut Context<'_>,
        result: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if result.is_ready() {
            if self.stalled.take().is_some() {
                self.activity.set_blocked(false);
            }
            return result;
        }
        self.activity.set_blocked(true);
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(STALL)));
        if stalled.as_mut().poll(context).is_ready() {
            self.open.metrics.timeouts.inc();
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Pending
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.first.is_empty() {
            let length = self.first.len().min(buffer.remaining());
            buffer.put_slice(&self.first[..length]);
            self.first.advance(length);
            self.activity.read();
            return Poll::Ready(Ok(()));
        }
        let result = match &mut self.io {
            Io::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Io::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        };
        if result.is_ready() {
            self.activity.read();
        }
        result
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = match &mut self.io {
            Io::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Io::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        };
        self.written(context, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = match &mut self.io {
            Io::Plain(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Io::Tls(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        };
        self.written(context, result)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.io {
            Io::Plain(stream) => stream.is_write_vectored(),
            Io::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = match &mut self.io {
            Io::Plain(stream) => Pin::new(stream).poll_flush(context),
            Io::Tls(stream) => Pin::new(stream).poll_flush(context),
        };
        self.written(context, result)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Io::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
