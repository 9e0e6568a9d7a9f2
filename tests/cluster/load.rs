//! Continuous load from outside, over HTTPS and MQTT with TLS, by clients that know what was confirmed:
//! each sends an event again, with the same id, until it is.

use std::io;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::JoinHandle;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use crate::door::Door;
use crate::door::Port;
use crate::door::Stream;
use crate::event::Event;
use crate::event::SENSORS_EACH;
use crate::event::Source;
use crate::event::events_ahead;
use crate::support::http::Answer;
use crate::support::http::KeepAlive;
use crate::support::mqtt::Publisher;
use crate::support::process::pause;

/// Clients that speak HTTPS; one more speaks MQTT.
const WEB_CLIENTS: usize = 3;
const CLIENTS: usize = WEB_CLIENTS + 1;
/// Over all clients.
pub(crate) const SENSORS: usize = CLIENTS * SENSORS_EACH;
/// Then a client connects anew, so that connections of any age see what happens.
const REQUESTS_OF_A_CONNECTION: u64 = 40;
/// How long a client waits for an answer before it sends again.
const ANSWER: Duration = Duration::from_secs(15);
const BETWEEN_REQUESTS: Duration = Duration::from_millis(120);
const BEFORE_AGAIN: Duration = Duration::from_millis(200);
/// More failures than this are counted alone.
const TOLD: usize = 200;

#[derive(Debug, Default)]
struct Counts {
    stop: AtomicBool,
    confirmed: AtomicU64,
    requests: AtomicU64,
    failed: AtomicU64,
    /// What became of requests that were not answered well, the first of them.
    failures: Mutex<Vec<String>>,
    /// MQTT connections that ended.
    cut: AtomicU64,
}

impl Counts {
    fn fail(&self, what: &str) {
        self.failed.fetch_add(1, Relaxed);
        let mut failures = self.failures.lock().unwrap();
        if failures.len() < TOLD {
            failures.push(format!("{:.3} {what}", Timestamp::now()));
        }
    }
}

/// Clients at work.
pub(crate) struct Load {
    counts: Arc<Counts>,
    door: Door,
    clients: Vec<JoinHandle<(Client, Vec<Event>)>>,
}

/// What all clients have sent, all of it confirmed.
pub(crate) struct Sent {
    pub(crate) events: Vec<Event>,
    /// What became of requests that were not answered well.
    pub(crate) failures: Vec<String>,
    requests: u64,
    failed: u64,
    cut: u64,
    /// Answers that there must not be.
    pub(crate) wrong: Vec<String>,
    /// Sends what releases all that is held back.
    pub(crate) last: Flush,
}

impl Sent {
    pub(crate) fn told(&self) -> String {
        let Self { events, requests, failed, cut, .. } = self;
        format!(
            "{} events were confirmed; {failed} of {requests} requests over HTTPS failed, {cut} \
             connections over MQTT were cut",
            events.len()
        )
    }
}

impl Load {
    pub(crate) fn start(door: &Door) -> Self {
        let counts = Arc::new(Counts::default());
        let start = |number| {
            let mut client = Client::new(number, door.clone(), Arc::clone(&counts));
            std::thread::spawn(move || {
                let events = client.run();
                (client, events)
            })
        };
        let clients = (0..CLIENTS).map(start).collect();
        Self { counts, door: door.clone(), clients }
    }

    /// Number of events that were confirmed.
    pub(crate) fn confirmed(&self) -> u64 {
        self.counts.confirmed.load(Relaxed)
    }

    /// Number of requests over HTTPS that failed.
    pub(crate) fn failed(&self) -> u64 {
        self.counts.failed.load(Relaxed)
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
        let counts = &self.counts;
        let failures = counts.failures.lock().unwrap().clone();
        let client = Client::new(0, self.door, Arc::clone(counts));
        Sent {
            events,
            failures,
            requests: counts.requests.load(Relaxed),
            failed: counts.failed.load(Relaxed),
            cut: counts.cut.load(Relaxed),
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
    door: Door,
    counts: Arc<Counts>,
    number: usize,
    source: Source,
    web: Option<(KeepAlive<Stream>, u64)>,
    mqtt: Option<Publisher<Stream>>,
    wrong: Vec<String>,
}

impl Client {
    fn new(number: usize, door: Door, counts: Arc<Counts>) -> Self {
        let source = Source::new(number);
        Self { door, counts, number, source, web: None, mqtt: None, wrong: Vec::new() }
    }

    /// Sends until it is told to stop; the events, all of which were confirmed.
    fn run(&mut self) -> Vec<Event> {
        let mut all = Vec::new();
        while !self.counts.stop.load(Relaxed) {
            let events = self.source.draw(|| false);
            if self.number < WEB_CLIENTS {
                self.send(&events);
            } else {
                for event in &events {
                    self.publish(event);
                }
            }
            all.extend(events);
            pause(BETWEEN_REQUESTS);
        }
        all
    }

    /// Sends events by a request until they are confirmed.
    fn send(&mut self, events: &[Event]) {
        let body = json!(events.iter().map(Event::json).collect::<Vec<_>>()).to_string();
        loop {
            let answer = self.post(&body);
            self.counts.requests.fetch_add(1, Relaxed);
            match answer {
                Ok(answer) if answer.status == 202 => break,
                Ok(answer) if answer.status == 503 && answer.header("retry-after").is_some() => {
                    self.counts.fail(&format!("503 {}", answer.body));
                }
                Ok(answer) => self.wrong.push(format!("{:.3} {answer:?}", Timestamp::now())),
                Err(error) => self.counts.fail(&error.to_string()),
            }
            self.web = None;
            pause(BEFORE_AGAIN);
        }
        self.counts.confirmed.fetch_add(events.len() as u64, Relaxed);
    }

    fn post(&mut self, body: &str) -> io::Result<Answer> {
        if self.web.as_ref().is_some_and(|(_, requests)| *requests >= REQUESTS_OF_A_CONNECTION) {
            self.web = None;
        }
        let (connection, requests) = match &mut self.web {
            Some(connection) => connection,
            none => {
                let stream = self
                    .door
                    .connect(Port::Https, ANSWER)
                    .map_err(|error| when("connecting", &error))?;
                none.insert((KeepAlive::over(stream, "localhost"), 0))
            }
        };
        *requests += 1;
        let number = *requests;
        let answer = connection.post("/readings", "Content-Type: application/json\r\n", body);
        let answer =
            answer.map_err(|error| when(&format!("request {number} of a connection"), &error))?;
        // Whoever ends says so in its last answer.
        if answer.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
            self.web = None;
        }
        Ok(answer)
    }

    /// Publishes an event until it is confirmed.
    fn publish(&mut self, event: &Event) {
        let body = event.json().to_string();
        while self.try_to_publish(body.as_bytes()).is_err() {
            if self.mqtt.take().is_some() {
                self.counts.cut.fetch_add(1, Relaxed);
            }
            pause(BEFORE_AGAIN);
        }
        self.counts.confirmed.fetch_add(1, Relaxed);
    }

    fn try_to_publish(&mut self, body: &[u8]) -> io::Result<()> {
        let publisher = match &mut self.mqtt {
            Some(publisher) => publisher,
            none => {
                let stream = self.door.connect(Port::Mqtts, ANSWER)?;
                none.insert(Publisher::over(stream, &format!("device-{}", self.number))?)
            }
        };
        publisher.send(0, "readings", body)?;
        publisher.confirmed()?;
        Ok(())
    }
}

fn when(what: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {error}"))
}
