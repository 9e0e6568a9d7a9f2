//! A pipeline of many processes over three Kafka brokers and Postgres, under continuous load, while
//! all of them are killed, paused, scaled and cut off: nothing that was confirmed is lost, nothing is
//! there twice, the order of each key stays, and it goes on after each fault.
//!
//! `MILLRACE_FAULTS` sets how many faults there are (each kind once by default), `MILLRACE_SEED` which,
//! and `MILLRACE_OUTAGE` for how many seconds the brokers do not answer (20 by default). `MILLRACE_KINDS="KillBroker Freeze"` leaves out all other kinds. `MILLRACE_RECOVERY` sets
//! how many seconds it may take until all goes on (120 by default). `MILLRACE_PROGRAM` names another program than the one that cargo built for tests.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers fail as tests do")]

#[path = "../support/mod.rs"]
mod support;

mod event;
mod fault;
mod fleet;
mod load;
mod member;
mod oracle;
mod topics;

use std::io::Write as _;
use std::time::Duration;
use std::time::Instant;

use fault::Deck;
use fault::Fault;
use fleet::Fleet;
use load::Load;

/// After how many faults everything has to go on, and not something alone.
const ALL_GOES_ON: u64 = 4;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().unwrap())
}

/// Says at once how far the run is, also while the harness keeps the test's output back.
fn say(begun: Instant, text: &str) {
    let _ = writeln!(std::io::stderr(), "{:>7.1} s  {text}", begun.elapsed().as_secs_f64());
}

#[test]
fn faults_lose_nothing_and_repeat_nothing() {
    let seed = setting("MILLRACE_SEED", 1);
    let outage = Duration::from_secs(setting("MILLRACE_OUTAGE", 20));
    let kinds = std::env::var("MILLRACE_KINDS").unwrap_or_default();
    let kinds = kinds.split_whitespace().map(str::to_owned).collect();
    let mut deck = Deck::new(seed, outage, kinds);
    let faults = setting("MILLRACE_FAULTS", Fault::KINDS as u64);
    let begun = Instant::now();
    let mut fleet = Fleet::start();
    say(begun, &format!("seed {seed}: {faults} faults; files are in {}", fleet.folder().display()));
    let load = Load::start(fleet.doors());
    fleet.until_it_goes_on(&load, "at the beginning");
    for number in 1..=faults {
        let fault = deck.draw(&fleet);
        say(begun, &format!("fault {number}: {fault:?}"));
        fleet.suffer(&fault, &load);
        let when = format!("after fault {number}, {fault:?}");
        // Mostly the next one comes while the dead still have to be noticed.
        if number % ALL_GOES_ON == 0 || number == faults {
            fleet.until_all_goes_on(&load, &when);
        } else {
            fleet.until_it_goes_on(&load, &when);
        }
    }
    say(begun, "the last fault is over");
    let mut sent = load.end();
    say(begun, &sent.told());
    let judged = oracle::judge(&mut fleet, &mut sent);
    say(begun, &judged.told());
    let ended = fleet.ended_by_themselves();
    assert_eq!((judged.wrong, &sent.wrong), (Vec::new(), &Vec::new()), "seed {seed}");
    assert_eq!(ended, Vec::<String>::new(), "processes that ended by themselves; seed {seed}");
    fleet.remove_folder();
}
