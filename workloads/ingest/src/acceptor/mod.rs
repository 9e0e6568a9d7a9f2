//! From an incoming message to a durable record, or to a dead letter with the reason.
//!
//! `route` decides what a message becomes and `event` what an event of a `request` does (pure, no
//! I/O), `topic` what a record of another's topic does; `accept` appends it; `under_way` knows what is being appended;
//! `replay` feeds dead letters and recorded requests in again; `metrics` counts.

mod accept;
mod check;
mod event;
mod letter;
mod metrics;
mod refusal;
mod replay;
mod request;
mod route;
mod topic;
mod under_way;

pub use accept::Accepted;
pub use accept::Acceptor;
pub(crate) use accept::Prepared;
pub use accept::Refused;
pub(crate) use accept::dead_letter_entry;
pub(crate) use accept::record_entry;
pub(crate) use check::Checked;
pub(crate) use event::Body;
pub(crate) use event::Given;
pub(crate) use event::InPlace;
pub(crate) use event::Judged;
pub(crate) use event::Judgement;
pub(crate) use event::malformed;
pub(crate) use event::not_utf8;
pub(crate) use event::wrong_at;
pub(crate) use letter::WrittenHead;
pub(crate) use refusal::Refusal;
pub use refusal::RefusalKind;
pub use replay::ReplayError;
pub(crate) use replay::prepare_event;
pub(crate) use replay::reasons;
pub(crate) use request::Admitted;
pub(crate) use request::Fields;
pub(crate) use request::RequestHead;
pub(crate) use request::fields_value;
pub use route::Incoming;
pub use route::Route;
pub(crate) use topic::TopicRecord;
