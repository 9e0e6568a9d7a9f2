//! Continuous load by clients that know what was confirmed: each sends an event again, with the same
//! id, until it is.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::json;

use crate::event::Event;
use crate::event::SENSORS_EACH;
use crate::event::Source;
use crate::event::events_ahead;
use crate::fleet::INGESTS;
use crate::member::http_address;
use crate::support::http::Answer;
use crate::support::http::KeepAlive;
use crate::support::process::pause;

const CLIENTS: usize = 4;
/// Over all clients.
pub(crate) const SENSORS: usize = CLIENTS * SENSORS_EACH;
/// How long a client waits for an answer before it asks another process.
const ANSWER: Duration = Duration::from_secs(12);
const BETWEEN_REQUESTS: Duration = Duration::from_millis(40);
const BEFORE_AGAIN: Duration = Duration::from_millis(200);

/// Where the outputs of the processes are that take events in: they tell the addresses.
#[derive(Debug, Clone, Default)]
pub(crate) struct Doors(Arc<Mutex<BTreeMap<String, PathBuf>>>);

impl Doors {
    pub(crate) fn set(&self, name: &str, output: PathBuf) {
        self.0.lock().unwrap().insert(name.to_owned(), output);
    }

    fn address(&self, number: usize) -> Option<String> {
        let output = self.0.lock().unwrap().values().nth(number).cloned()?;
        http_address(&output)
    }
}

#[derive(Debug, Default)]
struct Counts {
    stop: AtomicBool,
    confirmed: AtomicU64,
    /// Answers 503 with `Retry-After`.
    refused: AtomicU64,
    /// Requests without an answer.
    unanswered: AtomicU64,
    /// Poisonous events that are to be sent.
    poison: AtomicU64,
}

impl Counts {
    fn takes_poison(&self) -> bool {
        self.poison.fetch_update(Relaxed, Relaxed, |count| count.checked_sub(1)).is_ok()
    }
}

/// Clients at work.
pub(crate) struct Load {
    counts: Arc<Counts>,
    doors: Doors,
    clients: Vec<JoinHandle<(Client, Vec<Event>)>>,
}

/// What all clients have sent, all of it confirmed.
pub(crate) struct Sent {
    pub(crate) events: Vec<Event>,
    refused: u64,
    unanswered: u64,
    /// Answers that there must not be.
    pub(crate) wrong: Vec<String>,
    /// Sends what releases all that is held back.
    pub(crate) last: Flush,
}

impl Sent {
    pub(crate) fn told(&self) -> String {
        let Self { events, refused, unanswered, .. } = self;
        format!(
            "{} events were confirmed; {refused} requests were refused with 503, {unanswered} not answered",
            events.len()
        )
    }
}

impl Load {
    pub(crate) fn start(doors: Doors) -> Self {
        let counts = Arc::new(Counts::default());
        let start = |number| {
            let mut client = Client::new(number, doors.clone(), Arc::clone(&counts));
            std::thread::spawn(move || {
                let events = client.run();
                (client, events)
            })
        };
        let clients = (0..CLIENTS).map(start).collect();
        Self { counts, doors, clients }
    }

    /// Number of events that were confirmed.
    pub(crate) fn confirmed(&self) -> u64 {
        self.counts.confirmed.load(Relaxed)
    }

    /// Number of requests that were answered by 503 with `Retry-After`.
    pub(crate) fn refused(&self) -> u64 {
        self.counts.refused.load(Relaxed)
    }

    /// Sends this many events that the table sink cannot take.
    pub(crate) fn poison(&self, count: u64) {
        self.counts.poison.fetch_add(count, Relaxed);
    }

    /// Ends the clients as soon as all they have sent is confirmed.
    pub(crate) fn end(self) -> Sent {
        self.counts.stop.store(true, Relaxed);
        let (mut events, mut sources, mut wrong) = (Vec::new(), Vec::new(), Vec::new());
        for client in self.clients {
            let (client, sent) = client.join().unwrap();
            events.extend(sent);
            sources.push(client.source);
            wrong.extend(client.wrong);
        }
        let client = Client::new(0, self.doors, Arc::clone(&self.counts));
        Sent {
            events,
            refused: self.counts.refused.load(Relaxed),
            unanswered: self.counts.unanswered.load(Relaxed),
            wrong,
            last: Flush { client, sources },
        }
    }
}

/// Sends events after the end that release those before them.
pub(crate) struct Flush {
    client: Client,
    sources: Vec<Source>,
}

impl Flush {
    /// Sends one event of each sensor, this far in the future.
    pub(crate) fn send(&mut self, ahead: Duration) -> Vec<Event> {
        let events = events_ahead(&mut self.sources, ahead);
        self.client.send(&events);
        events
    }
}

struct Client {
    doors: Doors,
    counts: Arc<Counts>,
    source: Source,
    door: usize,
    connection: Option<(String, KeepAlive)>,
    wrong: Vec<String>,
}

impl Client {
    fn new(number: usize, doors: Doors, counts: Arc<Counts>) -> Self {
        let (source, door) = (Source::new(number), number % INGESTS);
        Self { doors, counts, source, door, connection: None, wrong: Vec::new() }
    }

    /// Sends until it is told to stop; the events, all of which were confirmed.
    fn run(&mut self) -> Vec<Event> {
        let mut all = Vec::new();
        while !self.counts.stop.load(Relaxed) {
            let events = self.source.draw(|| self.counts.takes_poison());
            self.send(&events);
            all.extend(events);
            pause(BETWEEN_REQUESTS);
        }
        all
    }

    /// Sends events until they are confirmed.
    fn send(&mut self, events: &[Event]) {
        let body = json!(events.iter().map(Event::json).collect::<Vec<_>>()).to_string();
        loop {
            match self.post(&body) {
                Ok(answer) if answer.status == 202 => break,
                Ok(answer) if answer.status == 503 && answer.header("retry-after").is_some() => {
                    self.counts.refused.fetch_add(1, Relaxed);
                }
                Ok(answer) => self.wrong.push(format!("{answer:?}")),
                Err(_) => {
                    self.counts.unanswered.fetch_add(1, Relaxed);
                }
            }
            self.connection = None;
            self.door = (self.door + 1) % INGESTS;
            pause(BEFORE_AGAIN);
        }
        self.counts.confirmed.fetch_add(events.len() as u64, Relaxed);
    }

    fn post(&mut self, body: &str) -> io::Result<Answer> {
        let address = self.doors.address(self.door).ok_or(io::ErrorKind::NotConnected)?;
        if self.connection.as_ref().is_none_or(|(connected, _)| *connected != address) {
            let connection = KeepAlive::within(&address, ANSWER)?;
            self.connection = Some((address, connection));
        }
        let (_, connection) = self.connection.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        connection.post("/readings", "Content-Type: application/json\r\n", body)
    }
}
