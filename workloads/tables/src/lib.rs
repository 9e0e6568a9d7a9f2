//! The table sink and look-ups.
//!
//! [`TableStore`] keeps tables, their rows and the positions of the sinks that fill them;
//! [`sqlite`] is its local form. [`sink`] runs a table sink: from the log into a store, exactly
//! once. What is served from tables, and how, is decided elsewhere.

mod cell;
mod error;
mod export;
mod look_up;
mod row;
pub mod sink;
pub mod sqlite;
mod store;

pub use cell::*;
pub use error::*;
pub use export::*;
pub use look_up::*;
pub use row::*;
pub use store::*;
