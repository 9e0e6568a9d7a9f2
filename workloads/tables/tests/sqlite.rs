//! The SQLite store: the rules of every store, and what concerns the file.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod conformance;
mod fixtures;

use std::path::Path;

use conformance::rules;
use futures::future::join_all;
use millrace_plan::model::Keep;
use millrace_plan::model::TablePlan;
use millrace_tables::Cell;
use millrace_tables::CommitError;
use millrace_tables::OpenStoreError;
use millrace_tables::SinkPartition;
use millrace_tables::SinkTable;
use millrace_tables::TableSpec;
use millrace_tables::TableStore;
use millrace_tables::export;
use millrace_tables::sqlite::SqliteStore;
use tempfile::TempDir;

async fn empty_store() -> (SqliteStore, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    (store, folder)
}

async fn open(folder: &Path) -> SqliteStore {
    SqliteStore::open(&folder.join("tables.sqlite")).await.unwrap()
}

rules!(empty_store);

#[tokio::test]
async fn what_was_committed_is_there_after_a_restart() {
    let (store, folder) = empty_store().await;
    store.ensure_tables(&[conformance::spec(fixtures::cars(Keep::Latest))]).await.unwrap();
    let (claim, _) = store.claim(&conformance::partition()).await.unwrap();
    store.commit(&claim, "cars", &[conformance::car(1, None, 1, 1)], 0, 3).await.unwrap();
    store.close().await;

    let store = open(folder.path()).await;
    store.ensure_tables(&[conformance::spec(fixtures::cars(Keep::Latest))]).await.unwrap();
    let (claim, next) = store.claim(&conformance::partition()).await.unwrap();
    assert_eq!((claim.epoch, next), (2, 3));
    let content = export(&store, &fixtures::cars(Keep::Latest)).await.unwrap();
    assert_eq!(content.lines().count(), 2);
}

/// The files are copied while the store has them open, as a crash of the machine would leave
/// them: every copy holds a number of whole commits, rows and position together.
#[tokio::test]
async fn files_left_by_a_crash_hold_rows_and_position_of_the_same_commits() {
    let (store, folder) = empty_store().await;
    store.ensure_tables(&[conformance::spec(fixtures::cars(Keep::Latest))]).await.unwrap();
    let (claim, _) = store.claim(&conformance::partition()).await.unwrap();
    for commit in 0..20 {
        let rows: Vec<_> = (0..50).map(|i| conformance::car(commit * 50 + i, None, 1, 1)).collect();
        store.commit(&claim, "cars", &rows, commit * 50, (commit + 1) * 50).await.unwrap();

        let copy = tempfile::tempdir().unwrap();
        for file in ["tables.sqlite", "tables.sqlite-wal"] {
            std::fs::copy(folder.path().join(file), copy.path().join(file)).unwrap();
        }
        // Half of the copies lose the end of the last commit.
        let torn = commit % 2 == 1;
        if torn {
            let wal = copy.path().join("tables.sqlite-wal");
            let length = std::fs::metadata(&wal).unwrap().len();
            std::fs::OpenOptions::new()
                .write(true)
                .open(&wal)
                .unwrap()
                .set_len(length - 1000)
                .unwrap();
        }
        let crashed = open(copy.path()).await;
        crashed.ensure_tables(&[conformance::spec(fixtures::cars(Keep::Latest))]).await.unwrap();
        let (_, next) = crashed.claim(&conformance::partition()).await.unwrap();
        let whole_commits = if torn { commit } else { commit + 1 };
        assert_eq!(next, whole_commits * 50);
        let content = export(&crashed, &fixtures::cars(Keep::Latest)).await.unwrap();
        assert_eq!(i64::try_from(content.lines().count()).unwrap(), 1 + next);
        crashed.close().await;
    }
}

#[tokio::test]
async fn a_file_locked_by_another_program_is_unavailable_and_then_available_again() {
    let (store, folder) = empty_store().await;
    store.ensure_tables(&[conformance::spec(fixtures::cars(Keep::Latest))]).await.unwrap();
    let (claim, _) = store.claim(&conformance::partition()).await.unwrap();
    let file = folder.path().join("tables.sqlite");
    let other = sqlx::SqlitePool::connect(&format!("sqlite://{}", file.display())).await.unwrap();
    let lock = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let refused = store.commit(&claim, "cars", &[], 0, 1).await;
    assert!(
        matches!(&refused, Err(CommitError::Unavailable(reason)) if reason.contains("locked")),
        "{refused:?}"
    );
    lock.rollback().await.unwrap();
    store.commit(&claim, "cars", &[], 0, 1).await.unwrap();
}

#[tokio::test]
async fn a_file_of_a_later_program_is_refused() {
    let (store, folder) = empty_store().await;
    store.close().await;
    let file = folder.path().join("tables.sqlite");
    let other = sqlx::SqlitePool::connect(&format!("sqlite://{}", file.display())).await.unwrap();
    sqlx::raw_sql("PRAGMA user_version = 9").execute(&other).await.unwrap();
    other.close().await;
    let refused = SqliteStore::open(&file).await;
    assert!(matches!(refused, Err(OpenStoreError::Version { found: 9, supported: 2, .. })));
}

#[tokio::test]
async fn a_folder_that_does_not_exist_is_refused_with_the_file() {
    let missing = Path::new("/nonexistent/tables.sqlite");
    let refused = SqliteStore::open(missing).await.map(|_| ()).unwrap_err();
    assert!(
        refused.to_string().starts_with("cannot open the tables in /nonexistent/tables.sqlite")
    );
}

#[tokio::test]
async fn what_was_served_is_served_after_a_restart_though_its_columns_are_no_longer_declared() {
    let (store, folder) = empty_store().await;
    store.ensure_tables(&[conformance::spec(fixtures::cars(Keep::Latest))]).await.unwrap();
    let (claim, _) = store.claim(&conformance::partition()).await.unwrap();
    store.commit(&claim, "cars", &[conformance::car(1, Some("Ada"), 1, 1)], 0, 3).await.unwrap();
    store.close().await;

    let store = open(folder.path()).await;
    let mut plan = fixtures::cars(Keep::Latest);
    plan.columns.remove(1);
    store.ensure_tables(&[TableSpec { generation: 1, plan: plan.clone() }]).await.unwrap();
    let content = export(&store, &plan).await.unwrap();
    assert!(content.contains("[1,\"Ada\",\"1970-01-01T00:00:00.001Z\"]"), "{content}");
}

#[tokio::test]
async fn a_table_that_someone_dropped_is_made_anew_and_others_read_the_switched_one() {
    let (store, folder) = empty_store().await;
    let cars = fixtures::cars(Keep::Latest);
    store.ensure_tables(&[conformance::spec(cars.clone())]).await.unwrap();
    let (claim, _) = store.claim(&conformance::partition()).await.unwrap();
    let file = folder.path().join("tables.sqlite");
    let other = sqlx::SqlitePool::connect(&format!("sqlite://{}", file.display())).await.unwrap();
    sqlx::raw_sql("DROP TABLE cars").execute(&other).await.unwrap();
    let row = conformance::car(1, None, 1, 1);
    let refused = store.commit(&claim, "cars", std::slice::from_ref(&row), 0, 1).await;
    assert!(matches!(refused, Err(CommitError::Unavailable(_))), "{refused:?}");

    // A rebuild beside the table that is gone.
    store.ensure_tables(&[TableSpec { generation: 1, plan: cars.clone() }]).await.unwrap();
    let raised = SinkPartition { generation: 1, ..conformance::partition() };
    let (raised, _) = store.claim(&raised).await.unwrap();
    store.commit(&raised, "cars", &[row], 0, 1).await.unwrap();
    let served = SinkTable { sink: "cars".into(), table: "cars".into(), generation: 1 };
    store.serve(&[served]).await.unwrap();
    let (rows,): (i64,) =
        sqlx::query_as("SELECT count(*) FROM cars").fetch_one(&other).await.unwrap();
    assert_eq!(rows, 1);

    // And a start with the table gone.
    sqlx::raw_sql("DROP TABLE cars").execute(&other).await.unwrap();
    other.close().await;
    store.close().await;
    let store = open(folder.path()).await;
    store.ensure_tables(&[TableSpec { generation: 1, plan: cars.clone() }]).await.unwrap();
    assert_eq!(export(&store, &cars).await.unwrap().lines().count(), 1);
}

/// Callers that wait share a transaction: what one of them does wrong is no one else's matter.
#[tokio::test]
async fn commits_at_the_same_time_succeed_and_fail_each_for_itself() {
    let (store, folder) = empty_store().await;
    let all = TablePlan { name: "all".into(), ..fixtures::cars(Keep::All) };
    let tables = [conformance::spec(fixtures::cars(Keep::Latest)), conformance::spec(all)];
    store.ensure_tables(&tables).await.unwrap();
    let partitions: Vec<_> =
        (0..300).map(|partition| SinkPartition { partition, ..conformance::partition() }).collect();
    let claims = join_all(partitions.iter().map(|partition| store.claim(partition))).await;
    let claims: Vec<_> = claims.into_iter().map(|claimed| claimed.unwrap().0).collect();
    let file = folder.path().join("tables.sqlite");
    let other = sqlx::SqlitePool::connect(&format!("sqlite://{}", file.display())).await.unwrap();
    sqlx::raw_sql("DROP TABLE \"all\"").execute(&other).await.unwrap();
    // The second of every ten was taken over, the third starts elsewhere, the fourth's table is
    // gone, and the fifth's row is refused after its position has moved.
    let taken = partitions.iter().skip(1).step_by(10).map(|partition| store.claim(partition));
    assert!(join_all(taken).await.iter().all(Result::is_ok));
    let rows: Vec<_> = (0..300).map(|number| [conformance::car(number, None, 1, 1)]).collect();
    let mut refused = conformance::car(0, None, 1, 1);
    refused.cells[0] = Cell::Null;
    let refused = [conformance::car(1000, None, 1, 1), refused];
    let commits = claims.iter().zip(&rows).enumerate().map(|(number, (claim, row))| {
        let (table, rows, from) = match number % 10 {
            2 => ("cars", &row[..], 5),
            3 => ("all", &row[..], 0),
            4 => ("cars", &refused[..], 0),
            _ => ("cars", &row[..], 0),
        };
        store.commit(claim, table, rows, from, 7)
    });
    for (number, result) in join_all(commits).await.into_iter().enumerate() {
        let as_it_should = match number % 10 {
            1 => matches!(result, Err(CommitError::Fenced { .. })),
            2 => matches!(result, Err(CommitError::Position { expected: 5, found: 0, .. })),
            3 => matches!(result, Err(CommitError::Unavailable(_))),
            4 => matches!(result, Err(CommitError::Refused(_))),
            _ => matches!(result, Ok(1)),
        };
        assert!(as_it_should, "{number}: {result:?}");
    }
    let content = export(&store, &fixtures::cars(Keep::Latest)).await.unwrap();
    assert_eq!(content.lines().count(), 1 + 180);
    let positions = store.positions("cars", 0).await.unwrap();
    for (_, partition, next) in positions {
        let expected = if matches!(partition % 10, 1..=4) { 0 } else { 7 };
        assert_eq!(next, expected, "{partition}");
    }
}

#[tokio::test]
async fn a_closed_store_refuses_claims_and_commits() {
    let (store, _folder) = empty_store().await;
    store.ensure_tables(&[conformance::spec(fixtures::cars(Keep::Latest))]).await.unwrap();
    let (claim, _) = store.claim(&conformance::partition()).await.unwrap();
    store.close().await;
    assert!(store.claim(&conformance::partition()).await.is_err());
    let refused = store.commit(&claim, "cars", &[], 0, 1).await;
    assert!(matches!(refused, Err(CommitError::Unavailable(_))), "{refused:?}");
}
