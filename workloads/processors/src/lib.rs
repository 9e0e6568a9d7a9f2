//! What processors compute: pure operators over events, with their state.
//!
//! An operator sees the events of its task in order of (event time, key, event id) and hears when
//! all events of one event time have come. It does no I/O; the engine stores what changed.

mod alert;
mod build;
mod dedupe;
mod emitter;
mod enrich;
mod entity;
mod field;
mod geodesy;
mod geofence;
mod laps;
mod motion;
mod object;
mod operator;
mod program;
mod rank;
mod rekey;
mod state;
mod window;

pub use build::build;
pub use emitter::*;
pub use operator::*;
