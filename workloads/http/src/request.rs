//! What the server knows of a request beside the request itself; handlers find it among the
//! request's extensions.

use std::net::IpAddr;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::http::HeaderMap;

/// Where a request came from: the other end of its connection, or whom a proxy there names. Its
/// port is then 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress(pub SocketAddr);

/// How it is known where requests come from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Clients {
    /// Each has a connection of its own.
    #[default]
    Direct,
    /// They come by a proxy, which writes their address as the last one of `X-Forwarded-For`. What
    /// else connects here is believed, too.
    BehindProxy,
}

impl Clients {
    /// Where a request with these headers came from, over a connection of `other_end`.
    pub(crate) fn address(self, headers: &HeaderMap, other_end: SocketAddr) -> ClientAddress {
        let named = || {
            let last = headers.get_all("x-forwarded-for").iter().next_back()?.to_str().ok()?;
            let last = last.rsplit_once(',').map_or(last, |(_, last)| last);
            Some(SocketAddr::new(last.trim().parse::<IpAddr>().ok()?, 0))
        };
        ClientAddress(match self {
            Self::Direct => other_end,
            Self::BehindProxy => named().unwrap_or(other_end),
        })
    }
}

/// Who sent a request, where its path needs credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User(pub Arc<str>);

#[cfg(test)]
mod tests {
    use super::*;

    fn address(clients: Clients, forwarded: &[&'static str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", axum::http::HeaderValue::from_static(value));
        }
        let proxy = SocketAddr::from(([10, 0, 0, 1], 4000));
        clients.address(&headers, proxy).0.to_string()
    }

    #[test]
    fn behind_a_proxy_a_client_is_whom_the_proxy_names_last() {
        let of = |forwarded: &[&'static str]| address(Clients::BehindProxy, forwarded);
        assert_eq!(of(&["192.0.2.7"]), "192.0.2.7:0");
        assert_eq!(of(&["2001:db8::7"]), "[2001:db8::7]:0");
        // What a client has sent itself comes first.
        assert_eq!(of(&["198.51.100.1, 192.0.2.7"]), "192.0.2.7:0");
        assert_eq!(of(&["198.51.100.1", "192.0.2.7"]), "192.0.2.7:0");
        assert_eq!(of(&["192.0.2.7, unknown"]), "10.0.0.1:4000");
        assert_eq!(of(&[]), "10.0.0.1:4000");
    }

    #[test]
    fn without_a_proxy_nobody_is_believed() {
        assert_eq!(address(Clients::Direct, &["192.0.2.7"]), "10.0.0.1:4000");
    }
}
