//! HTTP clients that know nothing of the program: Debian's `curl`, and one connection by hand where
//! there are many requests.

use std::io;
use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Read as _;
use std::net::TcpStream;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;

use super::kubernetes::over_kubernetes;
use super::process::PATIENCE;

/// What a request was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    /// The value of the first header of this name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The status and the body.
    pub(crate) fn told(&self) -> (u16, &str) {
        (self.status, &self.body)
    }

    /// Status, content type, and the problem's words.
    pub(crate) fn problem(&self) -> (u16, String) {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let detail = self.json()["detail"].as_str().unwrap().to_owned();
        (self.status, detail)
    }
}

/// Runs `curl` with these arguments, the address last.
pub(crate) fn curl(arguments: &[&str]) -> Answer {
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--include", "--max-time", "60", "--noproxy", "*"])
        // There the edge's certificate is of the pipeline's own authority.
        .args(over_kubernetes().then_some("--insecure"))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("curl is installed (Debian: curl)");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{arguments:?}: {}\n{text}",
        String::from_utf8_lossy(&output.stderr)
    );
    parse(&text)
}

/// A POST of JSON.
pub(crate) fn post_json(url: &str, body: &str) -> Answer {
    curl(&["-H", "Content-Type: application/json", "--data-binary", body, url])
}

fn parse(text: &str) -> Answer {
    // Answers such as `100 Continue` come before the one that counts.
    let mut rest = text;
    loop {
        let (head, body) = rest.split_once("\r\n\r\n").unwrap_or((rest, ""));
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1));
        let status = status.and_then(|status| status.parse().ok()).unwrap_or_default();
        if (100..200).contains(&status) {
            rest = body;
            continue;
        }
        let headers = lines.filter_map(|line| line.split_once(": "));
        let headers = headers.map(|(name, value)| (name.to_lowercase(), value.to_owned()));
        return Answer { status, headers: headers.collect(), body: body.to_owned() };
    }
}

/// A connection that many requests go over.
pub(crate) struct KeepAlive<S = TcpStream> {
    address: String,
    reader: BufReader<S>,
}

impl KeepAlive {
    pub(crate) fn connect(address: &str) -> io::Result<Self> {
        Self::within(address, PATIENCE)
    }

    /// A connection on which no answer is waited for longer than this.
    pub(crate) fn within(address: &str, patience: Duration) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        Ok(Self::over(stream, address))
    }
}

impl<S: io::Read + io::Write> KeepAlive<S> {
    /// Requests for this host over what is connected already.
    pub(crate) fn over(stream: S, host: &str) -> Self {
        Self { address: host.to_owned(), reader: BufReader::new(stream) }
    }

    /// Sends a POST and reads the whole of its answer.
    pub(crate) fn post(&mut self, path: &str, headers: &str, body: &str) -> io::Result<Answer> {
        self.begin_post(path, headers, body)?;
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.reader.read_line(&mut head)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let mut answer = parse(&head);
        let length = answer.header("content-length").and_then(|length| length.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        self.reader.read_exact(&mut body)?;
        answer.body = String::from_utf8_lossy(&body).into_owned();
        Ok(answer)
    }

    /// Sends a POST; its answer is left unread.
    pub(crate) fn begin_post(&mut self, path: &str, headers: &str, body: &str) -> io::Result<()> {
        let length = body.len();
        let host = &self.address;
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
        );
        self.reader.get_mut().write_all(request.as_bytes())
    }
}
