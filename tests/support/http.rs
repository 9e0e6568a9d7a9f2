//! An HTTP client that knows nothing of the program: Debian's `curl`.

use std::process::Command;
use std::process::Stdio;

use serde_json::Value;

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
