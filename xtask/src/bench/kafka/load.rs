//! Fills a stream by HTTP, in order.

use std::error::Error;
use std::io::Read as _;
use std::io::Write as _;
use std::net::TcpStream;

use crate::bench::kafka::role::Role;

/// Events of a request.
const BATCH: u64 = 1000;

#[derive(Debug, thiserror::Error)]
#[error("a batch was not accepted: {0}")]
struct RefusedError(String);

/// Sends events of these numbers, one request after the other, so that they are stored in this
/// order. Returns the bytes of an event in the middle.
pub(super) fn fill(
    ingest: &Role,
    path: &str,
    events: u64,
    event: impl Fn(u64) -> String,
) -> Result<u64, Box<dyn Error>> {
    let mut stream = TcpStream::connect(ingest.address("url"))?;
    stream.set_nodelay(true)?;
    let mut bytes = 0;
    for batch in 0..events.div_ceil(BATCH) {
        let mut body = String::new();
        for number in batch * BATCH..events.min((batch + 1) * BATCH) {
            let event = event(number);
            bytes += event.len() as u64;
            body.push_str(&event);
            body.push('\n');
        }
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/x-ndjson\r\n\
             content-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(&[head.as_bytes(), body.as_bytes()].concat())?;
        let answer = answer(&mut stream)?;
        if !answer.starts_with("HTTP/1.1 202") {
            return Err(RefusedError(answer).into());
        }
    }
    Ok(bytes / events.max(1))
}

/// Reads an answer: a head, and `{"accepted":1000}`.
fn answer(stream: &mut TcpStream) -> Result<String, Box<dyn Error>> {
    let mut have = Vec::new();
    let mut part = [0; 4096];
    loop {
        let read = stream.read(&mut part)?;
        have.extend_from_slice(&part[..read]);
        if read == 0 || have.ends_with(b"}") {
            return Ok(String::from_utf8_lossy(&have).into_owned());
        }
    }
}
