//! Requests from a file, a line of JSON each.

use std::io::BufRead;

use serde::Deserialize;
use serde_json::Value;

use super::DeviceRequest;

/// Why a file of requests cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ReadRequestsError {
    /// It cannot be read.
    #[error("cannot read the requests")]
    Read(#[from] std::io::Error),
    /// A line is no request.
    #[error(
        "line {line} is no request ({reason}): write {{\"path\": \"/telemetry/cpu\", \"body\": {{…}}}}, and \"method\" and \"headers\" where they matter"
    )]
    Form {
        /// Number of the line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// It has no line.
    #[error("the file has no requests")]
    Empty,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    #[serde(default = "post")]
    method: String,
    path: String,
    #[serde(default)]
    headers: std::collections::BTreeMap<String, String>,
    #[serde(default)]
    body: Option<Value>,
}

fn post() -> String {
    "POST".to_owned()
}

/// Reads requests: each line is an object with `path` and, where they matter, `method` (`POST`),
/// `headers` and `body`. A body that is a text is sent as it is, any other as JSON.
///
/// # Errors
/// When the file cannot be read, a line has another form, or there is none.
pub fn read_requests(file: impl BufRead) -> Result<Vec<DeviceRequest>, ReadRequestsError> {
    let mut requests = Vec::new();
    for (index, text) in file.lines().enumerate() {
        let text = text?;
        if text.trim().is_empty() {
            continue;
        }
        let form = |reason: String| ReadRequestsError::Form { line: index + 1, reason };
        let line: Line = serde_json::from_str(&text).map_err(|error| form(error.to_string()))?;
        if !line.path.starts_with('/') {
            return Err(form(format!("the path `{}` does not begin with a slash", line.path)));
        }
        let mut headers: Vec<_> = line.headers.into_iter().collect();
        let body = match line.body {
            None => Vec::new(),
            Some(Value::String(text)) => text.into_bytes(),
            Some(json) => {
                if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
                    headers.push(("content-type".to_owned(), "application/json".to_owned()));
                }
                json.to_string().into_bytes()
            }
        };
        requests.push(DeviceRequest {
            method: line.method,
            path: line.path,
            headers,
            body: body.into(),
        });
    }
    if requests.is_empty() {
        return Err(ReadRequestsError::Empty);
    }
    Ok(requests)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_needs_a_path_alone() {
        let file = "{\"path\": \"/app\"}\n\n{\"method\": \"PUT\", \"path\": \"/a?b=c\", \"headers\": {\"x\": \"1\"}, \"body\": {\"n\": 1}}\n{\"path\": \"/t\", \"body\": \"as it is\"}\n";
        let requests = read_requests(file.as_bytes()).unwrap();
        assert_eq!(requests[0].method, "POST");
        assert_eq!(requests[0].body, "");
        assert_eq!(requests[1].body, "{\"n\":1}");
        assert_eq!(
            requests[1].headers,
            [
                ("x".to_owned(), "1".to_owned()),
                ("content-type".to_owned(), "application/json".to_owned())
            ]
        );
        assert_eq!(requests[2].body, "as it is");
        assert_eq!(requests[2].headers, []);
    }

    #[test]
    fn a_wrong_line_is_named() {
        let error = read_requests("{\"path\": \"/a\"}\n{\"path\": \"b\"}".as_bytes()).unwrap_err();
        assert!(error.to_string().starts_with(
            "line 2 is no request (the path `b` does not begin with a slash): write {\"path\""
        ));
        assert!(matches!(read_requests("\n".as_bytes()), Err(ReadRequestsError::Empty)));
    }
}
