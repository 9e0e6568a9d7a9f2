//! Requests to a running pipeline, and what to say when it does not answer.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use clap::Args;
use http_body_util::BodyExt as _;
use http_body_util::Full;
use hyper::Method;
use hyper::Request;
use hyper::Response;
use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::header;
use hyper_util::rt::TokioIo;
use millrace_simulate::send::HttpAddress;
use millrace_simulate::send::PrepareTlsError;
use millrace_simulate::send::client_tls;
use rustls::pki_types::ServerName;
use serde_json::Value;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::client::server_events::ServerEvents;
use crate::exit::Exit;
use crate::exit::Failure;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Where the running pipeline answers.
#[derive(Debug, Args)]
pub(crate) struct ApiAddress {
    /// Address of the running pipeline, as `millrace run` prints it.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    url: HttpAddress,

    /// File of certificates (PEM) to trust, such as `tls/tls.crt` in the data folder of a pipeline
    /// with a self-signed one. Default: those of the system.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,

    /// User name, where the pipeline asks for one.
    #[arg(long, value_name = "NAME", requires = "password_file")]
    username: Option<String>,

    /// File with the user's password.
    #[arg(long, value_name = "FILE", requires = "username")]
    password_file: Option<PathBuf>,

    /// File with a bearer token, where the pipeline asks for one.
    #[arg(long, value_name = "FILE", conflicts_with = "username")]
    token_file: Option<PathBuf>,
}

/// What went wrong with a request.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    /// A password or token cannot be read.
    #[error("cannot read {path}")]
    Credentials {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The pipeline asks for credentials, or for others.
    #[error(
        "the pipeline at {url} asks who you are: name --username and --password-file, or --token-file"
    )]
    Unauthorized {
        /// The address.
        url: String,
    },
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] PrepareTlsError),
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
            RequestError::Path(_) => Exit::Usage,
            RequestError::Unauthorized { .. } => Exit::NoPermission,
            RequestError::Credentials { .. } | RequestError::Tls(_) => Exit::NoInput,
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
    address: HttpAddress,
    tls: Option<TlsConnector>,
    authorization: Option<String>,
}

impl Client {
    /// A client for this address.
    pub(crate) fn new(address: &ApiAddress) -> Result<Self, RequestError> {
        let read = |path: &PathBuf| {
            std::fs::read_to_string(path)
                .map(|text| text.trim_end_matches(['\r', '\n']).to_owned())
                .map_err(|source| RequestError::Credentials { path: path.clone(), source })
        };
        let authorization = match (&address.username, &address.password_file, &address.token_file) {
            (Some(user), Some(path), _) => {
                let pair = format!("{user}:{}", read(path)?);
                Some(format!("Basic {}", BASE64_STANDARD.encode(pair)))
            }
            (_, _, Some(path)) => Some(format!("Bearer {}", read(path)?)),
            _ => None,
        };
        let tls = if address.url.tls {
            Some(TlsConnector::from(Arc::new(client_tls(address.ca_file.as_deref())?)))
        } else {
            None
        };
        let (url, address) = (address.url.to_string(), address.url.clone());
        Ok(Self { url, address, tls, authorization })
    }

    /// Asks for JSON.
    pub(crate) async fn get(&self, path: &str) -> Result<Value, RequestError> {
        self.json(Method::GET, path).await?.map_err(RequestError::Refused)
    }

    /// Posts nothing and returns what was answered, or the reason of a refusal.
    pub(crate) async fn post(&self, path: &str) -> Result<Result<Value, String>, RequestError> {
        self.json(Method::POST, path).await
    }

    /// Posts JSON and returns what was answered, or the reason of a refusal.
    pub(crate) async fn post_json(
        &self,
        path: &str,
        body: &Value,
    ) -> Result<Result<Value, String>, RequestError> {
        let body = Bytes::from(body.to_string());
        self.json_of(self.send(Method::POST, path, "application/json", body).await?).await
    }

    /// Has a body of any length made; what is refused is an error.
    pub(crate) async fn download(&self, path: &str) -> Result<Incoming, RequestError> {
        let response = self.send(Method::POST, path, "*/*", Bytes::new()).await?;
        let status = response.status();
        if status.is_success() {
            return Ok(response.into_body());
        }
        let body = self.collect(response).await?;
        Err(RequestError::Refused(reason(status, &body)))
    }

    /// Asks for server-sent events.
    pub(crate) async fn events(&self, path: &str) -> Result<ServerEvents, RequestError> {
        let response = self.send(Method::GET, path, "text/event-stream", Bytes::new()).await?;
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
        self.json_of(self.send(method, path, "application/json", Bytes::new()).await?).await
    }

    async fn json_of(
        &self,
        response: Response<Incoming>,
    ) -> Result<Result<Value, String>, RequestError> {
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
        body: Bytes,
    ) -> Result<Response<Incoming>, RequestError> {
        let connect = |source| RequestError::Connect { url: self.url.clone(), source };
        let target = (self.address.host.as_str(), self.address.port);
        let stream = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(target))
            .await
            .map_err(|_| connect(std::io::ErrorKind::TimedOut.into()))?
            .map_err(connect)?;
        let stream: Box<dyn Stream> = match &self.tls {
            None => Box::new(stream),
            Some(tls) => {
                let name = ServerName::try_from(self.address.host.clone())
                    .map_err(|error| connect(std::io::Error::other(error)))?;
                let handshake = tokio::time::timeout(CONNECT_TIMEOUT, tls.connect(name, stream));
                let stream = handshake
                    .await
                    .map_err(|_| connect(std::io::ErrorKind::TimedOut.into()))?
                    .map_err(connect)?;
                Box::new(stream)
            }
        };
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|e| self.exchange(e))?;
        // Its errors reach the request or the body that is read from it.
        tokio::spawn(connection);
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, self.address.authority());
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        let request = request
            .header(header::ACCEPT, accept)
            // The API changes nothing for a request that a web page could make on its own.
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(|_| RequestError::Path(path.to_owned()))?;
        let response = sender.send_request(request).await.map_err(|e| self.exchange(e))?;
        if response.status() == StatusCode::UNAUTHORIZED {
            return Err(RequestError::Unauthorized { url: self.url.clone() });
        }
        Ok(response)
    }

    fn exchange(&self, source: hyper::Error) -> RequestError {
        RequestError::Exchange { url: self.url.clone(), source }
    }
}

/// A connection, with or without TLS.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

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
        let address = ApiAddress {
            url: url.parse().unwrap(),
            ca_file: None,
            username: None,
            password_file: None,
            token_file: None,
        };
        let error = Client::new(&address).unwrap().get("/").await.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "no pipeline answers at {url}: start one with `millrace run FILE`, or name its address with --url"
            )
        );
    }
}
