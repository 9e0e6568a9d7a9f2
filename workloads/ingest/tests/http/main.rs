//! Ways in over HTTP and WebSocket, spoken to over real sockets: what is stored, and what is
//! answered, literally.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail by panicking")]

#[path = "../support/mod.rs"]
mod support;

mod answers;
mod batches;
mod bodies;
mod client;
mod faults;
mod identity;
mod limits;
mod replays;
mod server;
mod websocket;
