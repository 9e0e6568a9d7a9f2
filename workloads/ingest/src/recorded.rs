//! Recorded input: lines fed through a way in, in their order.
//!
//! A line is `{"topic": …, "payload": …}` for a way in over MQTT. For one over HTTP or WebSocket it
//! is `{"payload": …}` with the JSON of one event, which a way in that takes no body leaves out, and
//! may have `"path"` (with its query; needed where the path has parameters), `"headers"` (an object
//! of texts), `"user"` and `"id"` (the event's, instead of one made now).
//!
//! Lines are appended in batches, so that many share one fsync; each is validated as if it had
//! come in now.

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use millrace_core::EventId;
use millrace_log::AppendError;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::fs::File;
use tokio::io::AsyncBufRead;
use tokio::io::AsyncBufReadExt as _;
use tokio::io::AsyncReadExt as _;
use tokio::io::BufReader;

use crate::acceptor::Acceptor;
use crate::acceptor::Incoming;
use crate::acceptor::Prepared;
use crate::acceptor::Route;
use crate::acceptor::WrittenHead;
use crate::acceptor::prepare_event;

/// Most lines of one append.
const BATCH_LINES: usize = 1000;

/// Most bytes of one append; the line that passes it is the last.
const BATCH_BYTES: usize = 4 << 20;

/// Longest line.
const MAX_LINE_BYTES: u64 = 32 << 20;

/// How far a recorded input has been fed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FeedProgress {
    /// Lines read.
    pub lines: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Lines that were refused: dead letters, where their way in keeps them.
    pub refused: u64,
}

/// A recorded input that could not be fed.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// There is no such way in.
    #[error("the pipeline has no way in `{name}`: write one of {known}")]
    UnknownRoute {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// The file cannot be opened.
    #[error("cannot open {path}")]
    Open {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// The input cannot be read.
    #[error("cannot read line {line}")]
    Read {
        /// The line, from 1.
        line: u64,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// A line is longer than 32 MiB.
    #[error("line {0} has more than 33554432 bytes")]
    TooLong(u64),
    /// A line is not of the expected form.
    #[error("line {line} is not `{expected}`")]
    Form {
        /// The line, from 1.
        line: u64,
        /// What is expected.
        expected: &'static str,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A line names a request that cannot be made.
    #[error("line {line}: {wrong}")]
    Request {
        /// The line, from 1.
        line: u64,
        /// What is wrong with it.
        wrong: String,
    },
    /// The log does not accept.
    #[error("cannot store the input")]
    Append(#[source] AppendError),
}

#[derive(Deserialize)]
struct MessageLine<'a> {
    topic: String,
    #[serde(borrow)]
    payload: &'a RawValue,
}

#[derive(Deserialize)]
struct RequestLine<'a> {
    path: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    user: Option<String>,
    id: Option<EventId>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
}

/// Feeds a file of recorded messages through a way in; calls `progress` after each batch.
///
/// # Errors
/// When there is no such way in, the file cannot be read or has another form, or the log does
/// not accept. What was fed before that stays.
pub async fn feed_file(
    acceptor: &Acceptor,
    route: &str,
    path: &Path,
    progress: impl FnMut(FeedProgress),
) -> Result<FeedProgress, FeedError> {
    let file = File::open(path)
        .await
        .map_err(|source| FeedError::Open { path: path.to_owned(), source })?;
    feed_reader(acceptor, route, BufReader::with_capacity(1 << 20, file), progress).await
}

/// Feeds recorded messages through a way in; see [`feed_file`].
///
/// # Errors
/// As [`feed_file`].
pub async fn feed_reader(
    acceptor: &Acceptor,
    route: &str,
    mut reader: impl AsyncBufRead + Unpin,
    mut progress: impl FnMut(FeedProgress),
) -> Result<FeedProgress, FeedError> {
    let route = acceptor.route(route).ok_or_else(|| FeedError::UnknownRoute {
        name: route.to_owned(),
        known: acceptor.route_names().collect::<Vec<_>>().join(", "),
    })?;
    let mut done = FeedProgress::default();
    let mut batch = Vec::new();
    let mut batch_bytes = 0;
    let mut line = Vec::new();
    loop {
        line.clear();
        let number = done.lines + 1;
        let read = (&mut reader)
            .take(MAX_LINE_BYTES)
            .read_until(b'\n', &mut line)
            .await
            .map_err(|source| FeedError::Read { line: number, source })?;
        if read as u64 == MAX_LINE_BYTES {
            return Err(FeedError::TooLong(number));
        }
        if read > 0 {
            done.lines = number;
            done.bytes += read as u64;
            if !line.trim_ascii().is_empty() {
                batch.push(prepare(route, &line, number)?);
                batch_bytes += read;
            }
        }
        if read == 0 || batch.len() == BATCH_LINES || batch_bytes >= BATCH_BYTES {
            acceptor.store_all(&mut batch).await.map_err(FeedError::Append)?;
            for prepared in batch.drain(..) {
                // The offsets of recorded lines interest nobody.
                done.refused += u64::from(prepared.finish(0, None).is_err());
            }
            batch_bytes = 0;
            progress(done);
        }
        if read == 0 {
            return Ok(done);
        }
    }
}

fn prepare<'a>(route: &'a Route, line: &[u8], number: u64) -> Result<Prepared<'a>, FeedError> {
    let bytes = |payload: &RawValue| Bytes::copy_from_slice(payload.get().as_bytes());
    let form = |expected| move |source| FeedError::Form { line: number, expected, source };
    if route.takes_requests() {
        let line: RequestLine<'_> = serde_json::from_slice(line)
            .map_err(form(r#"{"path": …, "headers": {…}, "payload": …}"#))?;
        let payload = line.payload.map(bytes);
        let head =
            WrittenHead { path: line.path, headers: line.headers, user: line.user, id: line.id };
        return prepare_event(route, head, payload, now_millis())
            .map_err(|wrong| FeedError::Request { line: number, wrong });
    }
    let line: MessageLine<'_> =
        serde_json::from_slice(line).map_err(form(r#"{"topic": …, "payload": …}"#))?;
    let incoming = Incoming {
        topic: &line.topic,
        client_id: None,
        user: None,
        body: bytes(line.payload),
        arrival: now_millis(),
    };
    Ok(Acceptor::prepare(route, &incoming))
}

/// Milliseconds since 1970-01-01T00:00:00Z.
pub(crate) fn now_millis() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
