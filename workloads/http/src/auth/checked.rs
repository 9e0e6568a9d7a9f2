//! Whether a password is right, for all who ask: users in a file, and how much checking there may be.

use std::collections::HashSet;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::failures::Failures;
use super::passwords::Hash;
use super::passwords::LoadUsersError;
use super::passwords::Users;
use super::watched::Watched;
use super::watched::watch;

/// How many passwords are checked at a time: each check takes some 20 ms and 19 MiB.
const CHECKS_AT_A_TIME: usize = 2;

/// How many more may wait for their check.
const CHECKS_WAITING: usize = 64;

/// Credentials that are remembered as right.
const REMEMBERED: usize = 4096;

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

/// Why a name and a password do not let somebody in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusedPassword {
    /// There is no such user, or it has another password.
    Wrong,
    /// The client has sent so many wrong ones that it has to wait this long.
    TooMany(Duration),
    /// Too many others are being checked.
    Busy,
}

/// Users of a file, whose passwords are checked.
pub(super) struct Passwords {
    pub(super) users: Watched<Users, LoadUsersError>,
    checks: Arc<Checks>,
}

impl Passwords {
    pub(super) const fn new(users: Watched<Users, LoadUsersError>, checks: Arc<Checks>) -> Self {
        Self { users, checks }
    }

    /// Whether this is the user's password.
    pub(super) async fn check(
        &self,
        name: &str,
        password: &[u8],
        client: IpAddr,
        failures: &Failures,
    ) -> Result<(), RefusedPassword> {
        let users = self.users.get();
        let Some((hash, is_known)) = users.find(name) else { return Err(RefusedPassword::Wrong) };
        let fingerprint = self.checks.fingerprint(name, password, hash);
        if is_known && self.checks.is_known(&fingerprint) {
            return Ok(());
        }
        if let Some(wait) = failures.wait(client, Some(name)) {
            return Err(RefusedPassword::TooMany(wait));
        }
        let Ok(_place) = self.checks.places.try_acquire() else {
            return Err(RefusedPassword::Busy);
        };
        let Ok(running) = Arc::clone(&self.checks.running).acquire_owned().await else {
            return Err(RefusedPassword::Busy);
        };
        // While it waited, another request with the same credentials may have been found right,
        // or wrong so often that nothing more is checked.
        let is_right = if is_known && self.checks.is_known(&fingerprint) {
            true
        } else if let Some(wait) = failures.wait(client, Some(name)) {
            return Err(RefusedPassword::TooMany(wait));
        } else {
            let (hash, password) = (hash.clone(), password.to_vec());
            let check = tokio::task::spawn_blocking(move || {
                // Held for as long as the check runs, even if the client has gone.
                let _running = running;
                hash.verify(&password)
            });
            check.await.unwrap_or(false)
        };
        if is_right && is_known {
            self.checks.remember(fingerprint);
            return Ok(());
        }
        failures.add(client, Some(name));
        Err(RefusedPassword::Wrong)
    }
}

/// A users file of its own, for clients that do not come by HTTP: lines of `user:hash`, the hash by
/// Argon2 or bcrypt.
pub struct PasswordFile {
    passwords: Passwords,
    failures: Failures,
}

impl PasswordFile {
    /// Reads the file.
    ///
    /// # Errors
    /// When it cannot be read, has a line of another form, or no user.
    pub fn load(path: &Path) -> Result<Self, LoadUsersError> {
        let bytes = std::fs::read(path)
            .map_err(|source| LoadUsersError::Read { path: path.to_owned(), source })?;
        let users = Watched::new(path, &bytes, Users::parse)?;
        let passwords = Passwords::new(users, Arc::default());
        Ok(Self { passwords, failures: Failures::default() })
    }

    /// Whether this is the user's password. An unknown name takes as long as a wrong password, so
    /// that names cannot be guessed by time.
    ///
    /// # Errors
    /// Why it is not, or is not checked now.
    pub async fn check(
        &self,
        name: &str,
        password: &[u8],
        client: IpAddr,
    ) -> Result<(), RefusedPassword> {
        self.passwords.check(name, password, client, &self.failures).await
    }

    /// Reads the file again when it changes, until told to stop. One that cannot be used is logged,
    /// and what was before stays.
    pub async fn watch(&self, stop: CancellationToken) {
        watch(&stop, || self.passwords.users.refresh()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
