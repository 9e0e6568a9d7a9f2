//! How much one client may send: a rate for each address, in bounded memory.

use std::collections::HashMap;
use std::net::IpAddr;
use std::net::Ipv6Addr;
use std::time::Duration;
use std::time::Instant;

use axum::http::Extensions;
use millrace_http::ClientAddress;
use parking_lot::Mutex;

/// Most clients that are told apart; those beyond share one allowance until others go quiet.
const MAX_CLIENTS: usize = 65_536;

/// How often room is looked for at most, once the table is full.
const SWEEP_EVERY: Duration = Duration::from_millis(100);

/// The address of a request's client.
pub(super) fn address_of(extensions: &Extensions) -> IpAddr {
    let address = extensions.get::<ClientAddress>().map(|address| address.0.ip());
    match address {
        // A client has a whole network of version 6 to itself.
        Some(IpAddr::V6(address)) => match address.to_ipv4_mapped() {
            Some(address) => address.into(),
            None => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        },
        Some(address) => address,
        None => Ipv6Addr::UNSPECIFIED.into(),
    }
}

/// So many requests a second for each client, and as many at once after a second of silence.
#[derive(Debug)]
pub(super) struct RateLimiter {
    /// What one request takes of a client's time.
    each: Duration,
    clients: Mutex<Clients>,
}

#[derive(Debug)]
struct Clients {
    /// Until when the client's allowance is used up; a client in the past needs no memory.
    used_until: HashMap<IpAddr, Instant>,
    /// The same of all clients that found no room.
    others: Option<Instant>,
    swept: Instant,
}

impl RateLimiter {
    /// A limiter of so many requests a second.
    pub(super) fn new(per_second: u32, now: Instant) -> Self {
        let clients = Clients { used_until: HashMap::new(), others: None, swept: now };
        Self { each: Duration::from_secs(1) / per_second.max(1), clients: Mutex::new(clients) }
    }

    /// Takes a request of a client at a time.
    ///
    /// # Errors
    /// When the client has used up its allowance: after how long there is some again.
    pub(super) fn take(&self, client: IpAddr, now: Instant) -> Result<(), Duration> {
        let mut clients = self.clients.lock();
        let clients = &mut *clients;
        if clients.used_until.len() >= MAX_CLIENTS
            && !clients.used_until.contains_key(&client)
            && now.saturating_duration_since(clients.swept) >= SWEEP_EVERY
        {
            clients.swept = now;
            clients.used_until.retain(|_, used_until| *used_until > now);
        }
        let full = clients.used_until.len() >= MAX_CLIENTS;
        let used_until = match clients.used_until.get_mut(&client) {
            Some(used_until) => used_until,
            None if full => clients.others.get_or_insert(now),
            None => clients.used_until.entry(client).or_insert(now),
        };
        let from = (*used_until).max(now);
        let burst = Duration::from_secs(1).saturating_sub(self.each);
        let ahead = from.saturating_duration_since(now);
        if ahead > burst {
            return Err(ahead.saturating_sub(burst));
        }
        *used_until = from + self.each;
        Ok(())
    }

    /// Clients that are remembered.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.clients.lock().used_until.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(number: u32) -> IpAddr {
        std::net::Ipv4Addr::from_bits(number).into()
    }

    #[test]
    fn a_client_may_send_a_seconds_worth_at_once_and_then_at_its_rate() {
        let start = Instant::now();
        let limiter = RateLimiter::new(2, start);
        assert_eq!(limiter.take(client(1), start), Ok(()));
        assert_eq!(limiter.take(client(1), start), Ok(()));
        assert_eq!(limiter.take(client(1), start), Err(Duration::from_millis(500)));
        assert_eq!(limiter.take(client(2), start), Ok(()));
        let later = start + Duration::from_millis(500);
        assert_eq!(limiter.take(client(1), later), Ok(()));
        assert_eq!(limiter.take(client(1), later), Err(Duration::from_millis(500)));
    }

    #[test]
    fn clients_without_room_share_one_allowance_until_others_are_quiet() {
        let start = Instant::now();
        let limiter = RateLimiter::new(1, start);
        for number in 0..65_536 {
            assert_eq!(limiter.take(client(number), start), Ok(()));
        }
        assert_eq!(limiter.take(client(70_000), start), Ok(()));
        assert!(limiter.take(client(70_001), start).is_err());
        assert_eq!(limiter.len(), 65_536);
        let later = start + Duration::from_secs(2);
        assert_eq!(limiter.take(client(70_001), later), Ok(()));
        assert_eq!(limiter.len(), 1);
    }
}
