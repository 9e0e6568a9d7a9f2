//! Events of the load: each client has sensors of its own, and knows the order of their events.

use std::time::Duration;

use jiff::Timestamp;
use rand::Rng as _;
use serde_json::json;

/// Sensors of a client.
pub(crate) const SENSORS_EACH: usize = 8;
const GROUPS: usize = 5;
const MOST_OF_A_REQUEST: usize = 10;

/// An event that was sent and confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) sensor: usize,
    /// Counts the sensor's events from 0.
    pub(crate) n: u64,
    pub(crate) at: i64,
    pub(crate) value: i64,
    /// Whether the table sink cannot take it.
    pub(crate) poison: bool,
}

impl Event {
    pub(crate) fn id(&self) -> String {
        format!("{}-{}", self.sensor, self.n)
    }

    pub(crate) fn group(&self) -> usize {
        (self.sensor + usize::try_from(self.n).unwrap()) % GROUPS
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        let note = if self.poison { json!(7) } else { json!("fine") };
        json!({
            "id": self.id(), "sensor": format!("s{}", self.sensor), "group": format!("g{}", self.group()),
            "n": self.n, "at": self.at, "value": self.value, "note": note,
        })
    }
}

/// The events of a client.
#[derive(Debug)]
pub(crate) struct Source {
    client: usize,
    /// Of each sensor the number of its next event, and the time of its last one.
    next: [u64; SENSORS_EACH],
    last: [i64; SENSORS_EACH],
}

impl Source {
    /// Those of the client of this number, from the first one on.
    pub(crate) fn new(client: usize) -> Self {
        Self { client, next: [0; SENSORS_EACH], last: [0; SENSORS_EACH] }
    }

    /// Some events of now, of sensors at random.
    pub(crate) fn draw(&mut self, mut is_poison: impl FnMut() -> bool) -> Vec<Event> {
        let mut random = rand::rng();
        let count = random.random_range(1..=MOST_OF_A_REQUEST);
        let mut event = |_| {
            let own = random.random_range(0..SENSORS_EACH);
            // Two of one time would be in the order of their ids.
            let at = now().max(self.last[own] + 1);
            self.event(own, at, random.random_range(-1000..=1000), is_poison())
        };
        (0..count).map(&mut event).collect()
    }

    fn event(&mut self, own: usize, at: i64, value: i64, poison: bool) -> Event {
        let n = self.next[own];
        self.next[own] += 1;
        self.last[own] = at;
        Event { sensor: self.client * SENSORS_EACH + own, n, at, value, poison }
    }
}

/// An event of each sensor, all at the same time, this far in the future.
pub(crate) fn events_ahead(sources: &mut [Source], ahead: Duration) -> Vec<Event> {
    let at = now() + i64::try_from(ahead.as_millis()).unwrap();
    let mut events = Vec::new();
    for source in sources {
        events.extend((0..SENSORS_EACH).map(|own| source.event(own, at, 0, false)));
    }
    events
}

fn now() -> i64 {
    Timestamp::now().as_millisecond()
}
