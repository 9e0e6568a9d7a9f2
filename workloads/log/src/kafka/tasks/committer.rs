//! The thread that commits: it gathers what waits and makes one transaction of it.
//!
//! A transaction goes in this order: records are produced and confirmed, then offsets are sent
//! under the members' generations, then it is committed. So whoever gets a partition next finds,
//! where its changelog ends, the records of every transaction that was let through before, and
//! waits until these are decided; and what comes later is refused, since the generation is over.

mod admission;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use millrace_core::Offset;
use millrace_core::with_causes;
use rdkafka::consumer::ConsumerGroupMetadata;
use tokio::sync::mpsc;
use tokio::sync::oneshot;

use super::super::client;
use super::super::client::Connection;
use super::super::client::Role;
use super::super::extent::Times;
use super::super::names::Names;
use super::super::settings::KafkaSettings;
use super::claims::Claims;
use super::groups::Groups;
use super::member::Member;
use super::member::Pass;
use super::producer::Failure;
use super::producer::TransactionalProducer;
use super::readers::Readers;
use super::request::Owner;
use super::request::Request;
use super::transaction;
use super::transaction::Witness;
use crate::AppendError;
use crate::CommitTaskError;
use admission::Admission;

/// Most bytes that one transaction gathers; a commit that is larger is alone in its own.
const MAX_BYTES: usize = 8 << 20;
/// Messages that may wait for the thread.
const QUEUE: usize = 1024;
/// How long the next attempt to get a producer waits, at first and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// How often a producer is tried until another one is made, which reads changed credentials.
const MAX_ATTEMPTS: u32 = 3;

/// What the thread is told.
pub(super) enum Message {
    /// To commit.
    Commit(Request),
    /// To say when all that was begun has ended.
    Barrier(oneshot::Sender<()>),
    /// To look again at what waits for a group.
    Look,
    /// To end.
    Close(oneshot::Sender<()>),
}

/// Lets the thread look again.
#[derive(Clone)]
pub(super) struct Waker(mpsc::Sender<Message>);

impl Waker {
    pub(super) fn wake(&self) {
        // Where the queue is full it looks by itself; where the thread has ended nothing waits.
        drop(self.0.try_send(Message::Look));
    }
}

/// What was committed, for metrics.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// Transactions that were committed.
    pub(super) transactions: AtomicU64,
    /// Outputs in them.
    pub(super) outputs: AtomicU64,
    /// How long they took.
    pub(super) microseconds: AtomicU64,
    /// Transactions that were not committed.
    pub(super) failed: AtomicU64,
}

/// What the thread works with.
pub(super) struct Surroundings {
    pub(super) settings: Arc<KafkaSettings>,
    pub(super) names: Names,
    pub(super) transactional_id: String,
    pub(super) groups: Arc<Groups>,
    pub(super) claims: Arc<Claims>,
    pub(super) readers: Arc<Readers>,
    pub(super) counts: Arc<Counts>,
    /// Set when the log is closed: what cannot be finished is given up.
    pub(super) closing: Arc<AtomicBool>,
}

/// Talks to the thread.
#[derive(Clone)]
pub(super) struct CommitterHandle(mpsc::Sender<Message>);

impl CommitterHandle {
    /// A handle of a thread that does not run yet, and what it will get.
    pub(super) fn new() -> (Self, mpsc::Receiver<Message>) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        (Self(sender), receiver)
    }

    pub(super) fn waker(&self) -> Waker {
        Waker(self.0.clone())
    }

    /// Hands a message over and waits for its answer.
    pub(super) async fn ask<T>(
        &self,
        message: impl FnOnce(oneshot::Sender<T>) -> Message,
    ) -> Result<T, AppendError> {
        let (sender, receiver) = oneshot::channel();
        self.0.send(message(sender)).await.map_err(|_| AppendError::Closed)?;
        receiver.await.map_err(|_| AppendError::Closed)
    }
}

/// A group that takes part in a transaction.
pub(super) struct Party {
    member: Option<(Arc<Member>, Pass)>,
    pub(super) metadata: Arc<ConsumerGroupMetadata>,
}

impl Party {
    pub(super) const fn is_member(&self) -> bool {
        self.member.is_some()
    }
}

/// The thread.
pub(super) struct Committer {
    surroundings: Surroundings,
    receiver: mpsc::Receiver<Message>,
    waiting: Vec<Request>,
    producer: Option<TransactionalProducer>,
    /// One that is not ready yet, with how often that was tried.
    unready: Option<(TransactionalProducer, u32)>,
    not_before: Instant,
    pause: Duration,
    trouble: String,
}

impl Committer {
    /// Starts the thread.
    pub(super) fn start(
        surroundings: Surroundings,
        receiver: mpsc::Receiver<Message>,
    ) -> Result<(), std::io::Error> {
        let committer = Self {
            surroundings,
            receiver,
            waiting: Vec::new(),
            producer: None,
            unready: None,
            not_before: Instant::now(),
            pause: PAUSES.0,
            trouble: String::new(),
        };
        thread::Builder::new().name("commits".to_owned()).spawn(move || committer.run()).map(drop)
    }

    fn run(mut self) {
        let mut next = self.receiver.blocking_recv();
        while let Some(message) = next {
            let mut barriers = Vec::new();
            let mut closed = None;
            let mut bytes = 0;
            let mut taken = Some(message);
            while let Some(message) = taken {
                match message {
                    Message::Commit(request) => {
                        bytes += request.contents.bytes;
                        self.waiting.push(request);
                    }
                    Message::Barrier(answer) => barriers.push(answer),
                    Message::Look => {}
                    Message::Close(answer) => {
                        closed = Some(answer);
                        break;
                    }
                }
                taken = if bytes < MAX_BYTES { self.receiver.try_recv().ok() } else { None };
            }
            self.commit_waiting();
            for barrier in barriers {
                // Who asked may have gone.
                let _ = barrier.send(());
            }
            if let Some(answer) = closed {
                self.receiver.close();
                for request in self.waiting.drain(..) {
                    reply(request, Err(AppendError::Closed.into()));
                }
                self.producer = None;
                self.unready = None;
                let _ = answer.send(());
                return;
            }
            next = self.receiver.blocking_recv();
        }
    }

    /// Commits what waits, as far as its groups are not being shared out.
    fn commit_waiting(&mut self) {
        let mut parties = BTreeMap::new();
        let mut admitted = Vec::new();
        for request in std::mem::take(&mut self.waiting) {
            match self.admit(&request, &mut parties) {
                Admission::Commit
                    if request.contents.records() == 0 && request.contents.offsets.is_empty() =>
                {
                    reply(request, Ok(Vec::new()));
                }
                Admission::Commit => admitted.push(request),
                Admission::Wait => self.waiting.push(request),
                Admission::Refuse(error) => reply(request, Err(error)),
            }
        }
        self.refuse_overwritten(&mut admitted, &parties);
        while !admitted.is_empty() {
            admitted = self.transact(admitted, &parties);
        }
        for party in parties.values() {
            if let Some((member, _)) = &party.member {
                member.end_commit();
            }
        }
    }

    /// Commits requests in one transaction and answers them; returns those that are to be
    /// committed in another one.
    fn transact(
        &mut self,
        requests: Vec<Request>,
        parties: &BTreeMap<String, Party>,
    ) -> Vec<Request> {
        let producer = match self.producer() {
            Ok(producer) => producer,
            Err(reason) => {
                give_up(requests, &reason);
                return Vec::new();
            }
        };
        let began = Instant::now();
        let done = transaction::run(producer, &requests, parties);
        let counts = &self.surroundings.counts;
        let took = u64::try_from(began.elapsed().as_micros()).unwrap_or_default();
        counts.microseconds.fetch_add(took, Ordering::Relaxed);
        match done {
            Ok(offsets) => {
                self.succeed(requests, &offsets, parties);
                Vec::new()
            }
            Err(transaction::Failed { failure, stage, witness }) => {
                let so_far = counts.failed.fetch_add(1, Ordering::Relaxed) + 1;
                tracing::info!(message = "A transaction failed.", ?failure, so_far);
                self.fail(requests, parties, failure, stage.as_deref(), witness)
            }
        }
    }

    fn succeed(
        &self,
        requests: Vec<Request>,
        offsets: &[Offset],
        parties: &BTreeMap<String, Party>,
    ) {
        let counts = &self.surroundings.counts;
        let outputs: usize = requests.iter().map(|request| request.contents.outputs.len()).sum();
        counts.transactions.fetch_add(1, Ordering::Relaxed);
        counts.outputs.fetch_add(outputs as u64, Ordering::Relaxed);
        let mut rest = offsets;
        for request in requests {
            let outputs = request.contents.outputs.len().min(rest.len());
            let (outputs, after) = rest.split_at(outputs);
            let changes = request.contents.changes.len().min(after.len());
            let (changes, after) = after.split_at(changes);
            rest = after;
            tell_followers(&request, outputs);
            if let (Owner::Task(claim), Some(last)) = (&request.owner, changes.last()) {
                let party = parties.get(request.owner.stage());
                let pass = party.and_then(|party| party.member.as_ref()).map(|(_, pass)| pass);
                self.surroundings.claims.update(claim, |claim| {
                    // Behind the last record comes the transaction's marker.
                    claim.end = Some(last + 2);
                    if let Some(pass) = pass {
                        claim.rebalances = pass.rebalances;
                    }
                });
            }
            let outputs = outputs.to_vec();
            reply(request, Ok(outputs));
        }
    }

    fn fail(
        &mut self,
        requests: Vec<Request>,
        parties: &BTreeMap<String, Party>,
        failure: Failure,
        stage: Option<&str>,
        witness: Option<Witness>,
    ) -> Vec<Request> {
        for request in &requests {
            if let Owner::Task(claim) = &request.owner {
                // Records that nobody will see lie there now.
                self.surroundings.claims.update(claim, |claim| claim.end = None);
            }
        }
        match failure {
            Failure::Abort(reason) => {
                self.abort();
                give_up(requests, &reason);
                Vec::new()
            }
            Failure::Generation(_) => {
                self.abort();
                let of_group = |request: &Request| Some(request.owner.stage()) == stage;
                let (fenced, rest): (Vec<_>, Vec<_>) = requests.into_iter().partition(of_group);
                self.fence(fenced);
                rest
            }
            Failure::Broken(reason) => {
                self.renew();
                give_up(requests, &reason);
                Vec::new()
            }
            Failure::TakenOver(reason) => {
                tracing::warn!(
                    message = "Another process commits under this one's name. Every process needs a name of its own.",
                    transactional_id = self.surroundings.transactional_id,
                    reason
                );
                self.producer = None;
                self.postpone(reason);
                self.fence(requests);
                Vec::new()
            }
            Failure::Unknown(reason) => {
                self.producer = None;
                match witness.and_then(|witness| self.find_out(&witness)) {
                    Some(offsets) => self.succeed(requests, &offsets, parties),
                    None => give_up(requests, &reason),
                }
                Vec::new()
            }
        }
    }

    /// Finds out whether a transaction was committed; returns the offsets of its records if so.
    /// Where that cannot be found out because the log is closed, its claims end.
    fn find_out(&mut self, witness: &Witness) -> Option<Vec<Offset>> {
        let mut pause = PAUSES.0;
        while !self.surroundings.closing.load(Ordering::Acquire) {
            // A new producer ends what the last one has left open.
            if let Err(reason) = self.producer() {
                tracing::info!(
                    message = "Whether a transaction is committed is not known yet.",
                    reason
                );
            }
            let Witness { topic, partition, offset, .. } = witness;
            match self.surroundings.readers.is_committed(topic, *partition, *offset) {
                Ok(true) => return Some(witness.offsets.clone()),
                Ok(false) => return None,
                Err(error) => {
                    let error = with_causes(&error);
                    tracing::info!(
                        message = "Whether a transaction is committed is not known yet.",
                        error
                    );
                }
            }
            thread::sleep(pause);
            pause = (pause * 2).min(PAUSES.1);
        }
        None
    }

    /// The producer, made if there is none.
    fn producer(&mut self) -> Result<&mut TransactionalProducer, String> {
        if self.producer.is_none() {
            if Instant::now() < self.not_before {
                return Err(self.trouble.clone());
            }
            if let Err(reason) = self.make() {
                self.postpone(reason);
            }
        }
        self.producer.as_mut().ok_or_else(|| self.trouble.clone())
    }

    /// Makes a producer, or goes on to make the last one ready.
    fn make(&mut self) -> Result<(), String> {
        let (producer, attempts) = match self.unready.take() {
            Some(unready) => unready,
            None => (self.create()?, 0),
        };
        match producer.make_ready() {
            Ok(()) => {
                self.pause = PAUSES.0;
                self.producer = Some(producer);
                Ok(())
            }
            Err(error) => {
                let reason = with_causes(&error);
                if error.goes_on && attempts < MAX_ATTEMPTS {
                    self.unready = Some((producer, attempts + 1));
                }
                Err(reason)
            }
        }
    }

    fn create(&self) -> Result<TransactionalProducer, String> {
        let Surroundings { settings, transactional_id, .. } = &self.surroundings;
        let role = Role::Transactions { id: transactional_id };
        let mut config = client::config(settings, role).map_err(|error| with_causes(&error))?;
        // All records of a transaction are handed over at once: there is nothing to wait for.
        config.set("linger.ms", "0");
        TransactionalProducer::new(&config, Connection::new(settings))
            .map_err(|error| with_causes(&error))
    }

    fn postpone(&mut self, trouble: String) {
        self.not_before = Instant::now() + self.pause;
        self.pause = (self.pause * 2).min(PAUSES.1);
        self.trouble = trouble;
    }

    fn abort(&mut self) {
        if let Some(producer) = &self.producer
            && let Err(failure) = producer.abort()
        {
            tracing::info!(message = "A transaction was not aborted.", ?failure);
            self.renew();
        }
    }

    /// A new producer, so that what the last one left open is ended soon.
    fn renew(&mut self) {
        self.producer = None;
        if let Err(reason) = self.producer() {
            tracing::warn!(message = "Commits wait for Kafka.", reason);
        }
    }

    /// Ends the claims of requests: whoever made them has to begin anew.
    fn fence(&self, requests: Vec<Request>) {
        for request in requests {
            if let Owner::Task(claim) = &request.owner {
                self.surroundings.claims.fence(claim);
            }
            let error = request.owner.fenced();
            reply(request, Err(error));
        }
    }
}

fn give_up(requests: Vec<Request>, reason: &str) {
    for request in requests {
        reply(request, Err(unavailable(reason.to_owned())));
    }
}

fn unavailable(reason: String) -> CommitTaskError {
    CommitTaskError::Append(AppendError::Unavailable(reason))
}

fn reply(request: Request, result: Result<Vec<Offset>, CommitTaskError>) {
    // Who waited may have gone.
    let _ = request.answer.send(result);
}

/// Lets those who follow the outputs' partitions see them at once.
fn tell_followers(request: &Request, offsets: &[Offset]) {
    for ((topic, partition, entry), offset) in request.contents.outputs.iter().zip(offsets) {
        if let Some(extent) = topic.partition(*partition) {
            let mut times = Times::default();
            times.see(entry);
            extent.saw(times);
            extent.reaches(offset + 1);
        }
    }
}
