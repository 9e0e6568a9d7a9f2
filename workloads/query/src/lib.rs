//! The HTTP port: tables, live streams, health, metrics, dead letters and the dashboard.
//!
//! Everything here reads; the only request that changes something replays a dead letter. Errors
//! are problems as in RFC 9457, and name the parameter that is wrong.

mod audience;
mod dead_letters;
mod declared;
mod entries;
mod health;
mod live;
mod metrics;
mod openapi;
mod operations;
mod page;
mod params;
mod pipeline;
mod problem;
mod protection;
mod rates;
mod records;
mod replay;
mod server;
mod standby_metrics;
mod state;
mod status;
mod tables;

pub use health::Readiness;
pub use operations::OperationRefused;
pub use operations::Operations;
pub use operations::ReplayWish;
pub use params::MAX_QUERY_BYTES;
pub use replay::ReplayOutcome;
pub use replay::Replayer;
pub use server::PROBES;
pub use state::MAX_LIVE_STREAMS;
pub use state::QueryState;
