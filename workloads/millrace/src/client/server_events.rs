//! Server-sent events, as they come.

use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use crate::client::http::RequestError;

/// One event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ServerEvent {
    /// Its data, lines joined.
    pub(crate) data: String,
}

/// A body of server-sent events.
pub(crate) struct ServerEvents {
    url: String,
    body: Incoming,
    parser: Parser,
}

impl ServerEvents {
    pub(crate) fn new(url: String, body: Incoming) -> Self {
        Self { url, body, parser: Parser::default() }
    }

    /// Waits for the next event; none when the server has ended the stream.
    pub(crate) async fn next(&mut self) -> Result<Option<ServerEvent>, RequestError> {
        loop {
            if let Some(event) = self.parser.next() {
                return Ok(Some(event));
            }
            let Some(frame) = self.body.frame().await else { return Ok(None) };
            let frame =
                frame.map_err(|source| RequestError::Exchange { url: self.url.clone(), source })?;
            if let Ok(bytes) = frame.into_data() {
                self.parser.feed(&bytes);
            }
        }
    }
}

/// Cuts bytes into events. Fields other than `data` are passed over.
#[derive(Default)]
struct Parser {
    bytes: Vec<u8>,
    event: ServerEvent,
    has_data: bool,
}

impl Parser {
    fn feed(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    fn next(&mut self) -> Option<ServerEvent> {
        while let Some(end) = self.bytes.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.bytes.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end_matches(['\n', '\r']);
            if line.is_empty() {
                if std::mem::take(&mut self.has_data) {
                    return Some(std::mem::take(&mut self.event));
                }
            } else if let Some(data) = line.strip_prefix("data:") {
                if self.has_data {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(data.strip_prefix(' ').unwrap_or(data));
                self.has_data = true;
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_cut_out_of_bytes_however_they_come() {
        let text =
            ": heartbeat\n\nid: 0-1\nevent: record\ndata: {\"a\":\ndata: 1}\n\ndata:x\r\n\r\n";
        for size in [1, 3, 1000] {
            let mut parser = Parser::default();
            let mut data = Vec::new();
            for chunk in text.as_bytes().chunks(size) {
                parser.feed(chunk);
                while let Some(event) = parser.next() {
                    data.push(event.data);
                }
            }
            assert_eq!(data, ["{\"a\":\n1}", "x"]);
        }
    }
}
