//! The exporter's requests, each on a connection of its own: there is one a few seconds.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use http_body_util::Full;
use http_body_util::Limited;
use hyper::client::conn::http1;
use hyper::header::HOST;
use hyper::header::HeaderValue;
use hyper_util::rt::TokioIo;
use millrace_simulate::send::HttpAddress;
use opentelemetry_http::HttpClient;
use opentelemetry_http::HttpError;
use opentelemetry_http::Request;
use opentelemetry_http::Response;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// How long a request may take, from the connection to the end of the answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Longest answer; a collector says little.
const MAX_ANSWER_BYTES: usize = 64 << 10;

/// A client of one collector.
#[derive(Debug)]
pub(super) struct CollectorClient {
    address: HttpAddress,
    tls: Option<Arc<ClientConfig>>,
}

impl CollectorClient {
    /// A client of this collector; `tls` where it speaks TLS.
    pub(super) const fn new(address: HttpAddress, tls: Option<Arc<ClientConfig>>) -> Self {
        Self { address, tls }
    }

    async fn exchange(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let stream = TcpStream::connect((self.address.host.as_str(), self.address.port)).await?;
        match &self.tls {
            None => self.exchange_on(stream, request).await,
            Some(tls) => {
                let name = ServerName::try_from(self.address.host.clone())?;
                let stream = TlsConnector::from(Arc::clone(tls)).connect(name, stream).await?;
                self.exchange_on(stream, request).await
            }
        }
    }

    async fn exchange_on(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        request: Request<Bytes>,
    ) -> Result<Response<Bytes>, HttpError> {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // Its errors reach the request. It ends with the sender.
        tokio::spawn(connection);
        let (mut parts, body) = request.into_parts();
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        parts.uri = path.parse()?;
        parts.headers.insert(HOST, HeaderValue::from_str(&self.address.authority())?);
        let request = Request::from_parts(parts, Full::new(body));
        let (parts, body) = sender.send_request(request).await?.into_parts();
        let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await?.to_bytes();
        Ok(Response::from_parts(parts, body))
    }
}

#[async_trait]
impl HttpClient for CollectorClient {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        tokio::time::timeout(TIMEOUT, self.exchange(request)).await?
    }
}
