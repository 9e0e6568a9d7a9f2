//! A fleet of hoverboards, its customers and their trips.

use jiff::Timestamp;
use rand::Rng as _;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use serde_json::json;

use super::DeviceRequest;

/// How long trips take, in seconds.
const TRIP_SECONDS: std::ops::Range<i64> = 60..3600;

const FIRST_NAMES: [&str; 6] = ["Ada", "Grace", "Alan", "Edsger", "Barbara", "Tony"];
const LAST_NAMES: [&str; 6] = ["Lovelace", "Hopper", "Turing", "Dijkstra", "Liskov", "Hoare"];

/// What the fleet is like.
#[derive(Debug, Clone)]
pub struct HoverboardSettings {
    /// Number of boards, from 1.
    pub boards: u32,
    /// Number of customers, from 1.
    pub customers: u32,
    /// Requests a second, above 0.
    pub rate: f64,
    /// The same seed gives the same requests, apart from their times.
    pub seed: u64,
    /// Time of the first request, in milliseconds since 1970-01-01T00:00:00Z.
    pub start: i64,
}

/// Requests of the fleet, without an end: of ten, eight are of boards, one of a customer and one of
/// a trip.
#[derive(Debug, Clone)]
pub struct HoverboardSimulation {
    settings: HoverboardSettings,
    random: ChaCha8Rng,
    sent: u64,
}

impl HoverboardSimulation {
    /// A fleet before its first request.
    #[must_use]
    pub fn new(settings: HoverboardSettings) -> Self {
        Self { random: ChaCha8Rng::seed_from_u64(settings.seed), settings, sent: 0 }
    }

    fn board(&mut self) -> DeviceRequest {
        let id = self.random.random_range(0..self.settings.boards.max(1));
        let docked = self.random.random_bool(0.4);
        let speed = if docked { 0.0 } else { self.tenths(0, 250) };
        let body = json!({
            "id": id,
            "elevation": self.tenths(0, 1200),
            "temperature": self.tenths(-100, 400),
            "humidity": self.tenths(0, 1000),
            "charge": self.tenths(0, 1000),
            "speed": speed,
            "weight": if docked { 0.0 } else { self.tenths(400, 1100) },
            "acceleration": self.tenths(-30, 30),
            "magneticfield": self.tenths(250, 650),
            "isdocked": docked,
            "location": self.place(),
        });
        DeviceRequest::json("/ingest/hoverboard", body.to_string())
    }

    fn customer(&mut self) -> DeviceRequest {
        let id = self.random.random_range(0..self.settings.customers.max(1));
        let number = id as usize;
        let first = FIRST_NAMES[number % FIRST_NAMES.len()];
        let last = LAST_NAMES[number / FIRST_NAMES.len() % LAST_NAMES.len()];
        let body = json!({
            "id": id,
            "customer_name": {"first_name": first, "last_name": last},
            "customer_email":
                format!("{}.{}.{id}@example.com", first.to_lowercase(), last.to_lowercase()),
            "customer_location": self.place(),
        });
        DeviceRequest::json("/ingest/customer", body.to_string())
    }

    fn trip(&mut self) -> DeviceRequest {
        // Counts of requests are far below 2^53, and so are milliseconds of some years.
        #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
        let end = self.settings.start + (self.sent as f64 / self.settings.rate * 1000.0) as i64;
        let seconds = self.random.random_range(TRIP_SECONDS);
        let text = |millis| Timestamp::from_millisecond(millis).unwrap_or(Timestamp::UNIX_EPOCH);
        let body = json!({
            "hoverboard_id": self.random.random_range(0..self.settings.boards.max(1)),
            "customer_id": self.random.random_range(0..self.settings.customers.max(1)),
            "trip_duration": seconds,
            "start_location": self.place(),
            "end_location": self.place(),
            "start_time_and_date": text(end - seconds * 1000).to_string(),
            "end_time_and_date": text(end).to_string(),
        });
        DeviceRequest::json("/ingest/trip", body.to_string())
    }

    /// A number between two numbers of tenths.
    fn tenths(&mut self, from: i32, to: i32) -> f64 {
        f64::from(self.random.random_range(from..=to)) / 10.0
    }

    /// A place in and around Hill Valley, California (as good as any).
    fn place(&mut self) -> serde_json::Value {
        let around = |middle: f64, step: i32| middle + f64::from(step) / 10_000.0;
        json!({
            "longitude": around(-121.89, self.random.random_range(-500..=500)),
            "latitude": around(39.73, self.random.random_range(-500..=500)),
        })
    }
}

impl Iterator for HoverboardSimulation {
    type Item = DeviceRequest;

    fn next(&mut self) -> Option<DeviceRequest> {
        let request = match self.random.random_range(0..10) {
            0 => self.customer(),
            1 => self.trip(),
            _ => self.board(),
        };
        self.sent += 1;
        Some(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fleet_sends_mostly_what_its_boards_measure() {
        let settings =
            HoverboardSettings { boards: 10, customers: 5, rate: 100.0, seed: 1, start: 0 };
        let requests = HoverboardSimulation::new(settings.clone()).take(1000).collect::<Vec<_>>();
        let count = |path| requests.iter().filter(|request| request.path == path).count();
        assert!((750..850).contains(&count("/ingest/hoverboard")));
        assert!((60..140).contains(&count("/ingest/customer")));
        assert!((60..140).contains(&count("/ingest/trip")));
        let again = HoverboardSimulation::new(settings).take(1000).collect::<Vec<_>>();
        assert_eq!(requests, again);
    }
}
