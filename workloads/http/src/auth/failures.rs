//! How often a client may send wrong credentials.

use std::collections::HashMap;
use std::net::IpAddr;
use std::net::Ipv6Addr;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Wrong credentials of one user that a client may send at once.
const USER_BURST: u32 = 10;

/// Wrong credentials of all users that a client may send at once. Behind a proxy all clients have
/// one address, so one of them must not keep all others out so soon.
const BURST: u32 = 100;

/// Then one of them again after this long.
const EVERY: Duration = Duration::from_secs(3);

/// Clients and their users that are remembered; beyond, those that have been quiet for longest are
/// forgotten.
const MAX_CLIENTS: usize = 10_000;

/// Who has sent wrong credentials lately. An address of IPv6 stands for its network of 64 bits,
/// which is what one client has.
#[derive(Default)]
pub(super) struct Failures(Mutex<HashMap<Key, Instant>>);

/// A client alone, or with the hash of a user's name.
type Key = (IpAddr, Option<blake3::Hash>);

impl Failures {
    /// How long this client has to wait before credentials of this user are looked at, if it has
    /// to. Without a user those are meant that name none.
    pub(super) fn wait(&self, client: IpAddr, user: Option<&str>) -> Option<Duration> {
        let clients = self.0.lock();
        let now = Instant::now();
        let waits = keys(client, user).into_iter().flatten().filter_map(|key| {
            let free_at = *clients.get(&key)?;
            let burst = if key.1.is_some() { USER_BURST } else { BURST };
            // With each failure the time moves on by EVERY; a burst is as much of it as is let
            // pass.
            let debt = free_at.saturating_duration_since(now);
            debt.checked_sub(EVERY * (burst - 1)).filter(|wait| !wait.is_zero())
        });
        waits.max()
    }

    /// Notes that this client has sent wrong credentials of this user.
    pub(super) fn add(&self, client: IpAddr, user: Option<&str>) {
        let now = Instant::now();
        let mut clients = self.0.lock();
        for key in keys(client, user).into_iter().flatten() {
            if clients.len() >= MAX_CLIENTS && !clients.contains_key(&key) {
                clients.retain(|_, free_at| *free_at > now);
                if clients.len() >= MAX_CLIENTS {
                    let mut times: Vec<Instant> = clients.values().copied().collect();
                    let (_, middle, _) = times.select_nth_unstable(MAX_CLIENTS / 2);
                    let middle = *middle;
                    clients.retain(|_, free_at| *free_at > middle);
                }
            }
            let free_at = clients.entry(key).or_insert(now);
            *free_at = (*free_at).max(now) + EVERY;
        }
    }
}

/// What a failure counts for.
fn keys(client: IpAddr, user: Option<&str>) -> [Option<Key>; 2] {
    let network = network(client);
    let of_user = user.map(|user| (network, Some(blake3::hash(user.as_bytes()))));
    [Some((network, None)), of_user]
}

fn network(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(address) => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)))
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn after_ten_wrong_credentials_of_a_user_a_client_waits() {
        let failures = Failures::default();
        let (client, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let (alice, bob) = (Some("alice"), Some("bob"));
        for _ in 0..9 {
            failures.add(client, alice);
        }
        assert_eq!(failures.wait(client, alice), None);
        failures.add(client, alice);
        assert_eq!(failures.wait(client, alice), Some(Duration::from_secs(3)));
        assert_eq!(failures.wait(client, bob), None);
        assert_eq!(failures.wait(client, None), None);
        assert_eq!(failures.wait(other, alice), None);
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(failures.wait(client, alice), None);
        failures.add(client, alice);
        assert_eq!(failures.wait(client, alice), Some(Duration::from_secs(3)));
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_hundred_wrong_credentials_of_any_users_a_client_waits() {
        let failures = Failures::default();
        let client = IpAddr::from([10, 0, 0, 1]);
        for number in 0..99 {
            failures.add(client, Some(&number.to_string()));
        }
        assert_eq!(failures.wait(client, Some("alice")), None);
        failures.add(client, None);
        assert_eq!(failures.wait(client, Some("alice")), Some(Duration::from_secs(3)));
        assert_eq!(failures.wait(client, None), Some(Duration::from_secs(3)));
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_than_so_many_clients_are_remembered() {
        let failures = Failures::default();
        for number in 0..25_000_u32 {
            failures.add(IpAddr::from(number.to_be_bytes()), None);
            tokio::time::advance(Duration::from_micros(1)).await;
        }
        assert!(failures.0.lock().len() <= MAX_CLIENTS);
        let last = IpAddr::from(24_999_u32.to_be_bytes());
        assert!(failures.0.lock().contains_key(&(last, None)));
    }

    #[test]
    fn a_client_of_ipv6_is_its_network() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(network(address("2001:db8:1:2:3:4:5:6")), address("2001:db8:1:2::"));
        assert_eq!(network(address("::ffff:10.0.0.1")), address("10.0.0.1"));
    }
}
