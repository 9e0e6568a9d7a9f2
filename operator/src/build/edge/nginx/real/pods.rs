//! Stand-ins for the pods behind the edge: they say what reached them.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::body::Bytes;
use axum::extract::Request;
use axum::extract::State;
use axum::extract::WebSocketUpgrade;
use axum::extract::ws::Message;
use axum::response::IntoResponse;
use axum::response::Response;
use axum::routing::any;
use axum::routing::get;
use futures::StreamExt as _;
use futures::stream;
use serde_json::json;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::sync::Notify;

/// What a pod does beside answering.
#[derive(Clone)]
pub(super) struct Pod {
    name: &'static str,
    /// Lets answers at `/api/v1/status`, which wait for it, go.
    pub(super) go: Arc<Notify>,
}

impl Pod {
    /// Serves at this address until the test ends.
    pub(super) async fn serve(name: &'static str, ip: Ipv4Addr, port: u16) -> Self {
        let pod = Self { name, go: Arc::default() };
        let listener = TcpListener::bind((ip, port)).await.unwrap();
        let router = Router::new()
            .route("/api/v1/events", get(live))
            .route("/live/{device}", any(socket))
            .route("/api/v1/status", get(slow))
            .fallback(tell)
            .with_state(pod.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        pod
    }
}

/// Says what has come.
async fn tell(State(pod): State<Pod>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let mut headers = serde_json::Map::new();
    for (name, value) in &head.headers {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        let name = name.as_str().to_owned();
        let before = headers.insert(name.clone(), value.clone().into());
        assert!(before.is_none(), "{name} came twice");
    }
    let length = axum::body::to_bytes(body, usize::MAX).await.map_or(0, |body| body.len());
    let told = json!({
        "pod": pod.name, "method": head.method.as_str(), "uri": head.uri.to_string(),
        "headers": headers, "length": length,
    });
    axum::Json(told).into_response()
}

/// One event, and then nothing for long.
async fn live() -> Response {
    let first = stream::once(async { Ok::<_, std::io::Error>(Bytes::from_static(b"data: 1\n\n")) });
    let body = Body::from_stream(first.chain(stream::pending()));
    ([("content-type", "text/event-stream")], body).into_response()
}

async fn slow(State(pod): State<Pod>) -> Response {
    pod.go.notified().await;
    "at last".into_response()
}

/// Says everything back.
async fn socket(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(|mut socket| async move {
        while let Some(Ok(Message::Text(text))) = socket.recv().await {
            if socket.send(Message::Text(text)).await.is_err() {
                return;
            }
        }
    })
}

/// Takes each request whole, counts it, and closes without an answer.
pub(super) async fn breaking(ip: Ipv4Addr, port: u16) -> Arc<AtomicUsize> {
    let requests = Arc::new(AtomicUsize::new(0));
    let (listener, counted) = (TcpListener::bind((ip, port)).await.unwrap(), requests.clone());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut buffer = [0; 4096];
            if matches!(stream.read(&mut buffer).await, Ok(read) if read > 0) {
                counted.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    requests
}

/// Says bytes back, as who takes MQTT would.
pub(super) async fn echoing(ip: Ipv4Addr, port: u16) {
    let listener = TcpListener::bind((ip, port)).await.unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut buffer = [0; 1024];
                while let Ok(read) = stream.read(&mut buffer).await {
                    if read == 0 || stream.write_all(&buffer[..read]).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
}

/// Waits until something is true.
pub(super) async fn until<F: Future<Output = bool>>(what: &str, mut is_true: impl FnMut() -> F) {
    for _ in 0..400 {
        if is_true().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("not within 10 s: {what}");
}
