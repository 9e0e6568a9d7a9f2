//! The table sink and look-ups.
//!
//! [`TableStore`] keeps tables, their rows and the positions of the sinks that fill them;
//! [`sqlite`] is its form for one process, [`postgres`] for many. [`sink`] runs a table sink: from the log into a store, exactly
//! once. What is served from tables, and how, is decided elsewhere.

mod batch;
mod catalogue;
mod cell;
mod error;
mod export;
mod look_up;
mod periods;
pub mod postgres;
mod row;
mod select;
pub mod sink;
mod sql;
pub mod sqlite;
mod store;

pub use cell::*;
pub use error::*;
pub use export::*;
pub use look_up::*;
pub use periods::now_micros;
pub use row::*;
pub use store::*;
