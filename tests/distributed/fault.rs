//! What can happen to a pipeline and its servers.

use std::time::Duration;
use std::time::Instant;

use rand::Rng as _;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;

use crate::fleet::Fleet;
use crate::fleet::INGESTS;
use crate::load::Load;
use crate::support::process::pause;

/// Longer than the session of a member of a group.
const LONGER_THAN_A_SESSION: Duration = Duration::from_secs(14);
/// An ingest may use this much memory while Kafka does not answer.
const BOUND_MIB: u64 = 300;

/// Something that happens, with how long it lasts.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// kill -9 of a process that comes back.
    Kill { name: String, away: Duration },
    /// A graceful end of a process that comes back.
    Restart { name: String, away: Duration },
    /// SIGSTOP and SIGCONT of a process: what it does then, others do already.
    Freeze { name: String, away: Duration },
    /// kill -9 of a broker.
    KillBroker { node: usize, away: Duration },
    /// A graceful end of a broker.
    StopBroker { node: usize, away: Duration },
    /// No broker answers.
    Outage { away: Duration },
    /// kill -9 of Postgres and its sessions.
    KillPostgres { away: Duration },
    /// Postgres keeps its connections and answers nothing.
    FreezePostgres { away: Duration },
    /// Postgres refuses writes.
    ReadOnly { away: Duration },
    /// Postgres has no space left.
    FullDisk { away: Duration },
    /// kill -9 of everything at the same time.
    KillAll { away: Duration },
    /// More and fewer workers.
    Scale { each: Duration },
    /// Events that a table sink cannot take.
    Poison { count: u64 },
}

impl Fault {
    /// Number of kinds of a deck.
    pub(crate) const KINDS: usize = 17;
}

/// Faults in an order that the seed says; each kind comes once before any comes again.
pub(crate) struct Deck {
    random: StdRng,
    left: Vec<usize>,
    outage: Duration,
    kinds: Vec<String>,
}

impl Deck {
    /// Faults whose description contains one of the texts `kinds`, all if there is none.
    pub(crate) fn new(seed: u64, outage: Duration, kinds: Vec<String>) -> Self {
        Self { random: StdRng::seed_from_u64(seed), left: Vec::new(), outage, kinds }
    }

    /// The next fault of the kinds that are wanted.
    pub(crate) fn draw(&mut self, fleet: &Fleet) -> Fault {
        loop {
            let fault = self.draw_any(fleet);
            if self.kinds.is_empty()
                || self.kinds.iter().any(|kind| format!("{fault:?}").contains(kind))
            {
                return fault;
            }
        }
    }

    fn draw_any(&mut self, fleet: &Fleet) -> Fault {
        let kind = self.left.pop().unwrap_or_else(|| {
            self.left = (0..Fault::KINDS).collect();
            self.left.shuffle(&mut self.random);
            self.left.pop().unwrap()
        });
        let random = &mut self.random;
        let away = Duration::from_millis(random.random_range(100..4000));
        let workers = fleet.workers();
        let worker = workers[random.random_range(0..workers.len())].clone();
        let ingest = format!("ingest-{}", random.random_range(0..INGESTS));
        let node = random.random_range(0..fleet.kafka.nodes());
        match kind {
            0 => Fault::Kill { name: ingest, away },
            1 | 2 => Fault::Kill { name: worker, away },
            3 => Fault::Restart { name: ingest, away },
            4 => Fault::Restart { name: worker, away },
            5 => Fault::Freeze { name: ingest, away },
            6 => Fault::Freeze { name: worker, away: away + LONGER_THAN_A_SESSION },
            7 => Fault::KillBroker { node, away },
            8 => Fault::StopBroker { node, away },
            9 => Fault::Outage { away: self.outage },
            10 => Fault::KillPostgres { away },
            11 => Fault::FreezePostgres { away: 2 * away },
            12 => Fault::ReadOnly { away },
            13 if fleet.limited_disk => Fault::FullDisk { away },
            13 | 14 => Fault::Poison { count: random.random_range(1..20) },
            15 => Fault::Scale { each: away },
            _ => Fault::KillAll { away },
        }
    }
}

impl Fleet {
    /// Lets a fault happen and undoes it.
    pub(crate) fn suffer(&mut self, fault: &Fault, load: &Load) {
        match fault {
            Fault::Kill { name, away } => {
                self.member(name).kill();
                pause(*away);
                self.start_member(name);
            }
            Fault::Restart { name, away } => {
                self.member(name).stop();
                pause(*away);
                self.start_member(name);
            }
            Fault::Freeze { name, away } => {
                self.member(name).signal("STOP");
                pause(*away);
                self.member(name).signal("CONT");
            }
            Fault::KillBroker { node, away } => {
                self.kafka.kill(*node);
                pause(*away);
                self.kafka.restart(*node).unwrap();
            }
            Fault::StopBroker { node, away } => {
                self.kafka.stop(*node).unwrap();
                pause(*away);
                self.kafka.restart(*node).unwrap();
            }
            Fault::Outage { away } => self.suffer_outage(*away, load),
            Fault::KillPostgres { away } => {
                self.postgres.kill();
                pause(*away);
                self.postgres.restart().unwrap();
            }
            Fault::FreezePostgres { away } => {
                self.postgres.pause().unwrap();
                pause(*away);
                self.postgres.resume().unwrap();
            }
            Fault::ReadOnly { away } => {
                self.postgres.set_read_only(true).unwrap();
                pause(*away);
                self.postgres.set_read_only(false).unwrap();
            }
            Fault::FullDisk { away } => {
                self.postgres.fill_disk().unwrap();
                pause(*away);
                self.postgres.free_disk().unwrap();
                // It ends itself if it could not write what it must.
                self.postgres.restart().unwrap();
            }
            Fault::KillAll { away } => self.suffer_death_of_all(*away),
            Fault::Scale { each } => {
                for count in [1, 5, 2, 0, 3] {
                    self.scale_workers(count);
                    pause(*each);
                }
            }
            Fault::Poison { count } => load.poison(*count),
        }
    }

    fn suffer_death_of_all(&mut self, away: Duration) {
        self.kill_all();
        for node in 0..self.kafka.nodes() {
            self.kafka.kill(node);
        }
        self.postgres.kill();
        pause(away);
        // The processes begin while their servers do.
        self.start_all();
        self.kafka.restart_all().unwrap();
        self.postgres.restart().unwrap();
    }

    fn suffer_outage(&mut self, away: Duration, load: &Load) {
        let refused = load.refused();
        for node in 0..self.kafka.nodes() {
            self.kafka.pause(node).unwrap();
        }
        let begun = Instant::now();
        let mut most = 0;
        while begun.elapsed() < away {
            most = most.max(self.resident_mib("ingest"));
            self.look_after();
            pause(Duration::from_millis(100));
        }
        for node in 0..self.kafka.nodes() {
            self.kafka.resume(node).unwrap();
        }
        assert!(load.refused() > refused, "clients were not told to come again later");
        assert!(most < BOUND_MIB, "an ingest used {most} MiB while Kafka did not answer");
    }
}
