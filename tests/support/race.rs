//! Simulated races as messages, and the example's resource with changes.

use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use millrace_simulate::race::RaceSettings;
use millrace_simulate::race::RaceSimulation;
use millrace_simulate::race::Track;
use millrace_simulate::race::topic;
use rand::Rng as _;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

/// A message of a car: event time, topic, payload.
pub(crate) type Message = (i64, String, Vec<u8>);

/// Messages of so many races of six cars, in order of time.
pub(crate) fn messages(races: u32, duration: Duration) -> Vec<Message> {
    let mut messages: Vec<Message> = (0..races)
        .flat_map(|race| {
            let settings = RaceSettings {
                track: Track::default(),
                cars: 6,
                rate: 5.0,
                seed: 7,
                race,
                start: 1_541_693_114_862,
                laps: None,
                duration: Some(duration),
                jitter: Duration::from_millis(5),
            };
            let topic = topic(race, races);
            RaceSimulation::new(settings).flat_map(move |tick| {
                let topic = topic.clone();
                tick.messages
                    .into_iter()
                    .map(move |(_, m)| (m.timestamp, topic.clone(), m.payload()))
            })
        })
        .collect();
    messages.sort_by_key(|(time, ..)| *time);
    messages
}

/// The same messages in another order, none further out of order in event time than `disorder`.
pub(crate) fn shuffled(messages: &[Message], disorder: Duration, seed: u64) -> Vec<Message> {
    let mut random = StdRng::seed_from_u64(seed);
    let disorder = i64::try_from(disorder.as_millis()).unwrap();
    let mut placed: Vec<_> = messages
        .iter()
        .map(|message| {
            (message.0 + random.random_range(0..=disorder), random.random::<u32>(), message)
        })
        .collect();
    placed.sort_by_key(|(place, tie, _)| (*place, *tie));
    placed.into_iter().map(|(_, _, message)| message.clone()).collect()
}

/// The example of the race, with these texts replaced; each must be there.
pub(crate) fn resource(folder: &Path, changes: &[(&str, &str)]) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/race.yaml");
    let mut text = std::fs::read_to_string(path).unwrap();
    for (old, new) in changes {
        assert!(text.contains(old), "race.yaml does not contain `{old}`");
        text = text.replace(old, new);
    }
    let path = folder.join("race.yaml");
    std::fs::write(&path, text).unwrap();
    path
}
