//! Rows that the database refuses.

use millrace_core::EventId;
use millrace_plan::model::ColumnType;
use millrace_plan::model::Keep;
use millrace_plan::model::TablePlan;
use millrace_tables::Cell;
use millrace_tables::CommitError;
use millrace_tables::Row;
use millrace_tables::TableStore;

use crate::conformance::car;
use crate::conformance::partition;
use crate::conformance::spec;
use crate::fixtures::cars;
use crate::fixtures::column;
use crate::place::empty_store;
use crate::place::run;

#[tokio::test]
async fn what_the_database_cannot_hold_is_refused_with_the_reason() {
    let (store, _place) = empty_store().await;
    let plan = TablePlan {
        name: "texts".into(),
        columns: vec![
            column("k", ColumnType::Text, false),
            column("t", ColumnType::Timestamp, true),
            column("j", ColumnType::Json, true),
        ],
        primary_key: vec!["k".into()],
        keep: Keep::Latest,
        partitions: None,
    };
    store.ensure_tables(&[spec(plan)]).await.unwrap();
    let (claim, _) = store.claim(&partition()).await.unwrap();
    let long: String = (0..3000_u32).filter_map(|i| char::from_u32(0x4e00 + i * 7)).collect();
    for (cells, reason) in [
        ([Cell::Text("a\0b".into()), Cell::Null, Cell::Null], "invalid byte sequence"),
        ([Cell::Text("k".into()), Cell::Timestamp(i64::MIN), Cell::Null], "out of range"),
        ([Cell::Text("k".into()), Cell::Null, Cell::Json("{".into())], "invalid input syntax"),
        ([Cell::Null, Cell::Null, Cell::Null], "null value in column \"k\""),
        ([Cell::Integer(1), Cell::Null, Cell::Null], "column `k` gets a value of another type"),
        ([Cell::Text(long), Cell::Null, Cell::Null], "index row"),
    ] {
        let row = Row { cells: cells.to_vec(), order: 0, event_id: EventId::from([1; 16]) };
        let refused = store.commit(&claim, "texts", &[row], 0, 1).await;
        assert!(
            matches!(&refused, Err(CommitError::Refused(said)) if said.contains(reason)),
            "{reason}: {refused:?}"
        );
    }
    assert_eq!(store.positions("cars", 0).await.unwrap()[0].2, 0);
}

#[tokio::test]
async fn a_constraint_of_the_tables_owner_refuses_rows_by_its_name() {
    let (store, place) = empty_store().await;
    store.ensure_tables(&[spec(cars(Keep::Latest))]).await.unwrap();
    let (claim, _) = store.claim(&partition()).await.unwrap();
    let mut session = place.session().await;
    run(&mut session, "ALTER TABLE cars ADD CONSTRAINT no_thirteen CHECK (car <> 13)")
        .await
        .unwrap();
    let rows: Vec<Row> = (10..20).map(|number| car(number, None, 1, 1)).collect();
    let refused = store.commit(&claim, "cars", &rows, 0, 10).await;
    assert!(
        matches!(&refused, Err(CommitError::Refused(said)) if said.contains("no_thirteen")),
        "{refused:?}"
    );
    assert_eq!(store.commit(&claim, "cars", &rows[..3], 0, 3).await.unwrap(), 3);
}
