//! How often a client may send wrong credentials.

use std::collections::HashMap;
use std::net::IpAddr;
use std::net::Ipv6Addr;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Wrong credentials that a client may send at once.
const BURST: u32 = 10;

/// Then one of them again after this long.
const EVERY: Duration = Duration::from_secs(3);

/// Clients that are remembered; beyond, those that have been quiet for longest are forgotten.
const MAX_CLIENTS: usize = 10_000;

/// Who has sent wrong credentials lately. An address of IPv6 stands for its network of 64 bits,
/// which is what one client has.
#[derive(Default)]
pub(super) struct Failures(Mutex<HashMap<IpAddr, Instant>>);

impl Failures {
    /// How long this client has to wait, if it has to.
    pub(super) fn wait(&self, client: IpAddr) -> Option<Duration> {
        let free_at = *self.0.lock().get(&network(client))?;
        // With each failure the time moves on by EVERY; a burst is as much of it as is let pass.
        let debt = free_at.saturating_duration_since(Instant::now());
        debt.checked_sub(EVERY * (BURST - 1)).filter(|wait| !wait.is_zero())
    }

    /// Notes that this client has sent wrong credentials.
    pub(super) fn add(&self, client: IpAddr) {
        let now = Instant::now();
        let mut clients = self.0.lock();
        if clients.len() >= MAX_CLIENTS && !clients.contains_key(&network(client)) {
            clients.retain(|_, free_at| *free_at > now);
            if clients.len() >= MAX_CLIENTS {
                let mut times: Vec<Instant> = clients.values().copied().collect();
                let (_, middle, _) = times.select_nth_unstable(MAX_CLIENTS / 2);
                let middle = *middle;
                clients.retain(|_, free_at| *free_at > middle);
            }
        }
        let free_at = clients.entry(network(client)).or_insert(now);
        *free_at = (*free_at).max(now) + EVERY;
    }
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
    async fn after_ten_wrong_credentials_a_client_waits() {
        let failures = Failures::default();
        let (client, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        for _ in 0..9 {
            failures.add(client);
        }
        assert_eq!(failures.wait(client), None);
        failures.add(client);
        assert_eq!(failures.wait(client), Some(Duration::from_secs(3)));
        assert_eq!(failures.wait(other), None);
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(failures.wait(client), None);
        failures.add(client);
        assert_eq!(failures.wait(client), Some(Duration::from_secs(3)));
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_than_so_many_clients_are_remembered() {
        let failures = Failures::default();
        for number in 0..25_000_u32 {
            failures.add(IpAddr::from(number.to_be_bytes()));
            tokio::time::advance(Duration::from_micros(1)).await;
        }
        assert!(failures.0.lock().len() <= MAX_CLIENTS);
        assert!(failures.0.lock().contains_key(&IpAddr::from(24_999_u32.to_be_bytes())));
    }

    #[test]
    fn a_client_of_ipv6_is_its_network() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(network(address("2001:db8:1:2:3:4:5:6")), address("2001:db8:1:2::"));
        assert_eq!(network(address("::ffff:10.0.0.1")), address("10.0.0.1"));
    }
}
