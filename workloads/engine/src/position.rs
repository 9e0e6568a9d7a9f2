//! What a task commits of each input, so that it can go on exactly where it was.

use bytes::Bytes;
use millrace_core::Offset;
use serde::Deserialize;
use serde::Serialize;

use crate::watermark::Watermark;

/// Format of the committed bytes; a later program reads all earlier ones.
const VERSION: u8 = 1;

/// How far a task has come with one input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Position {
    /// Where to read again from: no record below is still buffered or needed to recognise
    /// repetitions.
    pub(crate) scan_from: Offset,
    /// The input's watermark at `scan_from`.
    pub(crate) at_scan: Watermark,
    /// Records below have been judged: late ones among them are not late again.
    pub(crate) read_to: Offset,
    /// Everything of the task below this event time has been processed.
    pub(crate) released_to: i64,
    /// The task's watermark as raised by a full buffer or the end of input.
    pub(crate) raised_to: i64,
}

/// A position that cannot be read back.
#[derive(Debug, thiserror::Error)]
pub enum PositionError {
    /// It was written by a later program.
    #[error("the position has format {0}, this program reads up to {VERSION}")]
    Version(u8),
    /// It is damaged.
    #[error("the position cannot be decoded")]
    Decode(#[source] postcard::Error),
}

impl Position {
    /// The start of an input that was never read.
    pub(crate) fn start(watermark: Watermark) -> Self {
        Self {
            scan_from: 0,
            at_scan: watermark,
            read_to: 0,
            released_to: i64::MIN,
            raised_to: i64::MIN,
        }
    }

    pub(crate) fn encode(&self) -> Bytes {
        let bytes = postcard::to_extend(self, vec![VERSION])
            .expect("a position of numbers can always be encoded");
        Bytes::from(bytes)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, PositionError> {
        match bytes.split_first() {
            Some((&VERSION, rest)) => postcard::from_bytes(rest).map_err(PositionError::Decode),
            Some((version, _)) => Err(PositionError::Version(*version)),
            None => Err(PositionError::Decode(postcard::Error::DeserializeUnexpectedEnd)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_survives_its_encoding_and_a_later_format_is_refused() {
        let mut position = Position::start(Watermark::derived(2));
        position.at_scan.mark(1, 77);
        position.read_to = 42;
        let bytes = position.encode();
        assert_eq!(Position::decode(&bytes).unwrap(), position);
        assert!(matches!(Position::decode(&[9, 1, 2]), Err(PositionError::Version(9))));
        assert!(matches!(Position::decode(&bytes[..3]), Err(PositionError::Decode(_))));
    }
}
