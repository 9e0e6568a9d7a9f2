//! What every part of Millrace shares: records, events, keys, paths, ids and dead letters.
//!
//! This crate does no I/O and reads no clock. It decides what identity, partition and order
//! mean; who stores, computes or serves lives in the other crates.

pub mod borrowed;
pub mod causes;
pub mod dead_letter;
pub mod event;
pub mod id;
pub mod key;
pub mod names;
pub mod path;
pub mod record;
pub mod time;
pub mod tree;

pub use borrowed::Borrowed;
pub use causes::with_causes;
pub use dead_letter::DeadLetter;
pub use event::Event;
pub use event::Value;
pub use id::EventId;
pub use names::StreamName;
pub use path::FieldPath;
pub use record::Headers;
pub use record::Mark;
pub use record::Offset;
pub use record::Partition;
pub use record::Record;
pub use tree::Tree;
