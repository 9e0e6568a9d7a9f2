//! What every HTTP port of Millrace shares: the server with its limits, TLS, who may reach what, and
//! how errors are told.
//!
//! [`serve`] runs a router on a port; [`guard`] puts a router behind [`Auth`] and [`Origins`].
//! Nothing here knows of events or tables.

mod auth;
mod der;
mod guard;
mod origins;
mod problem;
mod request;
mod server;
mod tls;

pub use auth::*;
pub use guard::*;
pub use origins::Origins;
pub use origins::Reach;
pub use problem::*;
pub use request::*;
pub use server::*;
pub use tls::*;
