//! Users with a password (RFC 7617).

use std::net::IpAddr;
use std::time::Duration;

use axum::http::HeaderMap;
use axum::http::HeaderValue;
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::http::header::WWW_AUTHENTICATE;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::checked::Passwords;
use super::checked::RefusedPassword;
use super::failures::Failures;
use super::passwords::MAX_PASSWORD_BYTES;
use super::too_many;
use crate::Problem;
use crate::User;

/// Longest header, in bytes.
const MAX_HEADER_BYTES: usize = 4 * MAX_PASSWORD_BYTES;

/// An area of users with a password.
pub(super) struct Basic {
    challenge: HeaderValue,
    pub(super) passwords: Passwords,
}

impl Basic {
    pub(super) fn new(realm: &str, passwords: Passwords) -> Self {
        let realm: String = realm
            .chars()
            .filter(|c| !c.is_control())
            .flat_map(|c| matches!(c, '"' | '\\').then_some('\\').into_iter().chain([c]))
            .collect();
        let challenge = format!("Basic realm=\"{realm}\", charset=\"UTF-8\"");
        let challenge = HeaderValue::from_bytes(challenge.as_bytes())
            .unwrap_or(HeaderValue::from_static("Basic realm=\"pipeline\", charset=\"UTF-8\""));
        Self { challenge, passwords }
    }

    /// Who sends the request.
    pub(super) async fn check(
        &self,
        headers: &HeaderMap,
        client: IpAddr,
        failures: &Failures,
    ) -> Result<User, Problem> {
        if headers.get(AUTHORIZATION).is_none() {
            return Err(self.refused("this address needs a user and a password"));
        }
        let Some((name, password)) = credentials(headers) else {
            return Err(self.refused(
                "the header `Authorization` is not `Basic` with a user and a password in Base64",
            ));
        };
        match self.passwords.check(&name, &password, client, failures).await {
            Ok(()) => Ok(User(name.into())),
            Err(RefusedPassword::Wrong) => Err(self.refused("the user or the password is wrong")),
            Err(RefusedPassword::TooMany(wait)) => Err(too_many(wait)),
            Err(RefusedPassword::Busy) => Err(Problem::unavailable(
                "too many passwords are being checked",
                Duration::from_secs(1),
            )),
        }
    }

    fn refused(&self, detail: &str) -> Problem {
        Problem::new(StatusCode::UNAUTHORIZED, detail)
            .header(WWW_AUTHENTICATE, self.challenge.clone())
    }
}

/// The user and the password of a request.
fn credentials(headers: &HeaderMap) -> Option<(String, Vec<u8>)> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next()?.to_str().ok()?;
    if values.next().is_some() || value.len() > MAX_HEADER_BYTES {
        return None;
    }
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = STANDARD.decode(encoded.trim()).ok()?;
    let colon = decoded.iter().position(|&byte| byte == b':')?;
    let name = std::str::from_utf8(&decoded[..colon]).ok()?.to_owned();
    Some((name, decoded[colon + 1..].to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> Option<(String, Vec<u8>)> {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        credentials(&headers)
    }

    #[test]
    fn credentials_are_a_name_and_whatever_follows_the_first_colon() {
        let alice = Some(("alice".to_owned(), b"a:b".to_vec()));
        assert_eq!(read("Basic YWxpY2U6YTpi"), alice);
        assert_eq!(read("basic YWxpY2U6YTpi"), alice);
        for other in ["Basic", "Basic YWxpY2U=", "Basic !!!!", "Bearer YWxpY2U6YTpi", "Basic /zo="]
        {
            assert_eq!(read(other), None, "{other}");
        }
    }
}
