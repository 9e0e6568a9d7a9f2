//! The HTTP port over real sockets.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod auth;
mod connections;
mod crowd;
mod early_answers;
mod origins;
mod support;
mod tls;
