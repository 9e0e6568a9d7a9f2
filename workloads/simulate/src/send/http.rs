//! Requests at a rate that does not depend on how fast they are answered.
//!
//! Each request has a time at which it is due, and its latency counts from then: a server that
//! stands still for a second is seen in the latency of every request of that second, also of those
//! that could only be sent afterwards.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rand::Rng as _;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::Statistics;
use crate::requests::DeviceRequest;
use crate::send::HttpAddress;
use crate::send::http_connection::HttpConnection;
use crate::send::tls::PrepareTlsError;
use crate::send::tls::client_tls;

const FIRST_RETRY: Duration = Duration::from_millis(100);
const LAST_RETRY: Duration = Duration::from_secs(5);

/// Who takes the requests.
#[derive(Debug, Clone)]
pub struct HttpTarget {
    /// The server.
    pub address: HttpAddress,
    /// File of certificates (PEM) to trust; none: those of the system.
    pub certificate_authority: Option<PathBuf>,
    /// Value of the header `Authorization`, if the server asks for one.
    pub authorization: Option<String>,
}

/// How requests are sent.
#[derive(Debug, Clone)]
pub struct Load {
    /// Requests a second; none: as fast as they are answered.
    pub rate: Option<f64>,
    /// Connections, at least 1, and so requests at once.
    pub connections: usize,
    /// Ends after so many requests; none: it does not.
    pub requests: Option<u64>,
    /// Ends after this time; none: it does not.
    pub duration: Option<Duration>,
    /// Whether what was not taken (no answer, 408, 429, 503) is sent again, with the same
    /// `Idempotency-Key`, until it is.
    pub retry: bool,
}

/// Sends requests until there are no more, the load ends or `shutdown` is cancelled.
///
/// # Errors
/// When certificates cannot be read.
pub async fn load(
    requests: impl Iterator<Item = DeviceRequest> + Send + 'static,
    target: &HttpTarget,
    load: &Load,
    statistics: &Arc<Statistics>,
    shutdown: &CancellationToken,
) -> Result<(), PrepareTlsError> {
    let tls = if target.address.tls {
        Some(Arc::new(client_tls(target.certificate_authority.as_deref())?))
    } else {
        None
    };
    let schedule = Arc::new(Mutex::new(Schedule {
        requests: Box::new(requests),
        taken: 0,
        start: Instant::now(),
        load: load.clone(),
    }));
    // Keys of two simulations differ, those of one are the same at each attempt.
    let run: u64 = rand::rng().random();
    let mut senders = JoinSet::new();
    for _ in 0..load.connections.max(1) {
        let sender = Sender {
            connection: HttpConnection::new(target.address.clone(), tls.clone()),
            authorization: target.authorization.clone(),
            schedule: Arc::clone(&schedule),
            statistics: Arc::clone(statistics),
            run,
            retry: load.retry,
        };
        senders.spawn(sender.run(shutdown.clone()));
    }
    senders.join_all().await;
    Ok(())
}

/// The requests to come, each with the time at which it is due.
struct Schedule {
    requests: Box<dyn Iterator<Item = DeviceRequest> + Send>,
    taken: u64,
    start: Instant,
    load: Load,
}

impl Schedule {
    /// The next request, its number and the time at which it is due; none at the end.
    fn next(&mut self) -> Option<(u64, Instant, DeviceRequest)> {
        let number = self.taken;
        if self.load.requests.is_some_and(|limit| number >= limit) {
            return None;
        }
        // Counts of requests are far below 2^53.
        #[expect(clippy::cast_precision_loss)]
        let due = match self.load.rate {
            Some(rate) => self.start + Duration::from_secs_f64(number as f64 / rate),
            None => Instant::now(),
        };
        if self.load.duration.is_some_and(|duration| due >= self.start + duration) {
            return None;
        }
        self.taken += 1;
        Some((number, due, self.requests.next()?))
    }
}

struct Sender {
    connection: HttpConnection,
    authorization: Option<String>,
    schedule: Arc<Mutex<Schedule>>,
    statistics: Arc<Statistics>,
    run: u64,
    retry: bool,
}

impl Sender {
    async fn run(mut self, shutdown: CancellationToken) {
        loop {
            let Some((number, due, request)) = self.schedule.lock().next() else { return };
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep_until(due) => {}
            }
            self.statistics.sent();
            tokio::select! {
                biased;
                () = self.send(number, due, &request) => {}
                () = shutdown.cancelled() => return,
            }
        }
    }

    /// Sends a request, again and again if it is to be.
    async fn send(&mut self, number: u64, due: Instant, request: &DeviceRequest) {
        let key = format!("{:016x}-{number}", self.run);
        let authorization = self.authorization.clone();
        let mut more = Vec::new();
        if self.retry {
            more.push(("idempotency-key", key.as_str()));
        }
        if let Some(authorization) = &authorization {
            more.push(("authorization", authorization));
        }
        let mut pause = FIRST_RETRY;
        loop {
            let again = match self.connection.exchange(request, &more).await {
                Ok(answer) => {
                    self.statistics.recovered();
                    if !self.retry || !matches!(answer.status, 408 | 429 | 503) {
                        self.statistics.answered(answer.status, due.elapsed());
                        return;
                    }
                    answer.retry_after.unwrap_or(pause)
                }
                Err(error) => {
                    self.statistics.failed(error.to_string());
                    pause
                }
            };
            if !self.retry {
                return;
            }
            self.statistics.repeated();
            // Senders that failed together do not come again together.
            let jitter = rand::rng().random_range(0.5..1.0);
            tokio::time::sleep(again.mul_f64(jitter)).await;
            pause = (pause * 2).min(LAST_RETRY);
        }
    }
}
