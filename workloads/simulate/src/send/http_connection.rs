//! One connection to an HTTP server, opened again when it breaks.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use http_body_util::Full;
use hyper::Request;
use hyper::client::conn::http1;
use hyper::client::conn::http1::SendRequest;
use hyper::header::HOST;
use hyper::header::HeaderMap;
use hyper::header::RETRY_AFTER;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::InvalidDnsNameError;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::requests::DeviceRequest;
use crate::send::HttpAddress;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long an answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(1);

/// Why a request was not answered.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExchangeError {
    #[error("cannot connect: {0}")]
    Connect(std::io::Error),
    #[error("cannot connect within {CONNECT_TIMEOUT:?}")]
    ConnectTimeout,
    #[error("the host's name cannot be in a certificate: {0}")]
    Name(#[from] InvalidDnsNameError),
    #[error("the connection broke: {0}")]
    Broken(#[from] hyper::Error),
    #[error("the request cannot be written: {0}")]
    Request(#[from] hyper::http::Error),
    #[error("no answer within {ANSWER_TIMEOUT:?}")]
    AnswerTimeout,
}

/// What a request was answered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// When to come again, if the server said so.
    pub(super) retry_after: Option<Duration>,
}

/// One connection.
pub(super) struct HttpConnection {
    address: HttpAddress,
    tls: Option<Arc<ClientConfig>>,
    sender: Option<SendRequest<Full<Bytes>>>,
}

impl HttpConnection {
    pub(super) const fn new(address: HttpAddress, tls: Option<Arc<ClientConfig>>) -> Self {
        Self { address, tls, sender: None }
    }

    /// Sends a request and reads the whole of its answer.
    pub(super) async fn exchange(
        &mut self,
        request: &DeviceRequest,
        more: &[(&str, &str)],
    ) -> Result<Answer, ExchangeError> {
        let mut sender = match self.sender.take() {
            Some(sender) if !sender.is_closed() => sender,
            _ => self.connect().await?,
        };
        let mut builder = Request::builder()
            .method(request.method.as_str())
            .uri(&request.path)
            .header(HOST, self.address.authority());
        let headers = request.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in headers.chain(more.iter().copied()) {
            builder = builder.header(name, value);
        }
        let request = builder.body(Full::new(request.body.clone()))?;
        let exchange = async {
            sender.ready().await?;
            let response = sender.send_request(request).await?;
            let answer = Answer {
                status: response.status().as_u16(),
                retry_after: retry_after(response.headers()),
            };
            let mut body = response.into_body();
            while let Some(frame) = body.frame().await {
                frame?;
            }
            Ok::<_, hyper::Error>((answer, sender))
        };
        let (answer, sender) = tokio::time::timeout(ANSWER_TIMEOUT, exchange)
            .await
            .map_err(|_| ExchangeError::AnswerTimeout)??;
        self.sender = Some(sender);
        Ok(answer)
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, ExchangeError> {
        let HttpAddress { host, port, .. } = &self.address;
        let connecting = TcpStream::connect((host.as_str(), *port));
        let stream = tokio::time::timeout(CONNECT_TIMEOUT, connecting)
            .await
            .map_err(|_| ExchangeError::ConnectTimeout)?
            .map_err(ExchangeError::Connect)?;
        stream.set_nodelay(true).map_err(ExchangeError::Connect)?;
        match &self.tls {
            None => Self::handshake(TokioIo::new(stream)).await,
            Some(config) => {
                let name = ServerName::try_from(host.clone())?;
                let connecting = TlsConnector::from(Arc::clone(config)).connect(name, stream);
                let stream = tokio::time::timeout(CONNECT_TIMEOUT, connecting)
                    .await
                    .map_err(|_| ExchangeError::ConnectTimeout)?
                    .map_err(ExchangeError::Connect)?;
                Self::handshake(TokioIo::new(stream)).await
            }
        }
    }

    async fn handshake<S>(stream: S) -> Result<SendRequest<Full<Bytes>>, ExchangeError>
    where
        S: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    {
        let (sender, connection) = http1::handshake(stream).await?;
        tokio::spawn(async move {
            // Whoever uses the connection hears of its end.
            let _ = connection.await;
        });
        Ok(sender)
    }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}
