//! Tables that are divided by time and forget rows by their age: what is in them is the same in
//! every store.

use std::time::Duration;

use millrace_core::EventId;
use millrace_plan::model::Keep;
use millrace_plan::model::TablePartitions;
use millrace_plan::model::TablePlan;
use millrace_tables::Cell;
use millrace_tables::CommitError;
use millrace_tables::LookUp;
use millrace_tables::Row;
use millrace_tables::SinkPartition;
use millrace_tables::SinkTable;
use millrace_tables::TableSpec;
use millrace_tables::TableStore;
use millrace_tables::TimeRange;
use millrace_tables::export;

use super::car;
use super::partition;
use super::spec;
use crate::fixtures::cars;

/// Noon of this day of January 2026, in microseconds.
pub(crate) const fn noon(day: i64) -> i64 {
    1_767_225_600_000_000 + ((day - 1) * 24 + 12) * 3_600_000_000
}

/// From midnight to noon, in microseconds.
const MORNING: i64 = 43_200_000_000;

/// `cars` by car and day, a partition for each day, with two days kept.
pub(crate) fn divided(keep: Keep) -> TablePlan {
    TablePlan {
        primary_key: vec!["car".into(), "seen".into()],
        partitions: Some(TablePartitions {
            by: "seen".into(),
            every: Duration::from_hours(24),
            retention: Some(Duration::from_hours(48)),
        }),
        ..cars(keep)
    }
}

/// A row of a car that was seen at this time, in microseconds.
pub(crate) fn seen(car_number: i64, micros: i64) -> Row {
    let mut row = car(car_number, None, micros / 1000, 1);
    row.cells[2] = Cell::Timestamp(micros);
    row
}

async fn fill(store: &dyn TableStore, plan: &TablePlan, rows: &[Row]) {
    store.ensure_tables(&[spec(plan.clone())]).await.unwrap();
    let (claim, next) = store.claim(&partition()).await.unwrap();
    store.commit(&claim, "cars", rows, next, next + 1).await.unwrap();
}

pub(crate) async fn rows_of_any_time_are_in_a_divided_table(store: &dyn TableStore) {
    let rows = [
        seen(1, noon(10)),
        seen(2, noon(12)),
        seen(3, 0),
        seen(4, noon(376_000)),
        seen(5, -62_135_596_800_000_000),
    ];
    let plan = divided(Keep::Latest);
    fill(store, &plan, &rows).await;
    assert_eq!(
        export(store, &plan).await.unwrap(),
        "[\"car\",\"driver\",\"seen\"]\n\
         [1,null,\"2026-01-10T12:00:00Z\"]\n\
         [2,null,\"2026-01-12T12:00:00Z\"]\n\
         [3,null,\"1970-01-01T00:00:00Z\"]\n\
         [4,null,\"3055-06-15T12:00:00Z\"]\n\
         [5,null,\"0001-01-01T00:00:00Z\"]\n"
    );
}

pub(crate) async fn a_divided_table_keeps_the_latest_of_a_key_and_knows_repetitions(
    store: &dyn TableStore,
) {
    let plan = divided(Keep::Latest);
    store.ensure_tables(&[spec(plan.clone())]).await.unwrap();
    let (claim, _) = store.claim(&partition()).await.unwrap();
    let row = |driver: &str, order, id| Row {
        cells: vec![Cell::Integer(1), Cell::Text(driver.into()), Cell::Timestamp(noon(10))],
        order,
        event_id: EventId::from([id; 16]),
    };
    let commit = async |rows: &[Row], from| {
        store.commit(&claim, "cars", rows, from, from + 1).await.unwrap()
    };
    assert_eq!(commit(&[row("first", 10, 1)], 0).await, 1);
    assert_eq!(commit(&[row("later", 12, 1)], 1).await, 1);
    assert_eq!(commit(&[row("earlier", 11, 9), row("later", 12, 1)], 2).await, 0);
    assert_eq!(
        export(store, &plan).await.unwrap(),
        "[\"car\",\"driver\",\"seen\"]\n[1,\"later\",\"2026-01-10T12:00:00Z\"]\n"
    );
}

pub(crate) async fn a_zombie_writes_nothing_into_a_divided_table(store: &dyn TableStore) {
    let plan = divided(Keep::Latest);
    store.ensure_tables(&[spec(plan.clone())]).await.unwrap();
    let (old, _) = store.claim(&partition()).await.unwrap();
    let (new, _) = store.claim(&partition()).await.unwrap();
    let zombie = store.commit(&old, "cars", &[seen(1, noon(10))], 0, 1).await;
    assert!(matches!(zombie, Err(CommitError::Fenced { .. })), "{zombie:?}");
    store.commit(&new, "cars", &[seen(2, noon(10))], 0, 1).await.unwrap();
    let zombie = store.commit(&old, "cars", &[seen(1, noon(10))], 1, 2).await;
    assert!(matches!(zombie, Err(CommitError::Fenced { .. })), "{zombie:?}");
    assert_eq!(export(store, &plan).await.unwrap().lines().count(), 2);
}

pub(crate) async fn a_row_without_the_time_that_divides_is_refused(store: &dyn TableStore) {
    let plan = divided(Keep::Latest);
    store.ensure_tables(&[spec(plan.clone())]).await.unwrap();
    let (claim, _) = store.claim(&partition()).await.unwrap();
    for wrong in [Cell::Null, Cell::Text("noon".into())] {
        let mut row = seen(1, noon(10));
        row.cells[2] = wrong;
        let refused = store.commit(&claim, "cars", &[row], 0, 1).await;
        assert!(matches!(refused, Err(CommitError::Refused(_))), "{refused:?}");
    }
    assert_eq!(export(store, &plan).await.unwrap().lines().count(), 1);
}

pub(crate) async fn rows_whose_period_ended_before_the_retention_are_removed(
    store: &dyn TableStore,
) {
    let plan = divided(Keep::Latest);
    let rows = [
        seen(1, 0),
        seen(2, noon(7)),
        seen(3, noon(8) - MORNING - 1),
        seen(4, noon(8) - MORNING),
        seen(5, noon(9)),
        seen(6, noon(376_000)),
    ];
    fill(store, &plan, &rows).await;
    // 48 hours before the end of the 9th, the 7th has not ended yet.
    let end_of_ninth = noon(10) - MORNING - 1;
    store.clean(&spec(plan.clone()), end_of_ninth).await.unwrap();
    let left = export(store, &plan).await.unwrap();
    assert_eq!(
        left,
        "[\"car\",\"driver\",\"seen\"]\n\
         [2,null,\"2026-01-07T12:00:00Z\"]\n\
         [3,null,\"2026-01-07T23:59:59.999999Z\"]\n\
         [4,null,\"2026-01-08T00:00:00Z\"]\n\
         [5,null,\"2026-01-09T12:00:00Z\"]\n\
         [6,null,\"3055-06-15T12:00:00Z\"]\n"
    );
    for _ in 0..2 {
        store.clean(&spec(plan.clone()), end_of_ninth + 1).await.unwrap();
        let left = export(store, &plan).await.unwrap();
        assert_eq!(
            left,
            "[\"car\",\"driver\",\"seen\"]\n\
             [4,null,\"2026-01-08T00:00:00Z\"]\n\
             [5,null,\"2026-01-09T12:00:00Z\"]\n\
             [6,null,\"3055-06-15T12:00:00Z\"]\n"
        );
    }
    // Positions are where they were, and the table takes rows as before.
    assert_eq!(store.positions("cars", 0).await.unwrap()[0].2, 1);
    fill(store, &plan, &[seen(7, noon(7)), seen(8, noon(10))]).await;
    assert_eq!(export(store, &plan).await.unwrap().lines().count(), 6);
}

pub(crate) async fn without_retention_nothing_is_removed(store: &dyn TableStore) {
    let mut plan = divided(Keep::Latest);
    if let Some(partitions) = &mut plan.partitions {
        partitions.retention = None;
    }
    fill(store, &plan, &[seen(1, 0), seen(2, noon(1))]).await;
    let cleaned = store.clean(&spec(plan.clone()), noon(400)).await.unwrap();
    assert_eq!((cleaned.rows, cleaned.partitions), (0, 0));
    assert_eq!(export(store, &plan).await.unwrap().lines().count(), 3);
    // A table that is not divided is left alone, too.
    let whole = TablePlan { name: "whole".into(), ..cars(Keep::Latest) };
    store.ensure_tables(&[spec(whole.clone())]).await.unwrap();
    store.clean(&spec(whole), noon(400)).await.unwrap();
}

pub(crate) async fn many_rows_are_removed_at_once(store: &dyn TableStore) {
    let plan = divided(Keep::Latest);
    let rows: Vec<Row> = (0..12_000).map(|number| seen(number, number * 1000)).collect();
    fill(store, &plan, &rows).await;
    fill(store, &plan, &[seen(1, noon(10))]).await;
    let cleaned = store.clean(&spec(plan.clone()), noon(10)).await.unwrap();
    // In Postgres they lay in the partition for the rest, since 1970 is far off.
    assert_eq!(cleaned.rows, 12_000);
    assert_eq!(
        export(store, &plan).await.unwrap(),
        "[\"car\",\"driver\",\"seen\"]\n[1,null,\"2026-01-10T12:00:00Z\"]\n"
    );
}

pub(crate) async fn a_divided_table_is_rebuilt_beside_the_old_and_exchanged(
    store: &dyn TableStore,
) {
    let plan = divided(Keep::Latest);
    let mut first = 0;
    for generation in 0..3 {
        let spec = TableSpec { generation, plan: plan.clone() };
        store.ensure_tables(std::slice::from_ref(&spec)).await.unwrap();
        let part = SinkPartition { generation, ..partition() };
        let (claim, next) = store.claim(&part).await.unwrap();
        assert_eq!(next, 0);
        let rows = [seen(i64::from(generation), noon(10)), seen(9, noon(11))];
        store.commit(&claim, "cars", &rows, 0, 2).await.unwrap();
        store.clean(&spec, noon(12)).await.unwrap();
        if generation > 0 {
            // The old one is served until the exchange.
            let served = export(store, &plan).await.unwrap();
            assert!(served.contains(&format!("[{first},null,")), "{served}");
        }
        let served = SinkTable { sink: "cars".into(), table: "cars".into(), generation };
        store.serve(&[served]).await.unwrap();
        first = generation;
        let content = export(store, &plan).await.unwrap();
        assert_eq!(content.lines().count(), 3);
        assert!(content.contains(&format!("[{generation},null,")), "{content}");
        // It is filled and cleaned on under its new name.
        store.commit(&claim, "cars", &[seen(7, noon(12))], 2, 3).await.unwrap();
        store.clean(&spec, noon(12)).await.unwrap();
        assert_eq!(export(store, &plan).await.unwrap().lines().count(), 4);
    }
    let waiting = TableSpec { generation: 3, plan: plan.clone() };
    store.ensure_tables(std::slice::from_ref(&waiting)).await.unwrap();
    store.clean(&waiting, noon(12)).await.unwrap();
    let discarded = SinkTable { sink: "cars".into(), table: "cars".into(), generation: 3 };
    store.discard(&[discarded]).await.unwrap();
    // A generation that is gone is passed over.
    store.clean(&waiting, noon(12)).await.unwrap();
    assert_eq!(export(store, &plan).await.unwrap().lines().count(), 4);
}

pub(crate) async fn a_look_up_in_a_divided_table_filters_orders_and_pages(store: &dyn TableStore) {
    let plan = divided(Keep::Latest);
    let rows: Vec<Row> = (1..=5)
        .flat_map(|day| [seen(1, noon(day)), seen(2, noon(day)), seen(3, noon(day) + 1)])
        .chain([seen(1, 0)])
        .collect();
    fill(store, &plan, &rows).await;
    let mut query = LookUp {
        equals: vec![("car".into(), Cell::Integer(1))],
        time: Some(TimeRange { column: "seen".into(), from: Some(noon(2)), to: None }),
        limit: 3,
        ..LookUp::default()
    };
    let times = |page: &millrace_tables::Page| {
        page.rows.iter().map(|row| row[2].clone()).collect::<Vec<_>>()
    };
    let page = store.look_up("cars", &query).await.unwrap();
    assert_eq!(times(&page), [noon(2), noon(3), noon(4)].map(Cell::Timestamp));
    query.cursor = page.next;
    let page = store.look_up("cars", &query).await.unwrap();
    assert_eq!(times(&page), [Cell::Timestamp(noon(5))]);
    assert_eq!(page.next, None);
}

pub(crate) async fn the_length_of_partitions_and_the_retention_may_change(store: &dyn TableStore) {
    let mut plan = divided(Keep::Latest);
    fill(store, &plan, &[seen(1, noon(8)), seen(2, noon(10))]).await;
    plan.partitions = Some(TablePartitions {
        by: "seen".into(),
        every: Duration::from_hours(7 * 24),
        retention: Some(Duration::from_hours(21 * 24)),
    });
    store.check_table(&spec(plan.clone())).await.unwrap();
    fill(store, &plan, &[seen(3, noon(9)), seen(4, noon(12)), seen(5, noon(8))]).await;
    store.clean(&spec(plan.clone()), noon(12)).await.unwrap();
    assert_eq!(export(store, &plan).await.unwrap().lines().count(), 6);
}
