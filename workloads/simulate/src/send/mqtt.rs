//! Races over MQTT at `QoS` 1, each on a connection of its own.
//!
//! A message leaves the sender's book only with its PUBACK: after a broken connection all that is
//! still in the book is sent again, in order, before anything new.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use rand::Rng as _;
use rumqttc::QoS;
use rustls::ClientConfig;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::Statistics;
use crate::race::RaceSettings;
use crate::race::RaceSimulation;
use crate::race::topic;
use crate::send::BrokerAddress;
use crate::send::Credentials;
use crate::send::connection::Connection;
use crate::send::connection::Report;
use crate::send::connection::WINDOW;

/// How long the end waits for confirmations that are still due after it was asked to stop.
const STOP_PATIENCE: Duration = Duration::from_secs(2);
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LAST_RETRY: Duration = Duration::from_secs(2);

/// How fast a race goes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// So many times as fast as real time.
    Times(f64),
    /// As fast as the receiver confirms.
    Unlimited,
}

/// Who takes the messages.
#[derive(Debug, Clone)]
pub struct MqttTarget {
    /// The broker.
    pub address: BrokerAddress,
    /// Who we are to it, if it asks.
    pub credentials: Option<Credentials>,
    /// Whom we trust, where the connection is encrypted.
    pub tls: Option<Arc<ClientConfig>>,
}

/// Publishes races until they are over or `shutdown` is cancelled, connecting again for as long as
/// it takes.
///
/// # Panics
/// When a race's task panicked.
pub async fn publish(
    races: &[RaceSettings],
    target: &MqttTarget,
    pace: Pace,
    statistics: &Arc<Statistics>,
    shutdown: &CancellationToken,
) {
    let start = Instant::now();
    let count = u32::try_from(races.len()).unwrap_or(u32::MAX);
    let mut senders = JoinSet::new();
    for settings in races {
        let sender = Sender {
            topic: topic(settings.race, count),
            // A client id of its own, so that two simulations do not throw each other out.
            client_id: format!(
                "simulate-{:08x}-{}",
                rand::rng().random::<u32>(),
                settings.race + 1
            ),
            target: target.clone(),
            statistics: Arc::clone(statistics),
            book: Book::default(),
            upcoming: Upcoming {
                race: RaceSimulation::new(settings.clone()),
                pace,
                start,
                tick: VecDeque::new(),
            },
        };
        senders.spawn(sender.run(shutdown.clone()));
    }
    senders.join_all().await;
}

/// The messages to come, each with the time at which it is due.
struct Upcoming {
    race: RaceSimulation,
    pace: Pace,
    start: Instant,
    tick: VecDeque<(Instant, Vec<u8>)>,
}

impl Upcoming {
    fn due(&mut self) -> Option<Instant> {
        if self.tick.is_empty() {
            let tick = self.race.next()?;
            let due = |delay: Duration| match self.pace {
                // The delay is the network's, which does not run faster with the race.
                Pace::Times(times) => self.start + tick.elapsed.div_f64(times) + delay,
                Pace::Unlimited => self.start,
            };
            self.tick = tick.messages.iter().map(|(d, m)| (due(*d), m.payload())).collect();
        }
        self.tick.front().map(|(due, _)| *due)
    }

    fn take(&mut self) -> Option<Vec<u8>> {
        self.tick.pop_front().map(|(_, payload)| payload)
    }
}

/// What was handed over and is not confirmed.
#[derive(Default)]
struct Book {
    /// In order, with the time of the first sending.
    messages: VecDeque<(u64, Instant, Vec<u8>)>,
    next_number: u64,
    /// Numbers handed to the current connection that have no packet id yet, in order.
    without_id: VecDeque<u64>,
    by_id: HashMap<u16, u64>,
}

impl Book {
    fn add(&mut self, payload: Vec<u8>, now: Instant) {
        self.messages.push_back((self.next_number, now, payload));
        self.without_id.push_back(self.next_number);
        self.next_number += 1;
    }

    fn published(&mut self, id: u16) {
        if let Some(number) = self.without_id.pop_front() {
            self.by_id.insert(id, number);
        }
    }

    /// Takes a confirmed message out; returns when it was first sent.
    fn acknowledged(&mut self, id: u16) -> Option<Instant> {
        let number = self.by_id.remove(&id)?;
        let index = self.messages.iter().position(|(n, ..)| *n == number)?;
        self.messages.remove(index).map(|(_, sent, _)| sent)
    }

    /// Starts over on a new connection; returns what has to be sent again, in order.
    fn reopen(&mut self) -> Vec<Vec<u8>> {
        self.by_id.clear();
        self.without_id = self.messages.iter().map(|(number, ..)| *number).collect();
        self.messages.iter().map(|(.., payload)| payload.clone()).collect()
    }

    fn has_room(&self) -> bool {
        self.messages.len() < usize::from(WINDOW)
    }
}

struct Sender {
    topic: String,
    client_id: String,
    target: MqttTarget,
    statistics: Arc<Statistics>,
    book: Book,
    upcoming: Upcoming,
}

impl Sender {
    async fn run(mut self, shutdown: CancellationToken) {
        let mut retry = FIRST_RETRY;
        loop {
            let mut connection = Connection::open(&self.target, &self.client_id);
            match self.converse(&mut connection, &shutdown).await {
                Conversation::Over => {
                    // The broker notices a connection that just goes away, too.
                    let _ = connection.client.try_disconnect();
                    let _ = tokio::time::timeout(STOP_PATIENCE, async {
                        while connection.reports.recv().await.is_some() {}
                    })
                    .await;
                    return;
                }
                Conversation::Broken { worked } => {
                    if worked {
                        retry = FIRST_RETRY;
                    }
                }
            }
            let pause = retry.mul_f64(rand::rng().random_range(0.5..1.0));
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            retry = (retry * 2).min(LAST_RETRY);
        }
    }

    async fn converse(
        &mut self,
        connection: &mut Connection,
        shutdown: &CancellationToken,
    ) -> Conversation {
        let mut connected = false;
        let mut stop_at: Option<Instant> = None;
        loop {
            let may_send = connected && stop_at.is_none() && self.book.has_room();
            let due = if may_send { self.upcoming.due() } else { None };
            let race_over = may_send && due.is_none();
            if self.book.messages.is_empty() && (race_over || stop_at.is_some()) {
                return Conversation::Over;
            }
            tokio::select! {
                biased;
                () = shutdown.cancelled(), if stop_at.is_none() => {
                    stop_at = Some(Instant::now() + STOP_PATIENCE);
                }
                () = at(stop_at) => return Conversation::Over,
                report = connection.reports.recv() => match report {
                    Some(Report::Connected) => {
                        connected = true;
                        self.statistics.recovered();
                        for payload in self.book.reopen() {
                            self.hand_over(connection, payload);
                            self.statistics.repeated();
                        }
                    }
                    Some(Report::Published(id)) => self.book.published(id),
                    Some(Report::Acknowledged(id)) => {
                        if let Some(sent) = self.book.acknowledged(id) {
                            self.statistics.acknowledged(Some(sent.elapsed()));
                        }
                    }
                    Some(Report::Broken(error)) => {
                        debug!(message = "The connection broke.", %error, topic = self.topic);
                        self.statistics.failed(error.to_string());
                        return Conversation::Broken { worked: connected };
                    }
                    None => return Conversation::Broken { worked: connected },
                },
                () = at(due) => {
                    if let Some(payload) = self.upcoming.take() {
                        self.book.add(payload.clone(), Instant::now());
                        self.statistics.sent();
                        self.hand_over(connection, payload);
                    }
                }
            }
        }
    }

    fn hand_over(&self, connection: &Connection, payload: Vec<u8>) {
        // The channel takes a whole window, so this fails only after the connection broke; then
        // the message is still in the book and goes out on the next one.
        let _ = connection.client.try_publish(&self.topic, QoS::AtLeastOnce, false, payload);
    }
}

enum Conversation {
    /// Everything was sent and confirmed, or the patience for that ended.
    Over,
    /// The connection broke; whether it had been accepted before.
    Broken { worked: bool },
}

/// Waits for a time; without one, for ever.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_confirmed_is_sent_again_in_order() {
        let mut book = Book::default();
        let now = Instant::now();
        for payload in [b"a", b"b", b"c"] {
            book.add(payload.to_vec(), now);
        }
        book.published(1);
        book.published(2);
        assert_eq!(book.acknowledged(2), Some(now));
        assert_eq!(book.acknowledged(2), None, "a second confirmation changes nothing");
        assert_eq!(book.reopen(), [b"a".to_vec(), b"c".to_vec()]);
        book.published(1);
        book.published(2);
        assert!(book.acknowledged(2).is_some());
        assert_eq!(book.reopen(), [b"a".to_vec()]);
    }
}
