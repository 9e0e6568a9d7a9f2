//! Requests to a running pipeline, and what to say when it does not answer.

use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use http_body_util::BodyExt as _;
use http_body_util::Empty;
use hyper::Method;
use hyper::Request;
use hyper::Response;
use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::header;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::client::server_events::ServerEvents;
use crate::exit::Exit;
use crate::exit::Failure;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Where the running pipeline answers.
#[derive(Debug, Args)]
pub(crate) struct ApiAddress {
    /// Address of the running pipeline, as `millrace run` prints it.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    url: String,
}

/// What went wrong with a request.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    /// The address has another form.
    #[error("`{0}` is not the address of a pipeline: write `http://HOST:PORT`")]
    Address(String),
    /// Nothing answers.
    #[error(
        "no pipeline answers at {url}: start one with `millrace run FILE`, or name its address with --url"
    )]
    Connect {
        /// The address.
        url: String,
        /// Why not.
        source: std::io::Error,
    },
    /// Something answers in time, but not HTTP.
    #[error("what answers at {url} does not speak HTTP as a pipeline does")]
    Exchange {
        /// The address.
        url: String,
        /// Why not.
        source: hyper::Error,
    },
    /// The request cannot be written.
    #[error("`{0}` cannot be asked for")]
    Path(String),
    /// The pipeline refused.
    #[error("the pipeline refused: {0}")]
    Refused(String),
    /// The answer is not JSON.
    #[error("what answers at {url} is not a pipeline")]
    Answer {
        /// The address.
        url: String,
        /// What is wrong with the answer.
        source: serde_json::Error,
    },
}

impl From<RequestError> for Failure {
    fn from(error: RequestError) -> Self {
        let exit = match &error {
            RequestError::Address(_) | RequestError::Path(_) => Exit::Usage,
            RequestError::Refused(_) => Exit::Data,
            RequestError::Connect { .. }
            | RequestError::Exchange { .. }
            | RequestError::Answer { .. } => Exit::Unavailable,
        };
        exit.because(error)
    }
}

/// A client of one pipeline. Each request has a connection of its own: commands make few.
pub(crate) struct Client {
    url: String,
}

impl Client {
    /// A client for this address.
    pub(crate) fn new(address: &ApiAddress) -> Self {
        Self { url: address.url.trim_end_matches('/').to_owned() }
    }

    /// Asks for JSON.
    pub(crate) async fn get(&self, path: &str) -> Result<Value, RequestError> {
        self.json(Method::GET, path).await?.map_err(RequestError::Refused)
    }

    /// Posts nothing and returns what was answered, or the reason of a refusal.
    pub(crate) async fn post(&self, path: &str) -> Result<Result<Value, String>, RequestError> {
        self.json(Method::POST, path).await
    }

    /// Asks for server-sent events.
    pub(crate) async fn events(&self, path: &str) -> Result<ServerEvents, RequestError> {
        let response = self.send(Method::GET, path, "text/event-stream").await?;
        if response.status().is_success() {
            Ok(ServerEvents::new(self.url.clone(), response.into_body()))
        } else {
            let status = response.status();
            let body = self.collect(response).await?;
            Err(RequestError::Refused(reason(status, &body)))
        }
    }

    async fn json(
        &self,
        method: Method,
        path: &str,
    ) -> Result<Result<Value, String>, RequestError> {
        let response = self.send(method, path, "application/json").await?;
        let status = response.status();
        let body = self.collect(response).await?;
        if !status.is_success() {
            return Ok(Err(reason(status, &body)));
        }
        serde_json::from_slice(&body)
            .map(Ok)
            .map_err(|source| RequestError::Answer { url: self.url.clone(), source })
    }

    async fn collect(&self, response: Response<Incoming>) -> Result<Bytes, RequestError> {
        let body = response.into_body().collect().await;
        body.map(http_body_util::Collected::to_bytes).map_err(|e| self.exchange(e))
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        accept: &str,
    ) -> Result<Response<Incoming>, RequestError> {
        let authority = self
            .url
            .strip_prefix("http://")
            .filter(|authority| !authority.is_empty() && !authority.contains(['/', ' ']))
            .ok_or_else(|| RequestError::Address(self.url.clone()))?;
        let address =
            if authority.contains(':') { authority.to_owned() } else { format!("{authority}:80") };
        let connect = |source| RequestError::Connect { url: self.url.clone(), source };
        let stream = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address))
            .await
            .map_err(|_| connect(std::io::ErrorKind::TimedOut.into()))?
            .map_err(connect)?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|e| self.exchange(e))?;
        // Its errors reach the request or the body that is read from it.
        tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, authority)
            .header(header::ACCEPT, accept)
            // The API changes nothing for a request that a web page could make on its own.
            .header(header::CONTENT_TYPE, "application/json")
            .body(Empty::<Bytes>::new())
            .map_err(|_| RequestError::Path(path.to_owned()))?;
        sender.send_request(request).await.map_err(|e| self.exchange(e))
    }

    fn exchange(&self, source: hyper::Error) -> RequestError {
        RequestError::Exchange { url: self.url.clone(), source }
    }
}

/// The reason in a problem document, or else the status.
fn reason(status: StatusCode, body: &[u8]) -> String {
    let problem: Value = serde_json::from_slice(body).unwrap_or_default();
    let detail = problem["detail"].as_str().or_else(|| problem["title"].as_str());
    detail.map_or_else(|| status.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_in_the_pipelines_words() {
        let problem = br#"{"type":"about:blank","title":"Not Found","status":404,"detail":"there is no stream `x`"}"#;
        assert_eq!(reason(StatusCode::NOT_FOUND, problem), "there is no stream `x`");
        assert_eq!(reason(StatusCode::NOT_FOUND, b"<html>"), "404 Not Found");
    }

    #[tokio::test]
    async fn silence_at_the_address_is_told_with_what_to_do() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let error = Client::new(&ApiAddress { url: url.clone() }).get("/").await.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "no pipeline answers at {url}: start one with `millrace run FILE`, or name its address with --url"
            )
        );
    }
}
