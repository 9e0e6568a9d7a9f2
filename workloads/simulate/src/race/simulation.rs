//! A race as an iterator over its ticks.

use std::time::Duration;

use rand::Rng as _;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

use crate::race::Message;
use crate::race::Track;
use crate::race::driver::Driver;

/// How much further than its laps a car drives, as a share of them: whoever measures laps a
/// little longer than the track file does sees the last one end, too.
const RUN_OUT: f64 = 0.01;

/// What a race is like.
#[derive(Debug, Clone)]
pub struct RaceSettings {
    /// Where it is driven.
    pub track: Track,
    /// Number of cars, from 1; they are numbered from 0.
    pub cars: u32,
    /// Ticks per second of the race; each car sends one message a tick.
    pub rate: f64,
    /// The same seed gives the same race.
    pub seed: u64,
    /// Number of this race among several with the same seed, from 0.
    pub race: u32,
    /// Time of the first tick, in milliseconds since 1970-01-01T00:00:00Z.
    pub start: i64,
    /// The race ends when every car has driven so many laps; none: it does not.
    pub laps: Option<u32>,
    /// The race ends after this time; none: it does not.
    pub duration: Option<Duration>,
    /// A message is sent up to this much after its tick. Its timestamp is the tick's.
    pub jitter: Duration,
}

/// All cars at one time.
#[derive(Debug, Clone, PartialEq)]
pub struct Tick {
    /// Time since the first tick.
    pub elapsed: Duration,
    /// Messages in the order in which they are sent, each with its delay after the tick.
    pub messages: Vec<(Duration, Message)>,
}

/// A race. It iterates over its ticks and does no I/O.
#[derive(Debug, Clone)]
pub struct RaceSimulation {
    settings: RaceSettings,
    drivers: Vec<Driver>,
    jitter: ChaCha8Rng,
    tick: u64,
}

impl RaceSimulation {
    /// A race before its first tick.
    #[must_use]
    pub fn new(settings: RaceSettings) -> Self {
        let driver = |car| Driver::new(settings.seed, settings.race, car);
        let mut jitter = ChaCha8Rng::seed_from_u64(settings.seed);
        // No car has this number: the stream belongs to the race.
        jitter.set_stream(u64::from(settings.race) << 32 | u64::from(u32::MAX));
        Self { drivers: (0..settings.cars).map(driver).collect(), jitter, tick: 0, settings }
    }

    /// About how long the race lasts; none if it does not end.
    #[must_use]
    pub fn expected_duration(settings: &RaceSettings) -> Option<Duration> {
        let laps = settings.laps.map(|laps| {
            Duration::from_secs_f64(settings.track.lap_end(f64::from(laps) * (1.0 + RUN_OUT)))
        });
        match (laps, settings.duration) {
            (Some(laps), Some(duration)) => Some(laps.min(duration)),
            (laps, duration) => laps.or(duration),
        }
    }

    fn is_over(&self, elapsed: Duration) -> bool {
        let RaceSettings { laps, duration, track, .. } = &self.settings;
        let all_home = laps.is_some_and(|laps| {
            let end = track.lap_end(f64::from(laps) * (1.0 + RUN_OUT));
            self.drivers.iter().all(|driver| driver.driven >= end)
        });
        all_home || duration.is_some_and(|duration| elapsed >= duration)
    }

    fn drive(&mut self) {
        let seconds = 1.0 / self.settings.rate;
        let driven: f64 = self.drivers.iter().map(|driver| driver.driven).sum();
        let field = driven / f64::from(self.settings.cars);
        for driver in &mut self.drivers {
            driver.drive(seconds, field);
        }
    }

    fn messages(&mut self, timestamp: i64) -> Vec<(Duration, Message)> {
        let mut messages: Vec<_> = (0..)
            .zip(&self.drivers)
            .map(|(car_index, driver)| {
                let delay = self.settings.jitter.mul_f64(self.jitter.random());
                let location = self.settings.track.position(driver.driven);
                (delay, Message { timestamp, car_index, location })
            })
            .collect();
        messages.sort_by_key(|(delay, message)| (*delay, message.car_index));
        messages
    }
}

impl Iterator for RaceSimulation {
    type Item = Tick;

    fn next(&mut self) -> Option<Tick> {
        // Ticks are counted from the start, so that rounding to milliseconds does not add up.
        #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
        #[expect(clippy::cast_sign_loss)]
        let millis = (self.tick as f64 * 1000.0 / self.settings.rate).round() as u64;
        let elapsed = Duration::from_millis(millis);
        if self.is_over(elapsed) {
            return None;
        }
        if self.tick > 0 {
            self.drive();
        }
        self.tick += 1;
        let timestamp = self.settings.start.saturating_add_unsigned(millis);
        Some(Tick { elapsed, messages: self.messages(timestamp) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::race::track::distance;

    fn settings() -> RaceSettings {
        RaceSettings {
            track: Track::default(),
            cars: 6,
            rate: 5.0,
            seed: 1,
            race: 0,
            start: 1_541_693_114_862,
            laps: Some(3),
            duration: None,
            jitter: Duration::from_millis(5),
        }
    }

    fn ticks(settings: &RaceSettings) -> Vec<Tick> {
        RaceSimulation::new(settings.clone()).collect()
    }

    /// Total distance of each car after each tick, by straightforward addition.
    fn distances(ticks: &[Tick]) -> Vec<Vec<f64>> {
        let mut last = [None; 6];
        let mut totals = vec![0.0; 6];
        ticks
            .iter()
            .map(|tick| {
                for (_, message) in &tick.messages {
                    let car = usize::try_from(message.car_index).unwrap();
                    let before = last[car].replace(message.location).unwrap_or(message.location);
                    totals[car] += distance(before, message.location);
                }
                totals.clone()
            })
            .collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_race_and_another_seed_another() {
        assert_eq!(ticks(&settings()), ticks(&settings()));
        assert_ne!(ticks(&settings()), ticks(&RaceSettings { seed: 2, ..settings() }));
        assert_ne!(ticks(&settings()), ticks(&RaceSettings { race: 1, ..settings() }));
    }

    #[test]
    fn all_cars_of_a_tick_have_one_timestamp_and_are_sent_within_the_jitter() {
        let ticks = ticks(&settings());
        for (index, tick) in (0_i64..).zip(&ticks) {
            let mut cars: Vec<_> = tick.messages.iter().map(|(_, m)| m.car_index).collect();
            cars.sort_unstable();
            assert_eq!(cars, [0, 1, 2, 3, 4, 5]);
            for (delay, message) in &tick.messages {
                assert_eq!(message.timestamp, 1_541_693_114_862 + 200 * index);
                assert!(*delay <= Duration::from_millis(5));
            }
            assert!(tick.messages.is_sorted_by_key(|(delay, _)| *delay));
        }
        let in_order = |tick: &Tick| tick.messages.is_sorted_by_key(|(_, m)| m.car_index);
        assert!(!ticks.iter().all(in_order), "jitter must mix the cars of a tick");
    }

    #[test]
    fn cars_stay_on_the_track_and_below_400_mph() {
        let settings = settings();
        let points = settings.track.points().to_vec();
        let mut last: [Option<Message>; 6] = [None; 6];
        for tick in RaceSimulation::new(settings) {
            for (_, message) in tick.messages {
                // Neighbouring rows are at most 21.2 m apart, so on the line between two of them
                // one is at most half of that away.
                let nearest = points.iter().map(|p| distance(*p, message.location));
                assert!(nearest.fold(f64::MAX, f64::min) < 10.7);
                let car = usize::try_from(message.car_index).unwrap();
                if let Some(before) = last[car].replace(message) {
                    let mph = distance(before.location, message.location) / 0.2 / 1609.344 * 3600.0;
                    assert!(mph < 400.0, "{mph}");
                }
            }
        }
    }

    #[test]
    fn the_race_ends_when_every_car_has_driven_its_laps() {
        let settings = settings();
        let lap = settings.track.length();
        let totals = distances(&ticks(&settings));
        let end = totals.last().unwrap();
        assert!(end.iter().all(|total| *total > 3.0 * lap && *total < 3.2 * lap), "{end:?}");
        let before = &totals[totals.len() - 10];
        assert!(before.iter().any(|total| *total < 3.03 * lap), "{before:?}");
    }

    #[test]
    fn the_race_ends_at_its_duration() {
        let settings =
            RaceSettings { laps: None, duration: Some(Duration::from_secs(10)), ..settings() };
        assert_eq!(ticks(&settings).len(), 50);
        assert_eq!(RaceSimulation::expected_duration(&settings), Some(Duration::from_secs(10)),);
    }

    #[test]
    fn cars_overtake_throughout_a_long_race() {
        let totals = distances(&ticks(&RaceSettings { laps: Some(20), ..settings() }));
        let overtakes_between = |from: usize, to: usize| {
            let mut count = 0;
            for pair in totals[from..to].windows(2) {
                for a in 0..6 {
                    for b in 0..a {
                        count += u32::from((pair[0][a] > pair[0][b]) != (pair[1][a] > pair[1][b]));
                    }
                }
            }
            count
        };
        let fifth = totals.len() / 5;
        for part in 0..5 {
            let count = overtakes_between(part * fifth, (part + 1) * fifth);
            assert!((5..200).contains(&count), "{count} overtakes in part {part}");
        }
    }
}
