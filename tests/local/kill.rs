//! kill -9 at random moments of a replay over MQTT, the client sending again what got no PUBACK:
//! the outputs equal, byte for byte, those of an undisturbed run.
//!
//! `MILLRACE_KILLS` sets how often each replay is killed (50 in the first, 10 in the others),
//! `MILLRACE_SEED` when.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers fail as tests do")]

#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::Duration;
use std::time::Instant;

use rand::Rng as _;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use support::content;
use support::mqtt::Publisher;
use support::process::PATIENCE;
use support::process::Pipeline;
use support::process::pause;
use support::process::run_to_end;
use support::race;
use support::race::Message;

/// Messages that may be on their way without a PUBACK.
const WINDOW: usize = 20;

/// The replay is no race against the clock: silence must not end it.
const PATIENT: (&str, &str) = ("idle: 500ms", "idle: 1h");

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().unwrap())
}

fn connect(pipeline: &mut Pipeline) -> io::Result<Publisher> {
    let address = pipeline.mqtt();
    let started = Instant::now();
    loop {
        match Publisher::connect(&address, "replay") {
            Err(error) if started.elapsed() > PATIENCE => return Err(error),
            Err(_) => pause(Duration::from_millis(5)),
            publisher => return publisher,
        }
    }
}

/// Publishes from the first unconfirmed message on until all are confirmed, `enough` have been, or
/// the connection breaks.
fn publish(
    publisher: &mut Publisher,
    messages: &[Message],
    confirmed: &mut [bool],
    enough: usize,
) -> io::Result<()> {
    let mut unsent = (0..messages.len()).filter(|i| !confirmed[*i]).collect::<Vec<_>>().into_iter();
    let mut count = 0;
    loop {
        while publisher.unconfirmed() < WINDOW
            && let Some(index) = unsent.next()
        {
            let (_, topic, payload) = &messages[index];
            publisher.send(index, topic, payload)?;
        }
        if publisher.unconfirmed() == 0 || count >= enough {
            return Ok(());
        }
        confirmed[publisher.confirmed()?] = true;
        count += 1;
    }
}

/// Replays the messages, killing the process so many times, and returns the outputs.
fn replay(
    resource: &Path,
    messages: &[Message],
    arguments: &[&str],
    kills: u64,
) -> BTreeMap<String, Vec<String>> {
    let seed = setting("MILLRACE_SEED", 1);
    let mut random = StdRng::seed_from_u64(seed);
    let folder = tempfile::tempdir().unwrap();
    let mut confirmed = vec![false; messages.len()];
    let mut pipeline = Pipeline::spawn(resource, folder.path(), arguments);
    for kill in 0..kills {
        if random.random_ratio(1, 5) {
            // While it starts, restores and catches up.
            pause(Duration::from_micros(random.random_range(0..200_000)));
        } else {
            let left = confirmed.iter().filter(|c| !**c).count() as u64;
            let share = usize::try_from(2 * left / (kills - kill + 1)).unwrap().max(1);
            let mut publisher = connect(&mut pipeline).unwrap();
            let enough = random.random_range(1..=share);
            publish(&mut publisher, messages, &mut confirmed, enough).unwrap();
            pause(Duration::from_micros(random.random_range(0..3000)));
        }
        pipeline.kill();
        pipeline = Pipeline::spawn(resource, folder.path(), arguments);
    }
    let mut publisher = connect(&mut pipeline).unwrap();
    publish(&mut publisher, messages, &mut confirmed, usize::MAX).unwrap();
    assert!(confirmed.iter().all(|confirmed| *confirmed));
    pipeline.kill();
    run_to_end(resource, folder.path(), &[]);
    content::outputs(resource, folder.path())
}

#[test]
fn kills_change_nothing_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let resource = race::resource(folder.path(), &[PATIENT]);
    let messages = race::messages(1, Duration::from_mins(5));
    let expected = replay(&resource, &messages, &[], 0);
    let positions = expected["stream standings"].len();
    assert!(positions > 6, "someone is overtaken in {positions} changes of position");
    let run = replay(&resource, &messages, &[], setting("MILLRACE_KILLS", 50));
    content::assert_equal(&run, &expected);
}

#[test]
fn kills_shuffles_repetitions_and_batch_sizes_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let disorder = ("disorder: 50ms", "disorder: 2s");
    let resource = race::resource(folder.path(), &[PATIENT, disorder]);
    let messages = race::messages(1, Duration::from_mins(2));
    let expected = replay(&resource, &messages, &[], 0);
    let kills = setting("MILLRACE_KILLS", 10);

    let shuffled = race::shuffled(&messages, Duration::from_secs(2), 5);
    content::assert_equal(&replay(&resource, &shuffled, &[], kills), &expected);

    let twice: Vec<_> = messages.iter().flat_map(|m| [m.clone(), m.clone()]).collect();
    content::assert_equal(&replay(&resource, &twice, &["--batch-records", "1"], kills), &expected);
    content::assert_equal(
        &replay(&resource, &twice, &["--batch-records", "1000"], kills),
        &expected,
    );
}

#[test]
fn twelve_races_over_one_and_twelve_partitions_are_the_same_through_kills() {
    let folder = tempfile::tempdir().unwrap();
    let other = tempfile::tempdir().unwrap();
    let one = race::resource(folder.path(), &[PATIENT]);
    let twelve = race::resource(
        other.path(),
        &[PATIENT, ("      key: [.race]\n", "      key: [.race]\n      partitions: 12\n")],
    );
    let messages = race::messages(12, Duration::from_secs(40));
    let expected = replay(&one, &messages, &[], 0);
    let kills = setting("MILLRACE_KILLS", 10);
    content::assert_equal(&replay(&one, &messages, &[], kills), &expected);
    content::assert_equal(&replay(&twelve, &messages, &[], kills), &expected);
}
