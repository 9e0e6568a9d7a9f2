//! Devices that tell how busy their processors are.

use std::time::Duration;

use jiff::Timestamp;
use rand::Rng as _;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

use super::DeviceRequest;

/// Versions of the client, the newest the most common.
const VERSIONS: [(&str, u32); 4] =
    [("v1.4.0", 50), ("v1.3.2", 80), ("v1.3.1", 95), ("v1.2.0", 100)];

/// What the devices are like.
#[derive(Debug, Clone)]
pub struct CpuSettings {
    /// Number of devices, from 1; they are named `d0` and so on.
    pub devices: u32,
    /// Measurements of all devices together a second, above 0.
    pub rate: f64,
    /// The same seed gives the same measurements, apart from their times.
    pub seed: u64,
    /// Time of the first measurement, in milliseconds since 1970-01-01T00:00:00Z.
    pub start: i64,
    /// A measurement was made up to this much before it is sent.
    pub delay: Duration,
}

/// Measurements, one after the other, without an end.
#[derive(Debug, Clone)]
pub struct CpuSimulation {
    settings: CpuSettings,
    random: ChaCha8Rng,
    sent: u64,
}

impl CpuSimulation {
    /// Devices before their first measurement.
    #[must_use]
    pub fn new(settings: CpuSettings) -> Self {
        Self { random: ChaCha8Rng::seed_from_u64(settings.seed), settings, sent: 0 }
    }

    fn measurement(&mut self) -> String {
        let device = self.random.random_range(0..self.settings.devices.max(1));
        let version = version_of(device);
        // Counts of measurements are far below 2^53.
        #[expect(clippy::cast_precision_loss)]
        let elapsed = self.sent as f64 / self.settings.rate;
        let delay = self.settings.delay.as_secs_f64() * self.random.random::<f64>();
        // Milliseconds of some years are far below 2^53.
        #[expect(clippy::cast_possible_truncation)]
        let time = self.settings.start + ((elapsed - delay) * 1000.0).floor() as i64;
        let time = Timestamp::from_millisecond(time).unwrap_or(Timestamp::UNIX_EPOCH);
        let cpu = self.busyness(device, elapsed);
        self.sent += 1;
        format!(
            r#"{{"timestamp":"{time:.3}","deviceId":"d{device}","clientVersion":"{version}","cpu":{cpu:.1}}}"#
        )
    }

    /// Percent: each device has a level of its own, which swings over some minutes.
    fn busyness(&mut self, device: u32, elapsed: f64) -> f64 {
        let level = 15.0 + f64::from(device.wrapping_mul(2_654_435_761) % 600) / 10.0;
        let swing = 15.0 * libm::sin(elapsed / 60.0 + f64::from(device % 100));
        let noise = 10.0 * (self.random.random::<f64>() - 0.5);
        (level + swing + noise).clamp(0.0, 100.0)
    }
}

fn version_of(device: u32) -> &'static str {
    let place = device.wrapping_mul(40_503) % 100;
    VERSIONS.iter().find(|(_, below)| place < *below).map_or(VERSIONS[0].0, |(name, _)| name)
}

impl Iterator for CpuSimulation {
    type Item = DeviceRequest;

    fn next(&mut self) -> Option<DeviceRequest> {
        let body = self.measurement();
        Some(DeviceRequest::json("/telemetry/cpu", body))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> CpuSettings {
        CpuSettings {
            devices: 3,
            rate: 10.0,
            seed: 7,
            start: 1_767_225_600_000,
            delay: Duration::ZERO,
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_measurements() {
        let first: Vec<_> = CpuSimulation::new(settings()).take(50).collect();
        let second: Vec<_> = CpuSimulation::new(settings()).take(50).collect();
        assert_eq!(first, second);
        let other = CpuSettings { seed: 8, ..settings() };
        assert_ne!(first, CpuSimulation::new(other).take(50).collect::<Vec<_>>());
    }

    #[test]
    fn measurements_are_as_the_pipeline_declares_them() {
        let requests = CpuSimulation::new(settings()).take(50).collect::<Vec<_>>();
        for (number, request) in requests.iter().enumerate() {
            assert_eq!(request.path, "/telemetry/cpu");
            let event: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
            let seconds = number / 10;
            let millis = number % 10 * 100;
            let time = format!("2026-01-01T00:00:0{seconds}.{millis:03}Z");
            assert_eq!(event["timestamp"], time.as_str());
            assert!((0.0..=100.0).contains(&event["cpu"].as_f64().unwrap()), "{event}");
            assert!(VERSIONS.iter().any(|(name, _)| event["clientVersion"] == *name), "{event}");
        }
    }

    #[test]
    fn a_device_keeps_its_version() {
        assert_eq!(version_of(5), version_of(5));
        let versions: std::collections::BTreeSet<_> = (0..100).map(version_of).collect();
        assert_eq!(versions.len(), 4);
    }
}
