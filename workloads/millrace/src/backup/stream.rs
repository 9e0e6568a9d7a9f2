//! Bytes from a thread that may block to whoever sends them on, a few pieces at a time.

use std::io;
use std::io::Write;

use bytes::Bytes;
use bytes::BytesMut;
use tokio::sync::mpsc;

use super::write::Source;

/// Bytes of a piece.
const PIECE: usize = 256 << 10;

/// Writes into a channel, on a thread that may block.
struct ChannelWriter {
    pieces: mpsc::Sender<io::Result<Bytes>>,
    piece: BytesMut,
}

impl ChannelWriter {
    fn new(pieces: mpsc::Sender<io::Result<Bytes>>) -> Self {
        Self { pieces, piece: BytesMut::with_capacity(PIECE) }
    }

    fn send(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.piece, BytesMut::with_capacity(PIECE)).freeze();
        self.pieces.blocking_send(Ok(piece)).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl Write for ChannelWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE {
            self.send()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send()
    }
}

/// Starts to write a backup into a channel.
pub(crate) fn stream(source: Source) -> mpsc::Receiver<io::Result<Bytes>> {
    let (sender, receiver) = mpsc::channel(4);
    tokio::task::spawn_blocking(move || {
        let out = ChannelWriter::new(sender.clone());
        if let Err(error) = source.write(out) {
            // The other end breaks off as well, and says so.
            let _ = sender.blocking_send(Err(io::Error::other(error)));
        }
    });
    receiver
}
