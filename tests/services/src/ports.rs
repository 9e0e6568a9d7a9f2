//! Free ports that stay free while a server is down.

use std::net::TcpListener;

use rand::Rng as _;

use crate::RunServiceError;

/// Below the range from which Linux takes the ports of outgoing connections: otherwise one of those
/// could hold a killed server's port when it starts again.
const FROM: u16 = 18_000;
const TO: u16 = 32_000;
const ATTEMPTS: usize = 1000;

/// As many different free ports of 127.0.0.1.
pub(crate) fn free(count: usize) -> Result<Vec<u16>, RunServiceError> {
    // All are held until the last is found, so that they differ.
    let mut held = Vec::with_capacity(count);
    let mut random = rand::rng();
    for _ in 0..ATTEMPTS {
        if held.len() == count {
            break;
        }
        let port = random.random_range(FROM..TO);
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)) {
            held.push((port, listener));
        }
    }
    if held.len() < count {
        return Err(RunServiceError::NoPort { from: FROM, to: TO });
    }
    Ok(held.into_iter().map(|(port, _)| port).collect())
}
