//! Where events enter: from an MQTT message, a record of a topic or a recorded line to a durable
//! record.
//!
//! The [`Acceptor`] turns what came in into records or dead letters and appends them; the rest
//! of the crate brings it messages. [`IdleWatcher`] records the silence of ingested streams.
//! Nothing here computes with events or delivers results.

mod acceptor;
pub mod http;
mod idle;
mod kafka;
pub mod mqtt;
mod recorded;
mod topics;

pub use acceptor::Accepted;
pub use acceptor::Acceptor;
pub use acceptor::Incoming;
pub use acceptor::RefusalKind;
pub use acceptor::Refused;
pub use acceptor::ReplayError;
pub use acceptor::Route;
pub use idle::IdleWatcher;
pub use idle::RECONNECT_GRACE;
pub use kafka::KafkaIntake;
pub use kafka::StartKafkaError;
pub use recorded::FeedError;
pub use recorded::FeedProgress;
pub use recorded::feed_file;
pub use recorded::feed_reader;
pub use topics::matches as topic_matches;
