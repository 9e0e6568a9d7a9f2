//! Several processes at one schema.

use futures::future::join_all;
use millrace_plan::model::ColumnType;
use millrace_plan::model::Keep;
use millrace_plan::model::TablePlan;
use millrace_tables::CommitError;
use millrace_tables::SinkPartition;
use millrace_tables::SinkTable;
use millrace_tables::TableSpec;
use millrace_tables::TableStore;
use millrace_tables::export;
use millrace_tables::postgres::ConnectStoreError;
use millrace_tables::postgres::PostgresStore;
use tokio::task::JoinSet;

use crate::conformance::car;
use crate::conformance::partition;
use crate::conformance::spec;
use crate::fixtures::cars;
use crate::fixtures::column;
use crate::place::Place;
use crate::place::ask;
use crate::place::run;
use crate::place::until;

#[tokio::test]
async fn any_number_of_processes_may_start_at_once() {
    let place = Place::shared();
    let started = join_all((0..12).map(async |_| {
        let store = PostgresStore::connect(&place.settings, "cars").await?;
        store.ensure_tables(&[spec(cars(Keep::Latest))]).await.unwrap();
        Ok::<_, ConnectStoreError>(store)
    }))
    .await;
    let stores: Vec<_> = started.into_iter().map(Result::unwrap).collect();
    let claims = join_all(stores.iter().map(async |store| store.claim(&partition()).await)).await;
    let mut epochs: Vec<i64> = claims.into_iter().map(|claim| claim.unwrap().0.epoch).collect();
    epochs.sort_unstable();
    assert_eq!(epochs, (1..=12).collect::<Vec<_>>());
}

#[tokio::test]
async fn of_two_processes_that_claim_a_partition_the_first_can_write_no_more() {
    let place = Place::shared();
    let (first, second) = (place.store().await, place.store().await);
    for store in [&first, &second] {
        store.ensure_tables(&[spec(cars(Keep::Latest))]).await.unwrap();
    }
    let (old, _) = first.claim(&partition()).await.unwrap();
    first.commit(&old, "cars", &[car(1, None, 1, 1)], 0, 1).await.unwrap();
    let (new, next) = second.claim(&partition()).await.unwrap();
    assert_eq!(next, 1);
    let zombie = first.commit(&old, "cars", &[car(2, None, 1, 1)], 1, 2).await;
    assert!(matches!(zombie, Err(CommitError::Fenced { .. })), "{zombie:?}");
    second.commit(&new, "cars", &[car(3, None, 1, 1)], 1, 2).await.unwrap();
    let zombie = first.commit(&old, "cars", &[car(2, None, 1, 1)], 1, 2).await;
    assert!(matches!(zombie, Err(CommitError::Fenced { .. })), "{zombie:?}");
    let content = export(&first, &cars(Keep::Latest)).await.unwrap();
    assert!(!content.contains("[2,") && content.contains("[3,"), "{content}");
}

/// The zombie's statement waits at the position while another process takes it over.
#[tokio::test]
async fn a_commit_that_was_under_way_when_the_partition_was_taken_over_writes_nothing() {
    let place = Place::shared();
    let store = place.store().await;
    store.ensure_tables(&[spec(cars(Keep::Latest))]).await.unwrap();
    let (old, _) = store.claim(&partition()).await.unwrap();
    let mut other = place.session().await;
    let mut watcher = place.session().await;
    run(&mut other, "BEGIN; UPDATE _millrace_positions SET epoch = epoch + 1").await.unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let zombie = store.commit(&old, "cars", &[car(2, None, 1, 1)], 0, 1).await;
        (store, zombie)
    });
    wait_for_a_lock(&place, &mut watcher).await;
    run(&mut other, "COMMIT").await.unwrap();
    let (store, zombie) = tasks.join_next().await.unwrap().unwrap();
    assert!(matches!(zombie, Err(CommitError::Fenced { .. })), "{zombie:?}");
    let content = export(&store, &cars(Keep::Latest)).await.unwrap();
    assert_eq!(content.lines().count(), 1);
}

/// Waits until a store of this schema waits for a lock; returns its process.
async fn wait_for_a_lock(place: &Place, session: &mut sqlx::PgConnection) -> i32 {
    let session = tokio::sync::Mutex::new(session);
    let waiting = format!(
        "SELECT coalesce(max(pid), 0)::text FROM pg_stat_activity \
         WHERE wait_event_type = 'Lock' AND query LIKE '%{}%' AND pid <> pg_backend_pid()",
        place.schema()
    );
    until("a session waits", async || ask(*session.lock().await, &waiting).await != "0").await;
    ask(*session.lock().await, &waiting).await.parse().unwrap()
}

#[tokio::test]
async fn a_session_that_is_killed_within_a_commit_leaves_nothing_and_the_commit_can_be_made_again()
{
    let place = Place::shared();
    let store = place.store().await;
    store.ensure_tables(&[spec(cars(Keep::Latest))]).await.unwrap();
    let (claim, _) = store.claim(&partition()).await.unwrap();
    let mut other = place.session().await;
    let mut watcher = place.session().await;
    // The position has moved when it waits for the row of car 2.
    store.commit(&claim, "cars", &[car(2, None, 1, 1)], 0, 1).await.unwrap();
    run(&mut other, "BEGIN; SELECT FROM cars WHERE car = 2 FOR UPDATE").await.unwrap();
    let rows = [car(1, None, 2, 1), car(2, None, 2, 2)];
    let mut tasks = JoinSet::new();
    let (again, written) = (claim.clone(), rows.clone());
    tasks.spawn(async move {
        let killed = store.commit(&claim, "cars", &written, 1, 3).await;
        (store, killed)
    });
    let process = wait_for_a_lock(&place, &mut watcher).await;
    run(&mut watcher, &format!("SELECT pg_terminate_backend({process})")).await.unwrap();
    let (store, killed) = tasks.join_next().await.unwrap().unwrap();
    assert!(matches!(killed, Err(CommitError::Unavailable(_))), "{killed:?}");
    run(&mut other, "COMMIT").await.unwrap();
    let content = export(&store, &cars(Keep::Latest)).await.unwrap();
    assert_eq!(content.lines().count(), 2, "{content}");
    assert_eq!(store.commit(&again, "cars", &rows, 1, 3).await.unwrap(), 2);
}

#[tokio::test]
async fn a_switch_by_one_process_is_seen_by_all_and_no_zombie_writes_into_the_new_table() {
    let place = Place::shared();
    let (leader, other) = (place.store().await, place.store().await);
    let raised = TablePlan {
        columns: vec![
            column("car", ColumnType::Text, false),
            column("seen", ColumnType::Timestamp, false),
        ],
        ..cars(Keep::Latest)
    };
    let specs = [spec(cars(Keep::Latest)), TableSpec { generation: 1, plan: raised.clone() }];
    for store in [&leader, &other] {
        store.ensure_tables(&specs).await.unwrap();
    }
    let (old, _) = other.claim(&partition()).await.unwrap();
    other.commit(&old, "cars", &[car(1, None, 1, 1)], 0, 1).await.unwrap();
    let new_partition = SinkPartition { generation: 1, ..partition() };
    let (new, _) = other.claim(&new_partition).await.unwrap();
    let row = |name: &str| {
        let mut row = car(0, None, 1, 1);
        row.cells.remove(1);
        row.cells[0] = millrace_tables::Cell::Text(name.into());
        row
    };
    other.commit(&new, "cars", &[row("one")], 0, 1).await.unwrap();
    assert!(export(&other, &cars(Keep::Latest)).await.unwrap().contains("[1,null,"));
    let sink_table = SinkTable { sink: "cars".into(), table: "cars".into(), generation: 1 };
    leader.serve(&[sink_table]).await.unwrap();

    let content = export(&other, &raised).await.unwrap();
    assert_eq!(content, "[\"car\",\"seen\"]\n[\"one\",\"1970-01-01T00:00:00.001Z\"]\n");
    other.commit(&new, "cars", &[row("two")], 1, 2).await.unwrap();
    assert_eq!(export(&leader, &raised).await.unwrap().lines().count(), 3);
    let zombie = other.commit(&old, "cars", &[car(9, None, 1, 1)], 1, 2).await;
    assert!(matches!(zombie, Err(CommitError::Fenced { .. })), "{zombie:?}");
    // Even one that claims anew.
    let (late, next) = other.claim(&partition()).await.unwrap();
    let zombie = other.commit(&late, "cars", &[car(9, None, 1, 1)], next, next + 1).await;
    assert!(matches!(zombie, Err(CommitError::Fenced { .. })), "{zombie:?}");
}

#[tokio::test]
async fn a_switch_waits_for_commits_and_commits_for_a_switch_without_a_deadlock() {
    let place = Place::shared();
    let store = std::sync::Arc::new(place.store().await);
    store.ensure_tables(&[spec(cars(Keep::Latest))]).await.unwrap();
    let mut writers = JoinSet::new();
    for generation in 1..6 {
        let plan = cars(Keep::Latest);
        store.ensure_tables(&[TableSpec { generation, plan }]).await.unwrap();
        let part = SinkPartition { generation, ..partition() };
        let (claim, _) = store.claim(&part).await.unwrap();
        let writer = std::sync::Arc::clone(&store);
        writers.spawn(async move {
            let mut next = 0;
            loop {
                let rows = [car(next, None, next, 1)];
                match writer.commit(&claim, "cars", &rows, next, next + 1).await {
                    Ok(_) => next += 1,
                    Err(error) => return error,
                }
            }
        });
        let sink_table = SinkTable { sink: "cars".into(), table: "cars".into(), generation };
        store.serve(&[sink_table]).await.unwrap();
        let filled = async || export(&*store, &cars(Keep::Latest)).await.unwrap().lines().count();
        until("rows come", async || filled().await > 5).await;
    }
    for _ in 1..5 {
        let stopped = writers.join_next().await.unwrap().unwrap();
        assert!(matches!(stopped, CommitError::Fenced { .. }), "{stopped:?}");
    }
    writers.shutdown().await;
}

#[tokio::test]
async fn a_schema_of_a_later_program_and_a_database_of_another_encoding_are_refused() {
    let place = Place::shared();
    place.store().await.close().await;
    let mut session = place.session().await;
    run(&mut session, "UPDATE _millrace_format SET version = 9").await.unwrap();
    let refused = PostgresStore::connect(&place.settings, "cars").await;
    assert!(matches!(refused, Err(ConnectStoreError::Version { found: 9, supported: 1, .. })));

    let database = format!("ascii_{}", uuid::Uuid::now_v7().simple());
    let create =
        format!("CREATE DATABASE {database} ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0");
    run(&mut session, &create).await.unwrap();
    let mut settings = place.settings.clone();
    settings.database.clone_from(&database);
    let refused = PostgresStore::connect(&settings, "cars").await;
    assert!(matches!(refused, Err(ConnectStoreError::Encoding { .. })));
    run(&mut session, &format!("DROP DATABASE {database} WITH (FORCE)")).await.unwrap();
}

#[tokio::test]
async fn a_table_that_someone_dropped_is_made_anew() {
    let place = Place::shared();
    let store = place.store().await;
    store.ensure_tables(&[spec(cars(Keep::Latest))]).await.unwrap();
    let (claim, _) = store.claim(&partition()).await.unwrap();
    let mut session = place.session().await;
    run(&mut session, "DROP TABLE cars").await.unwrap();
    let gone = store.commit(&claim, "cars", &[car(1, None, 1, 1)], 0, 1).await;
    assert!(matches!(gone, Err(CommitError::Unavailable(_))), "{gone:?}");
    store.ensure_tables(&[spec(cars(Keep::Latest))]).await.unwrap();
    store.commit(&claim, "cars", &[car(1, None, 1, 1)], 0, 1).await.unwrap();
    assert_eq!(ask(&mut session, "SELECT count(*)::text FROM cars").await, "1");
}

#[tokio::test]
async fn what_was_committed_is_there_after_a_restart_and_columns_are_as_they_were() {
    let place = Place::shared();
    let store = place.store().await;
    store.ensure_tables(&[spec(cars(Keep::Latest))]).await.unwrap();
    let (claim, _) = store.claim(&partition()).await.unwrap();
    store.commit(&claim, "cars", &[car(1, Some("Ada"), 1, 1)], 0, 3).await.unwrap();
    store.close().await;
    let late = store.commit(&claim, "cars", &[], 3, 4).await;
    assert!(matches!(late, Err(CommitError::Unavailable(_))), "{late:?}");

    let store = place.store().await;
    let mut plan = cars(Keep::Latest);
    plan.columns.remove(1);
    store.ensure_tables(&[TableSpec { generation: 1, plan: plan.clone() }]).await.unwrap();
    let content = export(&store, &plan).await.unwrap();
    assert!(content.contains("[1,\"Ada\",\"1970-01-01T00:00:00.001Z\"]"), "{content}");
    let (claim, next) = store.claim(&partition()).await.unwrap();
    assert_eq!((claim.epoch, next), (2, 3));
}
