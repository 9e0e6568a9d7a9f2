//! What the server knows of a request beside the request itself; handlers find it among the
//! request's extensions.

use std::net::SocketAddr;
use std::sync::Arc;

/// Where a request came from: the other end of its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress(pub SocketAddr);

/// Who sent a request, where its path needs credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User(pub Arc<str>);
