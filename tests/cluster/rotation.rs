//! Passwords, keys and the authority are exchanged under load.

use std::collections::BTreeMap;
use std::time::Duration;
use std::time::Instant;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;

use crate::door::Door;
use crate::door::Port;
use crate::fleet::Fleet;
use crate::fleet::NAME;
use crate::say;
use crate::support::kubernetes::over_kubernetes;
use crate::support::process::pause;

const PATIENCE: Duration = Duration::from_secs(15);
/// Kubelets bring mounted files up to date within this time. The operator waits for ten minutes; the
/// rest is skipped here.
const FILES_FOLLOW: Duration = Duration::from_secs(130);
/// Secrets with a user who takes turns with a spare.
const USERS: [&str; 4] = ["kafka-client", "postgres-worker", "postgres-query", "postgres-analyst"];
const LONG_AGO: &str = "2020-01-01T00:00:00Z";

#[test]
fn passwords_and_the_authority_are_exchanged_under_load() {
    if !over_kubernetes() {
        return;
    }
    let begun = Instant::now();
    let mut fleet = Fleet::start(&json!({}));
    say(begun, "ready");
    let load = fleet.load();
    let door = Door::new(fleet.namespace.name(), NAME);
    let before = fleet.users();
    let authority = fleet.secret("authority", "tls.crt");
    let owner = fleet.secret("postgres-owner", "password");

    for user in USERS {
        fleet.note(user, "rotate", "once");
    }
    fleet.note("postgres-owner", "rotate", "once");
    fleet.namespace.until("all users are others", |_| {
        let after = fleet.users();
        fleet.hurry("ready-after", |user| before[user] == after[user])
    });
    fleet.namespace.until("the owner has another password", |_| {
        fleet.secret("postgres-owner", "password") != owner
    });
    fleet.wait_ready();
    fleet.until_all_goes_on(&load, "with other users");
    say(begun, &format!("users are {:?}; {} requests failed", fleet.users(), load.failed()));

    pause(FILES_FOLLOW);
    let spares = fleet.passwords_of_spares();
    fleet.namespace.until("who is no longer used has another password", |_| {
        let now = fleet.passwords_of_spares();
        fleet.hurry("retire-after", |user| spares[user] == now[user])
    });
    fleet.wait_ready();
    fleet.until_all_goes_on(&load, "without the former passwords");
    say(begun, &format!("former passwords are over; {} requests failed", load.failed()));

    fleet.note("authority", "rotate", "once");
    fleet.namespace.until("two authorities are trusted", |_| fleet.trusted() == 2);
    fleet.wait_ready();
    fleet.until_all_goes_on(&load, "with two authorities");
    say(begun, &format!("two authorities are trusted; {} requests failed", load.failed()));
    pause(FILES_FOLLOW);
    fleet.note("authority", "retire-after", LONG_AGO);
    fleet
        .namespace
        .until("the other one signs", |_| fleet.secret("authority", "tls.crt") != authority);
    fleet.wait_ready();
    fleet.until_all_goes_on(&load, "with the other authority");
    say(begun, &format!("the other one signs; {} requests failed", load.failed()));
    pause(FILES_FOLLOW);
    fleet.note("authority", "retire-after", LONG_AGO);
    fleet.namespace.until("one authority is trusted", |_| fleet.trusted() == 1);
    fleet.wait_ready();
    fleet.until_all_goes_on(&load, "without the former authority");
    say(begun, &format!("one authority is trusted; {} requests failed", load.failed()));
    assert!(door.connect(Port::Https, PATIENCE).is_err(), "the edge has its old certificate");
    let other = Door::new(fleet.namespace.name(), NAME);
    other.connect(Port::Https, PATIENCE).unwrap();

    fleet.judge(begun, load);
}

impl Fleet {
    /// Writes one of the operator's annotations on a Secret.
    fn note(&self, secret: &str, key: &str, value: &str) {
        let (secret, note) = (format!("{NAME}-{secret}"), format!("millrace.dev/{key}={value}"));
        self.namespace.kubectl(&["annotate", "--overwrite", "secret", &secret, &note]).unwrap();
    }

    /// Has the operator find that a time has come for these users' spares; whether there are none. It may
    /// just be writing the time that it has chosen itself: then this is said again.
    fn hurry(&self, key: &str, is_as_before: impl Fn(&str) -> bool) -> bool {
        let former = USERS.iter().filter(|user| is_as_before(user));
        former.map(|user| self.note(&format!("{user}-spare"), key, LONG_AGO)).count() == 0
    }

    fn secret(&self, secret: &str, key: &str) -> String {
        let secret = self.namespace.get("secret", &format!("{NAME}-{secret}"));
        let bytes = BASE64_STANDARD.decode(secret["data"][key].as_str().unwrap()).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    /// The users in use.
    fn users(&self) -> BTreeMap<&'static str, String> {
        USERS.iter().map(|user| (*user, self.secret(user, "username"))).collect()
    }

    /// Never printed.
    fn passwords_of_spares(&self) -> BTreeMap<&'static str, String> {
        let password = |user: &&'static str| self.secret(&format!("{user}-spare"), "password");
        USERS.iter().map(|user| (*user, password(user))).collect()
    }

    /// How many authorities are trusted.
    fn trusted(&self) -> usize {
        let trust = self.namespace.get("configmap", &format!("{NAME}-trust"));
        trust["data"]["ca.crt"].as_str().unwrap().matches("BEGIN CERTIFICATE").count()
    }
}
