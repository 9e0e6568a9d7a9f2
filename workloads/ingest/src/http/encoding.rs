//! Compressed bodies: taken apart up to a limit, so that no small body takes much memory.

use std::io::Error as IoError;
use std::io::Read;

use axum::http::HeaderMap;
use axum::http::HeaderValue;
use axum::http::StatusCode;
use axum::http::header::ACCEPT_ENCODING;
use axum::http::header::CONTENT_ENCODING;
use bytes::Bytes;
use flate2::bufread::MultiGzDecoder;
use millrace_http::Problem;

/// Largest window that a zstd frame may ask for, as a power of 2: what RFC 8878 recommends, 8 MiB.
const ZSTD_WINDOW_LOG: u32 = 23;

/// Bodies from here on are taken apart outside of the threads that serve connections.
const LARGE: usize = 32 << 10;

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Identity,
    Gzip,
    Zstd,
}

/// A body that could not be taken apart.
#[derive(Debug, thiserror::Error)]
pub(super) enum DecompressError {
    #[error("the body has more than {0} bytes after decompression")]
    TooLarge(usize),
    #[error("the body cannot be decompressed")]
    Read(#[source] IoError),
}

/// How a body is compressed; a problem with status 415 where that is not known.
pub(super) fn encoding_of(headers: &HeaderMap) -> Result<Encoding, Problem> {
    let mut values = headers.get_all(CONTENT_ENCODING).iter();
    let first = values.next().map_or("identity".into(), |value| {
        String::from_utf8_lossy(value.as_bytes()).trim().to_ascii_lowercase()
    });
    match (&*first, values.next()) {
        ("" | "identity", None) => Ok(Encoding::Identity),
        ("gzip" | "x-gzip", None) => Ok(Encoding::Gzip),
        ("zstd", None) => Ok(Encoding::Zstd),
        _ => {
            let detail = format!("the content encoding `{first}` is not taken: send gzip or zstd");
            Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail)
                .header(ACCEPT_ENCODING, HeaderValue::from_static("gzip, zstd")))
        }
    }
}

/// Takes a body apart, up to a limit.
pub(super) async fn decompress(
    encoding: Encoding,
    body: Bytes,
    limit: usize,
) -> Result<Bytes, DecompressError> {
    if encoding == Encoding::Identity {
        return Ok(body);
    }
    if body.len() < LARGE {
        return decompress_now(encoding, &body, limit);
    }
    let running = tokio::task::spawn_blocking(move || decompress_now(encoding, &body, limit));
    running.await.unwrap_or_else(|error| Err(DecompressError::Read(IoError::other(error))))
}

fn decompress_now(encoding: Encoding, body: &[u8], limit: usize) -> Result<Bytes, DecompressError> {
    match encoding {
        Encoding::Identity => Ok(Bytes::copy_from_slice(body)),
        Encoding::Gzip => bounded(MultiGzDecoder::new(body), limit),
        Encoding::Zstd => {
            let mut decoder = zstd::Decoder::with_buffer(body).map_err(DecompressError::Read)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG).map_err(DecompressError::Read)?;
            bounded(decoder, limit)
        }
    }
}

fn bounded(decoder: impl Read, limit: usize) -> Result<Bytes, DecompressError> {
    let mut out = Vec::new();
    // One byte more than the limit says whether there is more.
    decoder.take(limit as u64 + 1).read_to_end(&mut out).map_err(DecompressError::Read)?;
    if out.len() > limit { Err(DecompressError::TooLarge(limit)) } else { Ok(out.into()) }
}
