//! Events by HTTP: to fill a stream in order, or as fast as they are taken.

use std::error::Error;
use std::io::Read as _;
use std::io::Write as _;
use std::net::TcpStream;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use crate::bench::kafka::role::Role;

/// Events of a request.
pub(super) const BATCH: u64 = 1000;

#[derive(Debug, thiserror::Error)]
#[error("a batch was not accepted: {0}")]
struct RefusedError(String);

/// Sends events of these numbers, one request after the other, so that they are stored in this
/// order. Returns the bytes of an event in the middle.
pub(super) fn fill(
    ingest: &Role,
    path: &str,
    events: u64,
    event: impl Fn(u64) -> String,
) -> Result<u64, Box<dyn Error>> {
    let mut stream = TcpStream::connect(ingest.address("url"))?;
    stream.set_nodelay(true)?;
    let mut bytes = 0;
    for batch in 0..events.div_ceil(BATCH) {
        let mut body = String::new();
        for number in batch * BATCH..events.min((batch + 1) * BATCH) {
            let event = event(number);
            bytes += event.len() as u64;
            body.push_str(&event);
            body.push('\n');
        }
        exchange(&mut stream, &request(path, &body))?;
    }
    Ok(bytes / events.max(1))
}

/// What was accepted while it was looked.
pub(super) struct Accepted<T> {
    /// Batches.
    pub(super) batches: u64,
    /// For how long.
    pub(super) seconds: f64,
    /// From the beginning of each request to its answer, in microseconds; warming up included.
    pub(super) micros: Vec<u64>,
    /// What was looked at.
    pub(super) looked: T,
}

/// Sends batches over all of these connections at once, each the same one again and again. After a
/// second of warming up it is looked, by `look`, for so long.
pub(super) fn press<T>(
    ingest: &Role,
    path: &str,
    bodies: &[String],
    time: Duration,
    look: impl FnOnce(Duration) -> Result<T, Box<dyn Error>>,
) -> Result<Accepted<T>, Box<dyn Error>> {
    let (stop, batches) = (AtomicBool::new(false), AtomicU64::new(0));
    let address = ingest.address("url");
    let send = |body: &str| -> Result<Vec<u64>, String> {
        let request = request(path, body);
        let mut stream = TcpStream::connect(address).map_err(|error| error.to_string())?;
        let mut micros = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            let begun = Instant::now();
            exchange(&mut stream, &request).map_err(|error| error.to_string())?;
            micros.push(u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX));
            batches.fetch_add(1, Ordering::Relaxed);
        }
        Ok(micros)
    };
    thread::scope(|scope| {
        let senders: Vec<_> = bodies.iter().map(|body| scope.spawn(|| send(body))).collect();
        thread::sleep(Duration::from_secs(1));
        let (before, begun) = (batches.load(Ordering::Relaxed), Instant::now());
        let looked = look(time);
        let batches = batches.load(Ordering::Relaxed) - before;
        let seconds = begun.elapsed().as_secs_f64();
        stop.store(true, Ordering::Relaxed);
        let mut micros = Vec::new();
        for sender in senders {
            micros.extend(sender.join().map_err(|_| "a sender has failed")??);
        }
        Ok(Accepted { batches, seconds, micros, looked: looked? })
    })
}

fn request(path: &str, body: &str) -> Vec<u8> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-ndjson\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body.as_bytes()].concat()
}

/// Sends a request and reads its answer, which must say that everything was accepted.
fn exchange(stream: &mut TcpStream, request: &[u8]) -> Result<(), Box<dyn Error>> {
    stream.write_all(request)?;
    let answer = answer(stream)?;
    if answer.starts_with("HTTP/1.1 202") { Ok(()) } else { Err(RefusedError(answer).into()) }
}

/// Reads an answer: a head, and `{"accepted":1000}`.
fn answer(stream: &mut TcpStream) -> Result<String, Box<dyn Error>> {
    let mut have = Vec::new();
    let mut part = [0; 4096];
    loop {
        let read = stream.read(&mut part)?;
        have.extend_from_slice(&part[..read]);
        if read == 0 || have.ends_with(b"}") {
            return Ok(String::from_utf8_lossy(&have).into_owned());
        }
    }
}
