//! A plain client of WebSockets.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers fail as tests do")]

use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::fixtures::Served;

/// Header lines that open a WebSocket.
pub(crate) const OPENING: [&str; 4] = [
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
];

/// A WebSocket that is only read.
pub(crate) struct Socket(TcpStream);

impl Socket {
    pub(crate) async fn open(served: &Served, path: &str, headers: &[&str]) -> Self {
        let headers = [&OPENING, headers].concat();
        let mut connection = served.send("GET", path, &headers).await;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(within(connection.read_u8()).await);
        }
        let head = String::from_utf8(head).unwrap();
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        assert!(head.to_lowercase().contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="));
        Self(connection)
    }

    /// The next text message as JSON.
    pub(crate) async fn text(&mut self) -> serde_json::Value {
        let (kind, payload) = self.frame().await;
        assert_eq!(kind, 1, "{payload:?}");
        serde_json::from_slice(&payload).unwrap()
    }

    /// The code and reason with which the server closes.
    pub(crate) async fn closed(&mut self) -> (u16, String) {
        let (kind, payload) = self.frame().await;
        assert_eq!(kind, 8, "{payload:?}");
        let code = u16::from_be_bytes([payload[0], payload[1]]);
        (code, String::from_utf8(payload[2..].to_vec()).unwrap())
    }

    async fn frame(&mut self) -> (u8, Vec<u8>) {
        let kind = within(self.0.read_u8()).await & 0x0f;
        let length = match within(self.0.read_u8()).await {
            126 => usize::from(within(self.0.read_u16()).await),
            127 => usize::try_from(within(self.0.read_u64()).await).unwrap(),
            short => usize::from(short),
        };
        let mut payload = vec![0; length];
        within(self.0.read_exact(&mut payload)).await;
        (kind, payload)
    }
}

async fn within<T>(reading: impl Future<Output = std::io::Result<T>>) -> T {
    tokio::time::timeout(Duration::from_secs(20), reading).await.unwrap().unwrap()
}
