//! From an incoming message to a durable record, or to a dead letter with the reason.
//!
//! `route` decides what a message becomes (pure, no I/O); `accept` appends it; `metrics` counts.

mod accept;
mod metrics;
mod refusal;
mod route;

pub use accept::Accepted;
pub use accept::Acceptor;
pub(crate) use accept::Prepared;
pub use accept::Refused;
pub use accept::ReplayError;
pub use refusal::RefusalKind;
pub use route::Incoming;
pub use route::Route;
