//! The client of a running pipeline's HTTP API.

mod http;
mod server_events;

pub(crate) use http::ApiAddress;
pub(crate) use http::Client;
pub(crate) use http::RequestError;
pub(crate) use server_events::ServerEvent;
