//! What must be in topics and tables after events were confirmed.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;
use std::time::Instant;

use crate::event::Event;
use crate::fleet::Fleet;
use crate::load::SENSORS;
use crate::load::Sent;
use crate::support::process::pause;
use crate::topics;

/// The length of all windows.
const WINDOW_MILLISECONDS: i64 = 5000;
/// How long all that was held back may take to be computed and written.
const DRAIN: Duration = Duration::from_mins(5);
/// How many of many mistakes are told.
const TOLD: usize = 10;

/// What was found.
pub(crate) struct Judgement {
    pub(crate) wrong: Vec<String>,
    rows: usize,
    late: usize,
    poisonous: usize,
}

impl Judgement {
    pub(crate) fn told(&self) -> String {
        let Self { wrong, rows, late, poisonous } = self;
        format!(
            "{rows} rows of events; {late} late events and {poisonous} poisonous ones are dead letters; \
             {} mistakes",
            wrong.len()
        )
    }

    fn note(&mut self, mistake: String) {
        self.wrong.push(mistake);
    }

    /// Notes how one set differs from what it must be.
    fn compare<T: Ord + std::fmt::Debug>(
        &mut self,
        what: &str,
        expected: &BTreeSet<T>,
        found: &BTreeSet<T>,
    ) {
        let missing: Vec<_> = expected.difference(found).collect();
        let unexpected: Vec<_> = found.difference(expected).collect();
        for (how, list) in [("missing", missing), ("unexpected", unexpected)] {
            if !list.is_empty() {
                let few: Vec<_> = list.iter().take(TOLD).collect();
                self.note(format!("{what}: {} {how}, such as {few:?}", list.len()));
            }
        }
    }
}

/// Lets everything be computed and written, and compares it with what was sent.
pub(crate) fn judge(fleet: &mut Fleet, sent: &mut Sent) -> Judgement {
    // The second ones release the first, and these close the windows of all before them.
    let last = sent.last.send(Duration::from_mins(1));
    sent.last.send(Duration::from_mins(2));
    until_written(fleet, &last);

    let mut judgement = Judgement { wrong: Vec::new(), rows: 0, late: 0, poisonous: 0 };
    let refused = dead_letters(fleet, &mut judgement);
    let of_stage = |stage: &str| refused.get(stage).cloned().unwrap_or_default();
    let (late, untaken) = (of_stage("stream/readings"), of_stage("sink/readings"));
    let (known, unknown): (BTreeMap<_, _>, BTreeMap<_, _>) = refused
        .into_iter()
        .partition(|(stage, _)| ["stream/readings", "sink/readings"].contains(&&**stage));
    judgement.late = known.get("stream/readings").map_or(0, BTreeSet::len);
    judgement.compare("stages that refuse", &BTreeSet::new(), &unknown.into_keys().collect());

    let all: Vec<Event> = sent.events.iter().chain(&last).copied().collect();
    let poisonous: BTreeSet<_> = all.iter().filter(|event| event.poison).map(Event::id).collect();
    // What is late is in the stream, and in a table of the stream itself.
    let in_time: Vec<Event> =
        all.iter().filter(|event| !late.contains(&event.id())).copied().collect();
    judgement.poisonous = poisonous.len();
    judgement.compare("dead letters of the table", &poisonous, &untaken);

    judge_rows(fleet, &all, last[0].at, &mut judgement);
    judge_totals(fleet, &in_time, last[0].at, &mut judgement);
    judge_passed(fleet, &in_time, &mut judgement);
    judgement
}

/// Waits until the last events that are released are in all tables.
fn until_written(fleet: &mut Fleet, last: &[Event]) {
    let (at, ends) = (last[0].at, end_of_window(last[0].at));
    let groups = last.iter().map(Event::group).collect::<BTreeSet<_>>().len();
    let wanted = [
        (format!("faults.readings WHERE at = {at}"), SENSORS),
        (format!("faults.totals WHERE ends = {ends}"), SENSORS),
        (format!("faults.group_totals WHERE ends = {ends}"), groups),
    ];
    let begun = Instant::now();
    loop {
        fleet.look_after();
        let told = wanted.each_ref().map(|(rows, count)| {
            let found = fleet.postgres.sql(&format!("SELECT count(*) FROM {rows}"));
            (found.unwrap_or_else(|error| error.to_string()), *count)
        });
        if told.iter().all(|(found, count)| *found == count.to_string()) {
            return;
        }
        assert!(
            begun.elapsed() < DRAIN,
            "what was held back is not written: {told:?}; files are in {}",
            fleet.folder().display()
        );
        pause(Duration::from_millis(200));
    }
}

/// The ids of dead letters by the stage that refused them.
fn dead_letters(fleet: &Fleet, judgement: &mut Judgement) -> BTreeMap<String, BTreeSet<String>> {
    let mut refused: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for found in topics::read(fleet, "dead-letters") {
        let id = found.value["id"].as_str().unwrap().to_owned();
        let (_, rest) = found.headers.split_once("deadLetterStage:").unwrap();
        let stage = rest.split(',').next().unwrap_or(rest).to_owned();
        if !refused.entry(stage.clone()).or_default().insert(id.clone()) {
            judgement.note(format!("{id} is a dead letter of {stage} twice"));
        }
    }
    refused
}

fn judge_rows(fleet: &Fleet, events: &[Event], last: i64, judgement: &mut Judgement) {
    let expected: BTreeSet<_> = events
        .iter()
        .filter(|event| !event.poison)
        .map(|event| {
            let Event { sensor, n, at, value, .. } = event;
            format!("s{sensor}|{}|{n}|{at}|{value}", event.id())
        })
        .collect();
    let rows = rows(
        fleet,
        &format!("SELECT sensor, id, n, at, value FROM faults.readings WHERE at <= {last}"),
    );
    judgement.rows = rows.len();
    judgement.compare("table readings", &expected, &rows);
}

fn judge_totals(fleet: &Fleet, in_time: &[Event], last: i64, judgement: &mut Judgement) {
    let mut totals: BTreeMap<(usize, i64), (u64, i64, u64)> = BTreeMap::new();
    let mut groups: BTreeMap<(usize, i64), (u64, i64)> = BTreeMap::new();
    for event in in_time {
        let ends = end_of_window(event.at);
        let total = totals.entry((event.sensor, ends)).or_default();
        *total = (total.0 + 1, total.1 + event.value, total.2.max(event.n));
        let group = groups.entry((event.group(), ends)).or_default();
        *group = (group.0 + 1, group.1 + event.value);
    }
    let ends = end_of_window(last);
    let expected = totals
        .iter()
        .map(|((sensor, ends), (count, sum, n))| format!("s{sensor}|{ends}|{count}|{sum}|{n}"));
    let query = format!(
        "SELECT sensor, ends, count, sum::bigint, last::bigint FROM faults.totals WHERE ends <= {ends}"
    );
    judgement.compare("table totals", &expected.collect(), &rows(fleet, &query));
    let expected =
        groups.iter().map(|((group, ends), (count, sum))| format!("g{group}|{ends}|{count}|{sum}"));
    let query = format!(
        "SELECT sensors, ends, count, sum::bigint FROM faults.group_totals WHERE ends <= {ends}"
    );
    judgement.compare("table group_totals", &expected.collect(), &rows(fleet, &query));

    // A table has one row of a key whatever is written; the stream that it is made of tells.
    for (stream, by, count) in
        [("totals", "sensor", totals.len()), ("groupTotals", "group", groups.len())]
    {
        let mut seen = BTreeSet::new();
        for found in topics::read(fleet, stream) {
            let key = format!("{} at {}", found.value[by], found.value["timestamp"]);
            if !seen.insert(key.clone()) {
                judgement.note(format!("stream {stream} has {key} twice"));
            }
        }
        if seen.len() != count {
            judgement.note(format!("stream {stream} has {} results, not {count}", seen.len()));
        }
    }
}

/// Each event passed once, those of a sensor in their order.
fn judge_passed(fleet: &Fleet, in_time: &[Event], judgement: &mut Judgement) {
    let mut found = BTreeSet::new();
    let mut latest: BTreeMap<String, u64> = BTreeMap::new();
    for record in topics::read(fleet, "passed") {
        let id = record.value["id"].as_str().unwrap().to_owned();
        let n = record.value["n"].as_u64().unwrap();
        let sensor = record.value["sensor"].as_str().unwrap().to_owned();
        if let Some(before) = latest.insert(sensor, n)
            && before >= n
        {
            judgement.note(format!("stream passed has {id} after number {before} of its sensor"));
        }
        if !found.insert(id.clone()) {
            judgement.note(format!("stream passed has {id} twice"));
        }
    }
    judgement.compare("stream passed", &in_time.iter().map(Event::id).collect(), &found);
}

fn rows(fleet: &Fleet, query: &str) -> BTreeSet<String> {
    fleet.postgres.sql(query).unwrap().lines().map(str::to_owned).collect()
}

fn end_of_window(at: i64) -> i64 {
    (at.div_euclid(WINDOW_MILLISECONDS) + 1) * WINDOW_MILLISECONDS
}
