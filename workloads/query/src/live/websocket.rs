//! Live streams over WebSocket: a text message with JSON an event, with the cursor to come back
//! with.

use std::time::Duration;

use axum::extract::WebSocketUpgrade;
use axum::extract::ws::CloseFrame;
use axum::extract::ws::Message;
use axum::extract::ws::WebSocket;
use axum::extract::ws::close_code;
use axum::response::Response;
use bytes::Bytes;

use super::reader::Live;
use super::reader::LiveEvent;
use super::reader::Step;

/// Largest message of a client; what it says means nothing here.
const MAX_CLIENT_BYTES: usize = 4096;

/// How long a client may take to accept a message.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long the last message may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// Pings in a row that a client may leave without any answer.
const MAX_UNANSWERED: u32 = 2;

/// The answer that makes a WebSocket of the connection.
pub(super) fn answer(upgrade: WebSocketUpgrade, live: Live) -> Response {
    upgrade
        .max_message_size(MAX_CLIENT_BYTES)
        .max_frame_size(MAX_CLIENT_BYTES)
        .read_buffer_size(MAX_CLIENT_BYTES)
        .on_upgrade(|socket| serve(socket, live))
}

/// Why a connection ends.
enum Ended {
    /// The client has gone, or does not answer any more.
    Gone,
    /// The process stops, or the log cannot be read any more.
    Stopping,
    /// The client does not take what is sent.
    Slow,
}

async fn serve(mut socket: WebSocket, mut live: Live) {
    let (code, reason) = match follow(&mut socket, &mut live).await {
        Ended::Gone => return,
        Ended::Stopping => (close_code::AWAY, "the server stops: come back with `from`"),
        Ended::Slow => (close_code::AGAIN, "messages were not taken: come back with `from`"),
    };
    let close = Message::Close(Some(CloseFrame { code, reason: reason.into() }));
    // A client that does not take it has nothing more to be told.
    let _ = tokio::time::timeout(FAREWELL, socket.send(close)).await;
}

async fn follow(socket: &mut WebSocket, live: &mut Live) -> Ended {
    let closing = live.state.closing.clone();
    let mut unanswered = 0;
    loop {
        let step = tokio::select! {
            biased;
            message = socket.recv() => match message {
                Some(Ok(Message::Close(_)) | Err(_)) | None => return Ended::Gone,
                Some(Ok(_)) => {
                    unanswered = 0;
                    continue;
                }
            },
            step = live.next() => step,
        };
        let messages = match step {
            Step::End => return Ended::Stopping,
            Step::Silence if unanswered == MAX_UNANSWERED => return Ended::Gone,
            Step::Silence => {
                unanswered += 1;
                vec![Message::Ping(Bytes::new())]
            }
            Step::Events(events) => events.into_iter().map(message).collect(),
        };
        for message in messages {
            let sent = tokio::select! {
                biased;
                () = closing.cancelled() => return Ended::Stopping,
                sent = tokio::time::timeout(PATIENCE, socket.send(message)) => sent,
            };
            match sent {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Ended::Gone,
                Err(_) => return Ended::Slow,
            }
        }
    }
}

/// The event with its cursor as the first field: an event is always an object.
fn message(event: LiveEvent) -> Message {
    let LiveEvent { cursor, json } = event;
    let rest = json.strip_prefix('{').unwrap_or(&json);
    Message::Text(format!("{{\"cursor\":\"{cursor}\",{rest}").into())
}
