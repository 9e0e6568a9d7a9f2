//! Tests of processes that follow the ledger, and of what they ask of the one that leads.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use millrace_log::Log;
use millrace_log::LogView;
use millrace_log::ViewNames;
use millrace_log::embedded::EmbeddedLog;
use millrace_log::embedded::EmbeddedLogOptions;
use millrace_plan::Plan;
use millrace_tables::TableStore;
use millrace_tables::sink::TableSink;
use millrace_tables::sqlite::SqliteStore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::follower::Follower;
use super::ledger::Halt;
use super::requests::RequestRebuildError;
use super::requests::Requests;
use super::serving::Serving;

const RESOURCE: &str = "
apiVersion: millrace.dev/v1alpha1
kind: TelemetryPipeline
metadata: {name: readings}
spec:
  streams: [{name: readings, key: [.id]}]
  ingest:
    - name: readings
      http: {path: /readings, accept: [json]}
      to: readings
  sinks:
    - name: rows
      from: [readings]
      table: {primaryKey: [id], columns: [{name: id, type: text}]}
";

const MORE: &str = "    - name: others
      from: [readings]
      table: {primaryKey: [id], columns: [{name: id, type: text}]}
";

const PATIENCE: Duration = Duration::from_secs(20);

fn plan(resource: &str) -> Plan {
    let pipelines = millrace_api::load(resource, "readings.yaml").unwrap();
    millrace_plan::plan(&pipelines[0]).unwrap()
}

struct Fixture {
    log: Arc<dyn Log>,
    tables: Arc<dyn TableStore>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Fixture {
    async fn new(folder: &Path) -> Self {
        let log = EmbeddedLog::open(EmbeddedLogOptions::new(folder.join("log"))).unwrap();
        let tables = SqliteStore::open(&folder.join("tables.sqlite")).await.unwrap();
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        Self { log, tables: Arc::new(tables), tasks, stop }
    }

    async fn serving(&self, resource: &str) -> Serving {
        let (log, tables) = (Arc::clone(&self.log), Arc::clone(&self.tables));
        Serving::open(plan(resource), log, tables).await.unwrap()
    }

    fn follower(&self, resource: &str) -> Follower {
        let view = Arc::new(LogView::new(Arc::clone(&self.log), ViewNames::default()));
        Follower::start(Arc::new(plan(resource)), view, &self.tasks, &self.stop)
    }
}

async fn until(follower: &Follower, what: &str, seen: impl Fn(&Follower) -> bool) {
    let mut changes = follower.seen();
    let waiting = async {
        while !seen(follower) {
            changes.changed().await.unwrap();
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("in vain: {what}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_waits_until_the_pipeline_is_set_up_and_then_knows_what_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = Fixture::new(folder.path()).await;
    let follower = fixture.follower(RESOURCE);
    assert!(follower.not_ready().unwrap().contains("run `millrace provision`"));
    assert!(follower.target().is_none());
    let _serving = fixture.serving(RESOURCE).await;
    until(&follower, "the ledger", |follower| follower.ledger().is_some()).await;
    assert_eq!(follower.not_ready(), None);
    let target = follower.target().unwrap();
    assert_eq!(target.edition.sink_number("rows"), 0);
    assert!(target.resting.is_empty() && target.halt.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_newer_resource_adds_rests_until_it_is_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = Fixture::new(folder.path()).await;
    let old = fixture.serving(RESOURCE).await;
    let newer = format!("{RESOURCE}{MORE}");
    let follower = fixture.follower(&newer);
    until(&follower, "the ledger", |follower| follower.ledger().is_some()).await;
    let resting = follower.target().unwrap().resting;
    assert_eq!(resting.sinks.iter().map(String::as_str).collect::<Vec<_>>(), ["others"]);
    drop(old);
    let _new = fixture.serving(&newer).await;
    until(&follower, "that it is taken over", |follower| {
        follower.target().is_some_and(|target| target.resting.is_empty())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn followers_see_what_is_to_stand_still_and_that_the_switch_ends_it() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = Fixture::new(folder.path()).await;
    let serving = fixture.serving(RESOURCE).await;
    let follower = fixture.follower(RESOURCE);
    assert!(!serving.rebuild("rows", false).await.unwrap());
    let (edition, _) = serving.pending().await.unwrap();
    let specs: Vec<_> = edition.table_sinks().iter().map(TableSink::spec).collect();
    fixture.tables.ensure_tables(&specs).await.unwrap();
    serving.halt(Some(Halt::Tasks)).await.unwrap();
    until(&follower, "the halt", |follower| {
        follower.target().is_some_and(|target| target.halt == Some(Halt::Tasks))
    })
    .await;
    assert_eq!(follower.target().unwrap().edition.sink_number("rows"), 0);
    assert!(serving.switch(&edition.numbers).await.unwrap());
    until(&follower, "the switch", |follower| {
        let target = follower.target().unwrap();
        target.halt.is_none() && target.edition.sink_number("rows") == 1
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_is_begun_by_who_leads_and_its_outcome_told_to_who_asked() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = Fixture::new(folder.path()).await;
    let serving = Arc::new(fixture.serving(RESOURCE).await);
    let requests = Requests::new(Arc::clone(&fixture.log));
    let (leads, stop) = (Requests::new(Arc::clone(&fixture.log)), fixture.stop.clone());
    let (led, ends) = (Arc::clone(&serving), stop.clone());
    let leading = tokio::spawn(async move { leads.serve(&led, &ends).await });
    assert!(!requests.rebuild("rows", false).await.unwrap());
    assert!(serving.pending().await.is_some());
    assert!(requests.rebuild("rows", false).await.unwrap());
    stop.cancel();
    leading.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_nobody_takes_is_withdrawn() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = Fixture::new(folder.path()).await;
    let serving = fixture.serving(RESOURCE).await;
    let requests = Requests::with_patience(Arc::clone(&fixture.log), Duration::from_millis(600));
    let refused = requests.rebuild("rows", false).await.unwrap_err();
    assert!(matches!(refused, RequestRebuildError::Nobody(_)), "{refused}");
    // Who leads later does not find it.
    requests.answer(&serving).await.unwrap();
    assert!(serving.pending().await.is_none());
}
