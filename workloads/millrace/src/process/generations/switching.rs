//! Tests of the change of what is served.

use std::path::Path;
use std::sync::Arc;

use millrace_log::Log;
use millrace_log::embedded::EmbeddedLog;
use millrace_log::embedded::EmbeddedLogOptions;
use millrace_plan::Plan;
use millrace_tables::TableStore;
use millrace_tables::sink::TableSink;
use millrace_tables::sqlite::SqliteStore;

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
    - name: others
      from: [readings]
      table: {primaryKey: [id], columns: [{name: id, type: text}]}
";

async fn open(folder: &Path) -> (Plan, Arc<dyn TableStore>, Serving) {
    let pipelines = millrace_api::load(RESOURCE, "readings.yaml").unwrap();
    let plan = millrace_plan::plan(&pipelines[0]).unwrap();
    let log = EmbeddedLog::open(EmbeddedLogOptions::new(folder.join("log"))).unwrap();
    let tables: Arc<dyn TableStore> =
        Arc::new(SqliteStore::open(&folder.join("tables.sqlite")).await.unwrap());
    let log: Arc<dyn Log> = log;
    let serving = Serving::open(plan.clone(), log, Arc::clone(&tables)).await.unwrap();
    (plan, tables, serving)
}

async fn command(serving: &Serving, plan: &Plan, name: &str) {
    let raise = |commanded: &mut super::ledger::Commanded| assert!(commanded.raise(plan, name));
    serving.command(raise, false).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_filled_is_served_and_not_what_was_asked_for_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let (plan, _tables, serving) = open(folder.path()).await;
    command(&serving, &plan, "rows").await;
    let (filled, _) = serving.pending().await.unwrap();
    command(&serving, &plan, "others").await;
    assert!(!serving.switch(&filled.numbers).await.unwrap());
    let served = serving.served().await;
    assert_eq!((served.sink_number("rows"), served.sink_number("others")), (0, 0));
    assert!(serving.pending().await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_switch_that_broke_off_behind_the_ledger_is_finished_by_the_next_attempt() {
    let folder = tempfile::tempdir().unwrap();
    let (plan, tables, serving) = open(folder.path()).await;
    command(&serving, &plan, "rows").await;
    let (edition, _) = serving.pending().await.unwrap();
    // The table that is to be served is not there yet.
    serving.switch(&edition.numbers).await.unwrap_err();
    assert_eq!(tables.served("rows").await.unwrap(), Some(0));
    let specs: Vec<_> = edition.table_sinks().iter().map(TableSink::spec).collect();
    tables.ensure_tables(&specs).await.unwrap();
    assert!(serving.switch(&edition.numbers).await.unwrap());
    assert_eq!(tables.served("rows").await.unwrap(), Some(1));
    assert_eq!(serving.served().await.sink_number("rows"), 1);
}
