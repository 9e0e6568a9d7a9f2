//! Where requests go.

use std::fmt;
use std::str::FromStr;

/// An HTTP server: `http://HOST:PORT` or `https://HOST:PORT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpAddress {
    /// Whether it is spoken to by TLS.
    pub tls: bool,
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
}

/// A text that is not the address of an HTTP server.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "`{0}` is not the address of an HTTP server: write `http://HOST:PORT` or `https://HOST:PORT`"
)]
pub struct ParseHttpAddressError(String);

impl FromStr for HttpAddress {
    type Err = ParseHttpAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || ParseHttpAddressError(text.to_owned());
        let (tls, rest) = match (text.strip_prefix("http://"), text.strip_prefix("https://")) {
            (Some(rest), _) => (false, rest),
            (None, Some(rest)) => (true, rest),
            (None, None) => return Err(wrong()),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let default = if tls { 443 } else { 80 };
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                (host, port.parse().map_err(|_| wrong())?)
            }
            _ => (rest, default),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() || host.contains(['/', '?', '#', '@', ' ']) {
            return Err(wrong());
        }
        Ok(Self { tls, host: host.to_owned(), port })
    }
}

impl HttpAddress {
    /// Host and port, as the header `Host` has them.
    #[must_use]
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Display for HttpAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.tls { "https" } else { "http" }, self.authority())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_scheme_a_host_and_a_port() {
        let address = |text: &str| text.parse::<HttpAddress>().map(|address| address.to_string());
        assert_eq!(address("http://localhost:8080").unwrap(), "http://localhost:8080");
        assert_eq!(address("https://example.com/").unwrap(), "https://example.com:443");
        assert_eq!(address("http://[::1]:80").unwrap(), "http://[::1]:80");
        assert_eq!(address("http://[::1]").unwrap(), "http://[::1]:80");
        for wrong in ["localhost:8080", "http://", "http://a:b", "http://a/b", "ftp://a"] {
            assert_eq!(address(wrong), Err(ParseHttpAddressError(wrong.to_owned())));
        }
    }
}
