//! Bytes from a thread that may block to whoever sends them on, a few pieces at a time.

use std::io;
use std::io::Write;
use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;
use bytes::BytesMut;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::write::BackupError;
use super::write::Source;

/// Bytes of a piece.
const PIECE: usize = 256 << 10;

/// How long nobody may take a piece: a backup pauses retention, and holds the one place.
const STALL: Duration = Duration::from_mins(1);

/// Between two looks at whether a piece is taken.
const LOOK: Duration = Duration::from_millis(10);

/// Writes into a channel, on a thread that may block.
struct ChannelWriter<E> {
    pieces: mpsc::Sender<io::Result<Bytes>>,
    piece: BytesMut,
    stall: Duration,
    /// Whether it has to end now.
    ends: E,
}

impl<E: Fn() -> bool> ChannelWriter<E> {
    fn send(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.piece, BytesMut::with_capacity(PIECE)).freeze();
        let deadline = Instant::now() + self.stall;
        let mut waiting = Ok(piece);
        loop {
            waiting = match self.pieces.try_send(waiting) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Closed(_)) => return Err(io::ErrorKind::BrokenPipe.into()),
                Err(TrySendError::Full(waiting)) => waiting,
            };
            if Instant::now() > deadline {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "nobody reads the backup"));
            }
            if (self.ends)() {
                return Err(io::Error::other("the log has to be opened anew: try again"));
            }
            std::thread::sleep(LOOK);
        }
    }
}

impl<E: Fn() -> bool> Write for ChannelWriter<E> {
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

/// Starts to write a backup into a channel, on a thread of its own that keeps the permit.
///
/// # Errors
/// When there is no thread for it.
pub(crate) fn stream(
    source: Source,
    permit: OwnedSemaphorePermit,
) -> Result<mpsc::Receiver<io::Result<Bytes>>, BackupError> {
    let (pieces, receiver) = mpsc::channel(4);
    let work = move || {
        let out = ChannelWriter {
            pieces: pieces.clone(),
            piece: BytesMut::with_capacity(PIECE),
            stall: STALL,
            ends: source.interruption(),
        };
        if let Err(error) = source.write(out) {
            // The other end breaks off as well, and says so where it still reads.
            let _ = pieces.try_send(Err(io::Error::other(error)));
        }
        drop(source);
        drop(permit);
    };
    std::thread::Builder::new().name("backup".to_owned()).spawn(work)?;
    Ok(receiver)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writer(
        ends: impl Fn() -> bool,
        stall: Duration,
    ) -> (ChannelWriter<impl Fn() -> bool>, mpsc::Receiver<io::Result<Bytes>>) {
        let (pieces, receiver) = mpsc::channel(1);
        (ChannelWriter { pieces, piece: BytesMut::new(), stall, ends }, receiver)
    }

    #[test]
    fn a_client_that_does_not_read_ends_the_backup() {
        let (mut writer, _receiver) = writer(|| false, Duration::from_millis(20));
        writer.write_all(&vec![0; PIECE]).unwrap();
        let error = writer.write_all(&vec![0; PIECE]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn a_log_that_is_to_be_opened_anew_ends_the_backup() {
        let (mut writer, _receiver) = writer(|| true, Duration::from_mins(1));
        writer.write_all(&vec![0; PIECE]).unwrap();
        assert!(writer.write_all(&vec![0; PIECE]).is_err());
    }
}
