//! The HTTP port: tables, live streams, health, metrics, dead letters and the dashboard.
//!
//! Everything here reads; the only request that changes something replays a dead letter. Errors
//! are problems as in RFC 9457, and name the parameter that is wrong.

mod connections;
mod dead_letters;
mod declared;
mod entries;
mod health;
mod metrics;
mod page;
mod params;
mod pipeline;
mod problem;
mod protection;
mod rates;
mod records;
mod replay;
mod server;
mod state;
mod status;
mod stream_events;
mod tables;

pub use params::MAX_QUERY_BYTES;
pub use replay::ReplayOutcome;
pub use replay::Replayer;
pub use server::serve;
pub use state::MAX_LIVE_STREAMS;
pub use state::QueryState;
