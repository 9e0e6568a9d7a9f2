//! Users with a password (RFC 7617).

use std::collections::HashSet;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use axum::http::HeaderValue;
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::http::header::WWW_AUTHENTICATE;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::failures::Failures;
use super::passwords::Hash;
use super::passwords::LoadUsersError;
use super::passwords::MAX_PASSWORD_BYTES;
use super::passwords::Users;
use super::too_many;
use super::watched::Watched;
use crate::Problem;
use crate::User;

/// How many passwords are checked at a time: each check takes some 20 ms and 19 MiB.
const CHECKS_AT_A_TIME: usize = 2;

/// How many more may wait for their check.
const CHECKS_WAITING: usize = 64;

/// Credentials that are remembered as right.
const REMEMBERED: usize = 4096;

/// Longest header, in bytes.
const MAX_HEADER_BYTES: usize = 4 * MAX_PASSWORD_BYTES;

/// Checks of passwords, shared by all areas: how many there are at a time, and which credentials
/// were found right.
pub(super) struct Checks {
    running: Arc<Semaphore>,
    places: Semaphore,
    key: [u8; 32],
    right: Mutex<Remembered>,
}

#[derive(Default)]
struct Remembered {
    known: HashSet<blake3::Hash>,
    order: VecDeque<blake3::Hash>,
}

impl Default for Checks {
    fn default() -> Self {
        Self {
            running: Arc::new(Semaphore::new(CHECKS_AT_A_TIME)),
            places: Semaphore::new(CHECKS_AT_A_TIME + CHECKS_WAITING),
            key: rand::random(),
            right: Mutex::default(),
        }
    }
}

impl Checks {
    /// What stands for these credentials. The hash of the password is part of it, so that a
    /// changed file forgets them; the key is the process's own, so that nothing can be learnt
    /// from how long a comparison takes.
    fn fingerprint(&self, name: &str, password: &[u8], hash: &Hash) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        for part in [name.as_bytes(), password, hash.text().as_bytes()] {
            hasher.update(&part.len().to_le_bytes());
            hasher.update(part);
        }
        hasher.finalize()
    }

    fn is_known(&self, fingerprint: &blake3::Hash) -> bool {
        self.right.lock().known.contains(fingerprint)
    }

    fn remember(&self, fingerprint: blake3::Hash) {
        let mut right = self.right.lock();
        if right.known.insert(fingerprint) {
            right.order.push_back(fingerprint);
        }
        if right.order.len() > REMEMBERED {
            let oldest = right.order.pop_front();
            if let Some(oldest) = oldest {
                right.known.remove(&oldest);
            }
        }
    }
}

/// An area of users with a password.
pub(super) struct Basic {
    challenge: HeaderValue,
    pub(super) users: Watched<Users, LoadUsersError>,
    checks: Arc<Checks>,
}

impl Basic {
    pub(super) fn new(
        realm: &str,
        users: Watched<Users, LoadUsersError>,
        checks: Arc<Checks>,
    ) -> Self {
        let realm: String = realm
            .chars()
            .filter(|c| !c.is_control())
            .flat_map(|c| matches!(c, '"' | '\\').then_some('\\').into_iter().chain([c]))
            .collect();
        let challenge = format!("Basic realm=\"{realm}\", charset=\"UTF-8\"");
        let challenge = HeaderValue::from_bytes(challenge.as_bytes())
            .unwrap_or(HeaderValue::from_static("Basic realm=\"pipeline\", charset=\"UTF-8\""));
        Self { challenge, users, checks }
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
        let wrong = || self.refused("the user or the password is wrong");
        let Some((name, password)) = credentials(headers) else {
            return Err(self.refused(
                "the header `Authorization` is not `Basic` with a user and a password in Base64",
            ));
        };
        let users = self.users.get();
        let Some((hash, is_known)) = users.find(&name) else { return Err(wrong()) };
        let fingerprint = self.checks.fingerprint(&name, &password, hash);
        if is_known && self.checks.is_known(&fingerprint) {
            return Ok(User(name.into()));
        }
        if let Some(wait) = failures.wait(client, Some(&name)) {
            return Err(too_many(wait));
        }
        let busy =
            || Problem::unavailable("too many passwords are being checked", Duration::from_secs(1));
        let Ok(_place) = self.checks.places.try_acquire() else { return Err(busy()) };
        let Ok(running) = Arc::clone(&self.checks.running).acquire_owned().await else {
            return Err(busy());
        };
        // While it waited, another request with the same credentials may have been found right,
        // or wrong so often that nothing more is checked.
        let is_right = if is_known && self.checks.is_known(&fingerprint) {
            true
        } else if let Some(wait) = failures.wait(client, Some(&name)) {
            return Err(too_many(wait));
        } else {
            let hash = hash.clone();
            let check = tokio::task::spawn_blocking(move || {
                // Held for as long as the check runs, even if the client has gone.
                let _running = running;
                hash.verify(&password)
            });
            check.await.unwrap_or(false)
        };
        if is_right && is_known {
            self.checks.remember(fingerprint);
            return Ok(User(name.into()));
        }
        failures.add(client, Some(&name));
        Err(wrong())
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

    #[test]
    fn only_so_many_credentials_are_remembered() {
        let checks = Checks::default();
        let first = blake3::hash(b"first");
        checks.remember(first);
        for number in 0..REMEMBERED {
            checks.remember(blake3::hash(&number.to_le_bytes()));
        }
        assert!(!checks.is_known(&first));
        let right = checks.right.lock();
        assert_eq!((right.known.len(), right.order.len()), (REMEMBERED, REMEMBERED));
    }
}
