//! A small MQTT 3.1.1 client of the tests: it publishes with QoS 1 in a window and tells
//! which messages were confirmed, so that a test knows exactly what it has to send again.

use std::collections::VecDeque;
use std::io;
use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

/// A connection of one publisher.
pub(crate) struct Publisher<S = TcpStream> {
    stream: S,
    next_id: u16,
    unconfirmed: VecDeque<(u16, usize)>,
}

impl Publisher {
    /// Connects with a clean session.
    pub(crate) fn connect(address: &str, client_id: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        Self::over(stream, client_id)
    }
}

impl<S: Read + Write> Publisher<S> {
    /// A clean session over what is connected already.
    pub(crate) fn over(mut stream: S, client_id: &str) -> io::Result<Self> {
        let mut body = vec![0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 60];
        put_text(&mut body, client_id);
        write_packet(&mut stream, 0x10, &body)?;
        let (kind, connack) = read_packet(&mut stream)?;
        if kind != 0x20 || connack.get(1) != Some(&0) {
            return Err(io::Error::other(format!("no CONNACK but {kind:#x} {connack:?}")));
        }
        Ok(Self { stream, next_id: 1, unconfirmed: VecDeque::new() })
    }

    /// Sends message number `index` without waiting for its confirmation.
    pub(crate) fn send(&mut self, index: usize, topic: &str, payload: &[u8]) -> io::Result<()> {
        let id = self.next_id;
        self.next_id = if id == u16::MAX { 1 } else { id + 1 };
        let mut body = Vec::with_capacity(topic.len() + payload.len() + 4);
        put_text(&mut body, topic);
        body.extend_from_slice(&id.to_be_bytes());
        body.extend_from_slice(payload);
        self.unconfirmed.push_back((id, index));
        write_packet(&mut self.stream, 0x32, &body)
    }

    /// Number of messages that were sent and not confirmed.
    pub(crate) fn unconfirmed(&self) -> usize {
        self.unconfirmed.len()
    }

    /// Waits for the next confirmation; the number of its message.
    pub(crate) fn confirmed(&mut self) -> io::Result<usize> {
        loop {
            let (kind, body) = read_packet(&mut self.stream)?;
            if kind == 0x40 && body.len() >= 2 {
                let id = u16::from_be_bytes([body[0], body[1]]);
                if let Some(place) = self.unconfirmed.iter().position(|(sent, _)| *sent == id)
                    && let Some((_, index)) = self.unconfirmed.remove(place)
                {
                    return Ok(index);
                }
            }
        }
    }
}

fn put_text(body: &mut Vec<u8>, text: &str) {
    body.extend_from_slice(&u16::try_from(text.len()).unwrap().to_be_bytes());
    body.extend_from_slice(text.as_bytes());
}

fn write_packet(stream: &mut impl Write, kind: u8, body: &[u8]) -> io::Result<()> {
    let mut packet = vec![kind];
    let mut length = body.len();
    loop {
        let digit = u8::try_from(length % 128).unwrap();
        length /= 128;
        packet.push(if length > 0 { digit | 0x80 } else { digit });
        if length == 0 {
            break;
        }
    }
    packet.extend_from_slice(body);
    stream.write_all(&packet)
}

fn read_packet(stream: &mut impl Read) -> io::Result<(u8, Vec<u8>)> {
    let mut byte = [0];
    stream.read_exact(&mut byte)?;
    let kind = byte[0] & 0xf0;
    let (mut length, mut shift) = (0_usize, 0);
    loop {
        stream.read_exact(&mut byte)?;
        length |= usize::from(byte[0] & 0x7f) << shift;
        shift += 7;
        if byte[0] & 0x80 == 0 {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok((kind, body))
}
