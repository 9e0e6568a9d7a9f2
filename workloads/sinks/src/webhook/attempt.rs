//! One attempt to deliver a request, and what its end means.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use millrace_core::with_causes;
use reqwest::Client;
use reqwest::Response;
use reqwest::StatusCode;
use reqwest::header::HeaderName;
use reqwest::header::HeaderValue;
use reqwest::header::RETRY_AFTER;

use super::request::Request;
use super::signature::Signer;

/// Bytes of an answer that a dead letter's reason has at most.
const MAX_ANSWER_BYTES: usize = 512;

/// Longest time that a receiver may ask to wait; longer ones count as this.
const LONGEST_RETRY_AFTER: Duration = Duration::from_mins(5);

/// Where requests go, and how.
#[derive(Clone)]
pub(crate) struct Receiver {
    pub(crate) client: Client,
    pub(crate) url: String,
    pub(crate) signer: Option<Arc<Signer>>,
    /// Headers whose values are in files, read for each request.
    pub(crate) secret_headers: Arc<Vec<(HeaderName, PathBuf)>>,
}

/// A secret value of a header that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ReadHeaderError {
    /// There is no folder of Secrets.
    #[error(
        "the value of its header `{0}` is in a Secret: name the folder of Secrets with --secrets"
    )]
    NoFolder(String),
    /// The name is none.
    #[error("`{0}` is no name of a header")]
    Name(String),
    /// The file cannot be read.
    #[error("cannot read the value of its header `{header}` from {}", file.display())]
    Read {
        /// The header.
        header: HeaderName,
        /// The file.
        file: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The value cannot be sent.
    #[error("{} is no value of the header `{header}`: write it on one line", file.display())]
    Value {
        /// The header.
        header: HeaderName,
        /// The file.
        file: PathBuf,
    },
}

/// The value of a header, without space around it.
pub(crate) fn read_header(
    header: &HeaderName,
    file: &Path,
) -> Result<HeaderValue, ReadHeaderError> {
    let text = std::fs::read_to_string(file).map_err(|source| ReadHeaderError::Read {
        header: header.clone(),
        file: file.to_owned(),
        source,
    })?;
    let value = HeaderValue::from_str(text.trim()).ok().filter(|value| !value.is_empty());
    let mut value = value
        .ok_or_else(|| ReadHeaderError::Value { header: header.clone(), file: file.to_owned() })?;
    value.set_sensitive(true);
    Ok(value)
}

/// What became of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The receiver has it.
    Delivered,
    /// It may be taken later: after a time that the receiver says, if it says one.
    Later { reason: String, after: Option<Duration> },
    /// The receiver never takes it.
    Refused { reason: String },
}

impl Receiver {
    /// Host and port, without what the address may say in confidence.
    pub(crate) fn host(&self) -> &str {
        let rest = self.url.split_once("://").map_or(&*self.url, |(_, rest)| rest);
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        authority.rsplit_once('@').map_or(authority, |(_, host)| host)
    }

    /// Sends a request once.
    pub(crate) async fn attempt(&self, request: &Request) -> Outcome {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let timestamp = since.as_secs().to_string();
        let mut post = self
            .client
            .post(&self.url)
            .headers(request.headers.clone())
            .header("webhook-id", &request.id)
            .header("webhook-timestamp", &timestamp);
        for (header, file) in self.secret_headers.iter() {
            match read_header(header, file) {
                Ok(value) => post = post.header(header, value),
                // Also while the file is being replaced.
                Err(error) => {
                    return Outcome::Later { reason: with_causes(&error), after: None };
                }
            }
        }
        if let Some(signer) = &self.signer {
            let signature = signer.sign(&request.id, &timestamp, &request.body);
            post = post.header("webhook-signature", signature);
        }
        match post.body(request.body.clone()).send().await {
            Ok(response) => outcome(response).await,
            // The address may hold a secret, and reasons are told to many.
            Err(error) if error.is_builder() => {
                Outcome::Refused { reason: with_causes(&error.without_url()) }
            }
            Err(error) => Outcome::Later { reason: with_causes(&error.without_url()), after: None },
        }
    }
}

async fn outcome(response: Response) -> Outcome {
    let status = response.status();
    if status.is_success() {
        return Outcome::Delivered;
    }
    let after = response.headers().get(RETRY_AFTER).and_then(retry_after);
    let answer = first_bytes(response).await;
    let reason = if answer.is_empty() {
        format!("the receiver answers {status}")
    } else {
        format!("the receiver answers {status}: {answer}")
    };
    if is_passing(status) { Outcome::Later { reason, after } } else { Outcome::Refused { reason } }
}

/// Whether the same request may be answered differently later.
fn is_passing(status: StatusCode) -> bool {
    status.is_server_error()
        || [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_EARLY, StatusCode::TOO_MANY_REQUESTS]
            .contains(&status)
}

/// Seconds; dates are left to the growing pauses, since they depend on the receiver's clock.
fn retry_after(value: &HeaderValue) -> Option<Duration> {
    let seconds = value.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_RETRY_AFTER))
}

async fn first_bytes(mut response: Response) -> String {
    let mut bytes = Vec::new();
    while bytes.len() < MAX_ANSWER_BYTES {
        match response.chunk().await {
            Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
            // What has come is told.
            Ok(None) | Err(_) => break,
        }
    }
    bytes.truncate(MAX_ANSWER_BYTES);
    String::from_utf8_lossy(&bytes).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_pass_is_tried_again() {
        let passing: Vec<u16> = (300..600)
            .filter(|code| is_passing(StatusCode::from_u16(*code).unwrap()))
            .filter(|code| *code < 502)
            .collect();
        assert_eq!(passing, [408, 425, 429, 500, 501]);
    }

    #[test]
    fn a_receiver_may_ask_for_some_seconds_but_not_for_hours() {
        let after = |text| retry_after(&HeaderValue::from_static(text));
        assert_eq!(after("7"), Some(Duration::from_secs(7)));
        assert_eq!(after("86400"), Some(Duration::from_mins(5)));
        assert_eq!(after("Wed, 21 Oct 2026 07:28:00 GMT"), None);
    }
}
