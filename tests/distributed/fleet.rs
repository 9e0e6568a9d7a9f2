//! All processes of a pipeline with its servers.

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use millrace_services::Kafka;
use millrace_services::KafkaOptions;
use millrace_services::Postgres;
use millrace_services::PostgresOptions;

use crate::load::Doors;
use crate::load::Load;
use crate::member::Member;
use crate::member::http_address;
use crate::setting;
use crate::support::cluster::Connections;
use crate::support::cluster::provision;
use crate::support::process::get;
use crate::support::process::pause;

/// What names in Kafka begin with.
pub(crate) const PREFIX: &str = "faults.";
pub(crate) const INGESTS: usize = 2;
const WORKERS: usize = 3;
/// Where its tables are; large enough for the longest run.
const DISK_MIB: u32 = 1024;
/// How long it may take until all goes on after a fault: sessions and transactions of the dead have to
/// time out, and brokers to take over, on a machine that does more than this.
const RECOVERY_SECONDS: u64 = 120;
/// Confirmed events after which requests go on.
const ENOUGH: u64 = 50;

/// All processes of a pipeline with its servers.
pub(crate) struct Fleet {
    // The processes end before their servers.
    members: BTreeMap<String, Member>,
    pub(crate) kafka: Kafka,
    pub(crate) postgres: Postgres,
    /// Whether its disk is limited, so that it can be full.
    pub(crate) limited_disk: bool,
    resource: PathBuf,
    connections: Connections,
    doors: Doors,
    ended: Vec<String>,
    // Kept for a look at the outputs if the test fails.
    folder: PathBuf,
}

impl Fleet {
    /// Starts servers, two ingests, three workers and a query.
    pub(crate) fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("millrace-faults-").tempdir().unwrap().keep();
        let resource = folder.join("pipeline.yaml");
        std::fs::write(&resource, include_str!("pipeline.yaml")).unwrap();
        let kafka = KafkaOptions { nodes: 3, quick: true, ..KafkaOptions::default() };
        let kafka = Kafka::start_with(kafka).unwrap();
        let limited = PostgresOptions { disk_mib: Some(DISK_MIB), ..PostgresOptions::default() };
        // Only root has a disk of limited size.
        let (postgres, limited_disk) = Postgres::start_with(&limited)
            .map_or_else(|_| (Postgres::start().unwrap(), false), |postgres| (postgres, true));
        let servers = kafka.bootstrap_servers();
        let connections = Connections::write(&folder, &servers, PREFIX, 3, &postgres.url());
        provision(&resource, &connections);
        let mut members = BTreeMap::new();
        for (role, count) in [("ingest", INGESTS), ("worker", WORKERS), ("query", 1)] {
            for number in 0..count {
                let member = Member::new(role, number, &folder);
                members.insert(member.name.clone(), member);
            }
        }
        let mut fleet = Self {
            members,
            kafka,
            postgres,
            limited_disk,
            resource,
            connections,
            doors: Doors::default(),
            ended: Vec::new(),
            folder,
        };
        fleet.start_all();
        fleet
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Removes the outputs of its processes.
    pub(crate) fn remove_folder(self) {
        let folder = self.folder.clone();
        drop(self);
        std::fs::remove_dir_all(folder).unwrap();
    }

    /// Where events go in.
    pub(crate) fn doors(&self) -> Doors {
        self.doors.clone()
    }

    /// The names of all workers that there are at the moment.
    pub(crate) fn workers(&self) -> Vec<String> {
        self.members.keys().filter(|name| name.starts_with("worker")).cloned().collect()
    }

    pub(crate) fn member(&mut self, name: &str) -> &mut Member {
        self.members.get_mut(name).unwrap()
    }

    /// Starts a process unless it runs.
    pub(crate) fn start_member(&mut self, name: &str) {
        let member = self.members.get_mut(name).unwrap();
        member.start(&self.resource, &self.connections);
        if name.starts_with("ingest") {
            self.doors.set(name, member.output());
        }
    }

    /// Starts all that do not run.
    pub(crate) fn start_all(&mut self) {
        for name in self.members.keys().cloned().collect::<Vec<_>>() {
            self.start_member(&name);
        }
    }

    /// kill -9 of all of them, not of the servers.
    pub(crate) fn kill_all(&mut self) {
        for member in self.members.values_mut() {
            member.kill();
        }
    }

    /// Starts workers or ends them gracefully until there are as many.
    pub(crate) fn scale_workers(&mut self, count: usize) {
        for number in 0..count {
            let member = Member::new("worker", number, &self.folder);
            let name = member.name.clone();
            self.members.entry(name.clone()).or_insert(member);
            self.start_member(&name);
        }
        for name in self.workers().split_off(count) {
            self.member(&name).stop();
            self.members.remove(&name);
        }
    }

    /// The largest resident memory of a role's processes in MiB.
    pub(crate) fn resident_mib(&self, role: &str) -> u64 {
        let members = self.members.values().filter(|member| member.name.starts_with(role));
        members.filter_map(Member::resident_mib).max().unwrap_or_default()
    }

    /// Looks after processes that ended by themselves: they are started again, as a cluster would.
    pub(crate) fn look_after(&mut self) {
        let mut again = Vec::new();
        for (name, member) in &mut self.members {
            if let Some(how) = member.ended() {
                self.ended.push(how);
                again.push(name.clone());
            }
        }
        for name in again {
            self.start_member(&name);
        }
    }

    /// Which processes have ended by themselves, and where their output is.
    pub(crate) fn ended_by_themselves(&mut self) -> Vec<String> {
        self.look_after();
        self.ended.clone()
    }

    /// Waits until events are confirmed again and their table gets later rows.
    pub(crate) fn until_it_goes_on(&mut self, load: &Load, when: &str) {
        self.until_later(load, when, &["SELECT '', max(at) FROM faults.readings"]);
    }

    /// Waits until events are confirmed again and each table gets later rows of every key: no
    /// partition is left behind.
    pub(crate) fn until_all_goes_on(&mut self, load: &Load, when: &str) {
        // The cheapest first.
        let queries = [
            "SELECT sensors, max(ends) FROM faults.group_totals GROUP BY 1",
            "SELECT sensor, max(ends) FROM faults.totals GROUP BY 1",
            "SELECT sensor, max(at) FROM faults.readings GROUP BY 1",
        ];
        self.until_later(load, when, &queries);
    }

    fn until_later(&mut self, load: &Load, when: &str, queries: &[&str]) {
        let recovery = Duration::from_secs(setting("MILLRACE_RECOVERY", RECOVERY_SECONDS));
        let (begun, confirmed) = (Instant::now(), load.confirmed());
        let before: Vec<_> = queries.iter().map(|query| self.latest(query)).collect();
        loop {
            self.look_after();
            let behind = queries.iter().zip(&before).find_map(|(query, before)| {
                let now = self.latest(query);
                let later = |(key, time)| now.get(key).is_some_and(|now| now > time);
                let all = !now.is_empty() && before.iter().all(later);
                (!all).then(|| format!("{query}: {before:?} and then {now:?}"))
            });
            if load.confirmed() >= confirmed + ENOUGH && behind.is_none() {
                return;
            }
            if begun.elapsed() > recovery {
                self.keep_metrics();
            }
            assert!(
                begun.elapsed() < recovery,
                "nothing goes on {when}: confirmed {confirmed} and then {}; {behind:?}; ended: {:?}; \
                 files are in {}",
                load.confirmed(),
                self.ended,
                self.folder.display()
            );
            pause(Duration::from_millis(300));
        }
    }

    /// Keeps what all processes tell of themselves, beside their outputs.
    fn keep_metrics(&self) {
        for member in self.members.values() {
            let metrics = http_address(&member.output())
                .ok_or_else(|| "it has not begun".to_owned())
                .and_then(|address| get(&address, "/metrics").map_err(|error| error.to_string()));
            let text = metrics.map_or_else(|why| why, |(_, metrics)| metrics);
            std::fs::write(member.output().with_extension("metrics.txt"), text).unwrap();
        }
    }

    /// The time of each key's latest row in milliseconds; nothing if the server does not answer.
    fn latest(&self, query: &str) -> BTreeMap<String, i64> {
        let rows = self.postgres.sql(query).unwrap_or_default();
        let rows = rows.lines().filter_map(|row| row.split_once('|'));
        rows.filter_map(|(key, time)| Some((key.to_owned(), time.parse().ok()?))).collect()
    }
}
