//! What the parts of a running pipeline say of themselves: states, figures, metrics and traces.
//!
//! Each part (a task, a way in, a sink) has a [`Component`] here and keeps it current; `/readyz`,
//! `/metrics` and `millrace status` read them. Nothing here decides anything.

mod component;
mod dead_letters;
mod observer;
pub mod trace;

pub use component::*;
pub use dead_letters::*;
pub use observer::*;
