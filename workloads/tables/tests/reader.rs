//! Ad-hoc queries beside a store that is open for writing.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

#[allow(dead_code, unused_imports, unused_macros, reason = "other tests use more of them")]
mod conformance;
mod fixtures;

use std::path::Path;
use std::time::Duration;

use conformance::car;
use millrace_plan::model::Keep;
use millrace_tables::TableStore;
use millrace_tables::sqlite::QueryAnswer;
use millrace_tables::sqlite::QueryError;
use millrace_tables::sqlite::SqliteReader;
use millrace_tables::sqlite::SqliteStore;
use serde_json::json;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(30);

async fn filled() -> (SqliteStore, SqliteReader, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tables.sqlite");
    let store = SqliteStore::open(&file).await.unwrap();
    store.ensure_tables(&[conformance::spec(fixtures::cars(Keep::Latest))]).await.unwrap();
    let (claim, _) = store.claim(&conformance::partition()).await.unwrap();
    let rows = [car(1, Some("Ada"), 1, 1), car(2, None, 2, 2), car(3, Some("Bob"), 3, 3)];
    store.commit(&claim, "cars", &rows, 0, 3).await.unwrap();
    let reader = SqliteReader::open(&file).await.unwrap();
    (store, reader, folder)
}

#[tokio::test]
async fn values_are_shown_as_their_columns_types_say() {
    let (_store, mut reader, _folder) = filled().await;
    let statement = "SELECT car, driver, seen AS at, car * 1.5 AS x FROM cars ORDER BY car DESC";
    assert_eq!(
        reader.query(statement, 2, PATIENCE).await.unwrap(),
        QueryAnswer {
            columns: ["car", "driver", "at", "x"].map(str::to_owned).to_vec(),
            rows: vec![
                vec![json!(3), json!("Bob"), json!("1970-01-01T00:00:00.003Z"), json!(4.5)],
                vec![json!(2), json!(null), json!("1970-01-01T00:00:00.002Z"), json!(3.0)],
            ],
            is_cut: true,
        }
    );
    let tables = reader.tables().await.unwrap();
    assert_eq!((tables.len(), &*tables[0].name, tables[0].rows), (1, "cars", 3));
    assert_eq!(tables[0].columns[2], ("seen".to_owned(), "timestamp".to_owned()));
}

#[tokio::test]
async fn nothing_is_written_and_a_wrong_statement_says_why() {
    let (_store, mut reader, _folder) = filled().await;
    let mut error = async |statement: &str| {
        reader.query(statement, 10, PATIENCE).await.unwrap_err().to_string()
    };
    assert_eq!(
        error("WITH a AS (SELECT 1) DELETE FROM cars").await,
        "the tables can be read here and not written: the pipeline alone writes them"
    );
    assert_eq!(
        error("DELETE FROM cars").await,
        "`DELETE` is refused: the tables can be read here (SELECT, WITH, VALUES, EXPLAIN), and the pipeline alone writes them"
    );
    assert_eq!(error("SELECT * FROM cats").await, "the database says: no such table: cats");
    let rows = reader.query("SELECT count(*) FROM cars", 10, PATIENCE).await.unwrap().rows;
    assert_eq!(rows, [[json!(3)]]);
}

#[tokio::test]
async fn a_query_without_an_end_is_stopped() {
    let (_store, mut reader, _folder) = filled().await;
    let endless =
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
    let limit = Duration::from_millis(50);
    assert!(matches!(
        reader.query(endless, 10, limit).await,
        Err(QueryError::Timeout(stopped)) if stopped == limit
    ));
    assert_eq!(reader.query("SELECT 1", 10, PATIENCE).await.unwrap().rows, [[json!(1)]]);
}

#[tokio::test]
async fn a_file_that_is_not_there_is_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tables.sqlite");
    assert!(SqliteReader::open(&file).await.is_err());
    assert!(!Path::new(&file).exists());
}
