//! A client of HTTP/1.1 that sends exactly the bytes it is told to.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers fail as tests do")]

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Answer {
    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (other, value) = line.split_once(':')?;
            other.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{self:?}"))
    }

    /// The status and the body.
    pub(crate) fn told(&self) -> (u16, &str) {
        (self.status, &self.body)
    }

    /// The status and the `detail` of a problem.
    pub(crate) fn problem(&self) -> (u16, String) {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let json = self.json();
        assert_eq!(json["status"], self.status);
        (self.status, json["detail"].as_str().unwrap().to_owned())
    }
}

/// Reads one answer.
pub(crate) async fn answer(stream: &mut TcpStream) -> Answer {
    let reading = async {
        let mut read = Vec::new();
        let end = loop {
            if let Some(end) = read.windows(4).position(|part| part == b"\r\n\r\n") {
                break end;
            }
            assert!(stream.read_buf(&mut read).await.unwrap() > 0, "closed after {read:?}");
        };
        let head = String::from_utf8(read[..end].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let answer = Answer { status, head, body: String::new() };
        let length: usize = answer.header("content-length").unwrap_or("0").parse().unwrap();
        let length = if status == 100 { 0 } else { length };
        while read.len() < end + 4 + length {
            assert!(stream.read_buf(&mut read).await.unwrap() > 0);
        }
        let body = String::from_utf8(read[end + 4..].to_vec()).unwrap();
        Answer { body, ..answer }
    };
    timeout(Duration::from_secs(30), reading).await.expect("an answer in 30 s")
}

/// The bytes of a request; the length of its body is told.
pub(crate) fn request(line: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{line} HTTP/1.1\r\nhost: test\r\n").into_bytes();
    for (name, value) in headers {
        bytes.extend(format!("{name}: {value}\r\n").as_bytes());
    }
    bytes.extend(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
    bytes.extend(body);
    bytes
}

/// Sends a request on a connection of its own.
pub(crate) async fn send(
    address: SocketAddr,
    line: &str,
    headers: &[(&str, &str)],
    body: impl AsRef<[u8]>,
) -> Answer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(&request(line, headers, body.as_ref())).await.unwrap();
    answer(&mut stream).await
}
