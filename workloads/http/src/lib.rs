//! What every HTTP port of Millrace shares: the server with its limits, TLS, who may reach what, and
//! how errors are told.

mod problem;
mod request;

pub use problem::*;
pub use request::*;
