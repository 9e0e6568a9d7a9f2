//! What every store must do, written against the trait. A rule is a function that gets an empty
//! store; `rules!` makes a test of each.

mod another_log;
mod look_ups;
mod partitions;

use millrace_core::EventId;
use millrace_plan::model::ColumnType;
use millrace_plan::model::Keep;
use millrace_plan::model::TablePlan;
use millrace_tables::Cell;
use millrace_tables::CommitError;
use millrace_tables::EnsureTableError;
use millrace_tables::Row;
use millrace_tables::ServeError;
use millrace_tables::SinkClaim;
use millrace_tables::SinkPartition;
use millrace_tables::SinkTable;
use millrace_tables::TableSpec;
use millrace_tables::TableStore;
use millrace_tables::export;

use crate::fixtures::cars;
use crate::fixtures::column;

/// Makes a test of every rule: `rules!(make_store)`, where `make_store` gives an empty store and
/// what keeps it alive.
macro_rules! rules {
    ($make:path) => {
        conformance::rules!(
            $make;
            a_commit_writes_rows_and_moves_the_position,
            a_commit_under_an_earlier_claim_changes_nothing,
            a_commit_from_another_position_changes_nothing,
            positions_of_other_partitions_and_generations_are_apart,
            latest_keeps_the_highest_time_then_the_highest_id,
            first_keeps_the_lowest_time_then_the_lowest_id,
            all_keeps_every_event_once,
            a_batch_of_any_size_is_written_whole,
            rows_that_change_nothing_move_the_position,
            what_is_refused_changes_nothing,
            every_type_comes_back_as_it_was_written,
            a_page_ends_at_the_limit_and_the_next_one_begins_there,
            pages_of_rows_without_a_key_are_in_order_of_time_and_id,
            a_look_up_orders_and_filters_by_every_type,
            a_look_up_filters_by_equality_and_time,
            a_wrong_look_up_says_what_is_wrong,
            a_new_column_is_added_and_an_old_one_stays,
            what_a_table_cannot_become_is_refused_with_the_reason,
            a_raised_generation_fills_a_table_of_its_own,
            a_switch_serves_the_new_rows_and_removes_the_old,
            several_tables_switch_together_or_not_at_all,
            a_generation_that_waits_can_be_discarded,
            positions_are_told_by_generation,
            rows_without_a_primary_key_switch_twice,
            a_name_of_the_greatest_length_has_generations_too,
            rows_of_any_time_are_in_a_divided_table,
            a_divided_table_keeps_the_latest_of_a_key_and_knows_repetitions,
            a_zombie_writes_nothing_into_a_divided_table,
            a_row_without_the_time_that_divides_is_refused,
            rows_whose_period_ended_before_the_retention_are_removed,
            without_retention_nothing_is_removed,
            many_rows_are_removed_at_once,
            a_divided_table_is_rebuilt_beside_the_old_and_exchanged,
            a_look_up_in_a_divided_table_filters_orders_and_pages,
            the_length_of_partitions_and_the_retention_may_change,
            another_log_is_read_from_its_beginning_and_rows_stay,
            what_arrived_from_another_log_came_before_all_that_arrives,
            rows_of_several_logs_stay_in_the_order_of_their_arrival,
        );
    };
    ($make:path; $($rule:ident),* $(,)?) => {
        $(
            #[tokio::test]
            async fn $rule() {
                let (store, _guard) = $make().await;
                conformance::$rule(&store).await;
            }
        )*
    };
}
pub(crate) use another_log::*;
pub(crate) use look_ups::*;
pub(crate) use partitions::*;
pub(crate) use rules;

pub(crate) fn spec(plan: TablePlan) -> TableSpec {
    TableSpec { generation: 0, plan }
}

pub(crate) fn partition() -> SinkPartition {
    SinkPartition {
        sink: "cars".into(),
        generation: 0,
        stream: "coordinates".parse().unwrap(),
        partition: 3,
    }
}

/// A row of `cars`, seen at `order` milliseconds, with an event id of this byte.
pub(crate) fn car(car: i64, driver: Option<&str>, order: i64, id: u8) -> Row {
    let driver = driver.map_or(Cell::Null, |name| Cell::Text(name.into()));
    Row {
        cells: vec![Cell::Integer(car), driver, Cell::Timestamp(order * 1000)],
        order,
        event_id: EventId::from([id; 16]),
    }
}

async fn claimed(store: &dyn TableStore, keep: Keep) -> SinkClaim {
    store.ensure_tables(&[spec(cars(keep))]).await.unwrap();
    store.claim(&partition()).await.unwrap().0
}

async fn content(store: &dyn TableStore, keep: Keep) -> String {
    export(store, &cars(keep)).await.unwrap()
}

pub(crate) async fn a_commit_writes_rows_and_moves_the_position(store: &dyn TableStore) {
    let claim = claimed(store, Keep::Latest).await;
    let rows = [car(2, Some("Ada"), 10, 1), car(1, None, 11, 2)];
    assert_eq!(store.commit(&claim, "cars", &rows, 0, 7).await.unwrap(), 2);
    assert_eq!(
        content(store, Keep::Latest).await,
        "[\"car\",\"driver\",\"seen\"]\n\
         [1,null,\"1970-01-01T00:00:00.011Z\"]\n\
         [2,\"Ada\",\"1970-01-01T00:00:00.01Z\"]\n"
    );
    let (_, next) = store.claim(&partition()).await.unwrap();
    assert_eq!(next, 7);
}

pub(crate) async fn a_commit_under_an_earlier_claim_changes_nothing(store: &dyn TableStore) {
    let old = claimed(store, Keep::Latest).await;
    let (new, _) = store.claim(&partition()).await.unwrap();
    assert_eq!((old.epoch, new.epoch), (1, 2));
    let fenced = store.commit(&old, "cars", &[car(1, None, 1, 1)], 0, 5).await;
    assert!(matches!(fenced, Err(CommitError::Fenced { .. })));
    assert_eq!(content(store, Keep::Latest).await, "[\"car\",\"driver\",\"seen\"]\n");
    store.commit(&new, "cars", &[], 0, 5).await.unwrap();
}

pub(crate) async fn a_commit_from_another_position_changes_nothing(store: &dyn TableStore) {
    let claim = claimed(store, Keep::Latest).await;
    store.commit(&claim, "cars", &[], 0, 5).await.unwrap();
    let repeated = store.commit(&claim, "cars", &[car(1, None, 1, 1)], 0, 5).await;
    assert!(matches!(repeated, Err(CommitError::Position { expected: 0, found: 5, .. })));
    assert_eq!(content(store, Keep::Latest).await, "[\"car\",\"driver\",\"seen\"]\n");
}

pub(crate) async fn positions_of_other_partitions_and_generations_are_apart(
    store: &dyn TableStore,
) {
    let claim = claimed(store, Keep::Latest).await;
    store.commit(&claim, "cars", &[], 0, 5).await.unwrap();
    let others = [
        SinkPartition { partition: 4, ..partition() },
        SinkPartition { generation: 1, ..partition() },
        SinkPartition { sink: "other".into(), ..partition() },
        SinkPartition { stream: "other".parse().unwrap(), ..partition() },
    ];
    for other in others {
        assert_eq!(store.claim(&other).await.unwrap().1, 0, "{other:?}");
    }
}

pub(crate) async fn latest_keeps_the_highest_time_then_the_highest_id(store: &dyn TableStore) {
    let claim = claimed(store, Keep::Latest).await;
    let rows = [
        car(1, Some("low id"), 10, 1),
        car(1, Some("high id"), 10, 9),
        car(1, Some("middle id"), 10, 5),
        car(1, Some("early"), 9, 200),
    ];
    assert_eq!(store.commit(&claim, "cars", &rows, 0, 4).await.unwrap(), 1);
    assert!(content(store, Keep::Latest).await.contains("[1,\"high id\","));
    // The same in the opposite order and in single commits.
    for (i, row) in (4..).zip(rows.iter().rev()) {
        let again = car(2, row_driver(row), row.order, row.event_id.as_bytes()[0]);
        store.commit(&claim, "cars", &[again], i, i + 1).await.unwrap();
    }
    assert!(content(store, Keep::Latest).await.contains("[2,\"high id\","));
}

pub(crate) async fn first_keeps_the_lowest_time_then_the_lowest_id(store: &dyn TableStore) {
    let claim = claimed(store, Keep::First).await;
    let rows = [
        car(1, Some("late"), 11, 0),
        car(1, Some("high id"), 10, 9),
        car(1, Some("low id"), 10, 1),
        car(1, Some("later"), 12, 0),
    ];
    assert_eq!(store.commit(&claim, "cars", &rows, 0, 4).await.unwrap(), 1);
    assert!(content(store, Keep::First).await.contains("[1,\"low id\","));
}

pub(crate) async fn all_keeps_every_event_once(store: &dyn TableStore) {
    let plan = TablePlan { primary_key: Vec::new(), ..cars(Keep::All) };
    store.ensure_tables(&[spec(plan.clone())]).await.unwrap();
    let (claim, _) = store.claim(&partition()).await.unwrap();
    let rows = [car(1, Some("b"), 10, 1), car(1, Some("b"), 10, 2), car(1, Some("a"), 11, 3)];
    assert_eq!(store.commit(&claim, "cars", &rows, 0, 3).await.unwrap(), 3);
    assert_eq!(store.commit(&claim, "cars", &rows, 3, 6).await.unwrap(), 0);
    assert_eq!(
        export(store, &plan).await.unwrap(),
        "[\"car\",\"driver\",\"seen\"]\n\
         [1,\"a\",\"1970-01-01T00:00:00.011Z\"]\n\
         [1,\"b\",\"1970-01-01T00:00:00.01Z\"]\n\
         [1,\"b\",\"1970-01-01T00:00:00.01Z\"]\n"
    );
}

pub(crate) async fn a_batch_of_any_size_is_written_whole(store: &dyn TableStore) {
    let claim = claimed(store, Keep::Latest).await;
    let rows: Vec<Row> = (0..1234).map(|i| car(i, Some("x"), i, 1)).collect();
    assert_eq!(store.commit(&claim, "cars", &rows, 0, 1234).await.unwrap(), 1234);
    assert_eq!(content(store, Keep::Latest).await.lines().count(), 1235);
}

pub(crate) async fn rows_that_change_nothing_move_the_position(store: &dyn TableStore) {
    let claim = claimed(store, Keep::Latest).await;
    let rows = [car(1, None, 10, 1), car(2, None, 10, 2)];
    assert_eq!(store.commit(&claim, "cars", &rows, 0, 2).await.unwrap(), 2);
    assert_eq!(store.commit(&claim, "cars", &rows, 2, 4).await.unwrap(), 0);
    assert_eq!(store.positions("cars", 0).await.unwrap()[0].2, 4);
    let repeated = store.commit(&claim, "cars", &rows, 2, 4).await;
    assert!(matches!(repeated, Err(CommitError::Position { found: 4, .. })), "{repeated:?}");
}

pub(crate) async fn what_is_refused_changes_nothing(store: &dyn TableStore) {
    let claim = claimed(store, Keep::Latest).await;
    let mut without_key = car(2, None, 10, 2);
    without_key.cells[0] = Cell::Null;
    let mut of_another_type = car(2, None, 10, 2);
    of_another_type.cells[0] = Cell::Text("two".into());
    for wrong in [without_key, of_another_type] {
        let refused = store.commit(&claim, "cars", &[car(1, None, 10, 1), wrong], 0, 2).await;
        assert!(matches!(refused, Err(CommitError::Refused(_))), "{refused:?}");
    }
    assert_eq!(content(store, Keep::Latest).await, EMPTY);
    store.commit(&claim, "cars", &[car(1, None, 10, 1)], 0, 1).await.unwrap();
}

pub(crate) async fn a_new_column_is_added_and_an_old_one_stays(store: &dyn TableStore) {
    let claim = claimed(store, Keep::Latest).await;
    store.commit(&claim, "cars", &[car(1, Some("Ada"), 10, 1)], 0, 1).await.unwrap();
    let mut plan = cars(Keep::Latest);
    plan.columns[1] = column("team", ColumnType::Text, true);
    store.ensure_tables(&[spec(plan)]).await.unwrap();
    store.commit(&claim, "cars", &[car(2, Some("Red"), 11, 2)], 1, 2).await.unwrap();
    assert_eq!(
        content(store, Keep::Latest).await,
        "[\"car\",\"driver\",\"seen\"]\n\
         [1,null,\"1970-01-01T00:00:00.01Z\"]\n\
         [2,\"Red\",\"1970-01-01T00:00:00.011Z\"]\n"
    );
    store.ensure_tables(&[spec(cars(Keep::Latest))]).await.unwrap();
    assert!(content(store, Keep::Latest).await.contains("[1,\"Ada\","));
}

pub(crate) async fn what_a_table_cannot_become_is_refused_with_the_reason(store: &dyn TableStore) {
    claimed(store, Keep::Latest).await;
    let reason = async |change: fn(&mut TablePlan)| {
        let mut plan = cars(Keep::Latest);
        change(&mut plan);
        match store.ensure_tables(&[spec(plan)]).await.unwrap_err() {
            EnsureTableError::Incompatible { reason, .. } => reason,
            other @ EnsureTableError::Create { .. } => other.to_string(),
        }
    };
    assert_eq!(
        reason(|plan| plan.columns[0].kind = ColumnType::Text).await,
        "column `car` is of type integer, not text"
    );
    assert_eq!(
        reason(|plan| plan.columns[1].nullable = false).await,
        "column `driver` may be empty in existing rows and can no longer be required"
    );
    assert_eq!(
        reason(|plan| plan.columns.push(column("team", ColumnType::Text, false))).await,
        "column `team` is new and required, and existing rows have no value for it"
    );
    assert_eq!(
        reason(|plan| plan.primary_key.push("seen".into())).await,
        "its primary key is (car), not (car,seen)"
    );
    assert_eq!(reason(|plan| plan.keep = Keep::First).await, "it keeps `latest`, not `first`");
    let mut plan = cars(Keep::Latest);
    plan.keep = Keep::First;
    let refused = store.check_table(&spec(plan)).await;
    assert!(matches!(refused, Err(EnsureTableError::Incompatible { .. })), "{refused:?}");
    store.check_table(&spec(cars(Keep::Latest))).await.unwrap();
    let unknown = TablePlan { name: "boats".into(), ..cars(Keep::Latest) };
    store.check_table(&spec(unknown)).await.unwrap();
    assert_eq!(store.served("boats").await.unwrap(), None);
}

fn generation(generation: i32, keep: Keep) -> TableSpec {
    TableSpec { generation, plan: cars(keep) }
}

fn sink_table(generation: i32) -> SinkTable {
    SinkTable { sink: "cars".into(), table: "cars".into(), generation }
}

const EMPTY: &str = "[\"car\",\"driver\",\"seen\"]\n";

/// Fills generation 0 with car 1, and generation 1 beside it with cars 7 and 8.
async fn with_a_raised_generation(store: &dyn TableStore) -> SinkClaim {
    let claim = claimed(store, Keep::Latest).await;
    store.commit(&claim, "cars", &[car(1, None, 10, 1)], 0, 1).await.unwrap();
    store.ensure_tables(&[generation(1, Keep::First)]).await.unwrap();
    let raised = SinkPartition { generation: 1, ..partition() };
    let (raised, next) = store.claim(&raised).await.unwrap();
    assert_eq!(next, 0);
    let rows = [car(7, None, 1, 1), car(8, None, 2, 2)];
    store.commit(&raised, "cars", &rows, 0, 2).await.unwrap();
    claim
}

pub(crate) async fn a_raised_generation_fills_a_table_of_its_own(store: &dyn TableStore) {
    let claim = with_a_raised_generation(store).await;
    assert_eq!(store.served("cars").await.unwrap(), Some(0));
    store.commit(&claim, "cars", &[car(2, None, 11, 2)], 1, 2).await.unwrap();
    let content = content(store, Keep::Latest).await;
    assert!(content.contains("[1,null,") && content.contains("[2,null,"), "{content}");
    assert!(!content.contains("[7,null,"), "{content}");
}

pub(crate) async fn a_switch_serves_the_new_rows_and_removes_the_old(store: &dyn TableStore) {
    let old = with_a_raised_generation(store).await;
    for _ in 0..2 {
        store.serve(&[sink_table(1)]).await.unwrap();
        assert_eq!(store.served("cars").await.unwrap(), Some(1));
        let content = content(store, Keep::First).await;
        assert!(content.contains("[7,null,") && content.contains("[8,null,"), "{content}");
        assert!(!content.contains("[1,null,"), "{content}");
    }
    assert_eq!(store.positions("cars", 0).await.unwrap(), []);
    let late = store.commit(&old, "cars", &[car(3, None, 1, 1)], 1, 2).await;
    assert!(late.is_err(), "the old table is gone");
    // The new one is filled on.
    let raised = SinkPartition { generation: 1, ..partition() };
    let (raised, next) = store.claim(&raised).await.unwrap();
    store.commit(&raised, "cars", &[car(9, None, 3, 3)], next, 3).await.unwrap();
    assert!(content(store, Keep::First).await.contains("[9,null,"));
}

pub(crate) async fn several_tables_switch_together_or_not_at_all(store: &dyn TableStore) {
    with_a_raised_generation(store).await;
    let unknown = SinkTable { sink: "x".into(), table: "boats".into(), generation: 4 };
    let refused = store.serve(&[sink_table(1), unknown]).await;
    assert!(
        matches!(&refused, Err(ServeError::Unknown { table, generation: 4 }) if table == "boats"),
        "{refused:?}"
    );
    assert_eq!(store.served("cars").await.unwrap(), Some(0));
    assert!(content(store, Keep::Latest).await.contains("[1,null,"));
}

pub(crate) async fn a_generation_that_waits_can_be_discarded(store: &dyn TableStore) {
    with_a_raised_generation(store).await;
    for _ in 0..2 {
        store.discard(&[sink_table(1)]).await.unwrap();
        assert_eq!(store.positions("cars", 1).await.unwrap(), []);
    }
    let served = store.discard(&[sink_table(0)]).await;
    assert!(matches!(served, Err(ServeError::Served { generation: 0, .. })), "{served:?}");
    store.ensure_tables(&[generation(1, Keep::First)]).await.unwrap();
    store.serve(&[sink_table(1)]).await.unwrap();
    assert_eq!(content(store, Keep::First).await, EMPTY);
}

pub(crate) async fn positions_are_told_by_generation(store: &dyn TableStore) {
    with_a_raised_generation(store).await;
    assert_eq!(store.positions("cars", 0).await.unwrap(), [("coordinates".parse().unwrap(), 3, 1)]);
    assert_eq!(store.positions("cars", 1).await.unwrap(), [("coordinates".parse().unwrap(), 3, 2)]);
    assert_eq!(store.positions("boats", 0).await.unwrap(), []);
    assert_eq!(store.served("boats").await.unwrap(), None);
}

pub(crate) async fn rows_without_a_primary_key_switch_twice(store: &dyn TableStore) {
    let plan = TablePlan { primary_key: Vec::new(), ..cars(Keep::All) };
    for generation in 0..3 {
        store.ensure_tables(&[TableSpec { generation, plan: plan.clone() }]).await.unwrap();
        let part = SinkPartition { generation, ..partition() };
        let (claim, _) = store.claim(&part).await.unwrap();
        store.commit(&claim, "cars", &[car(1, None, 1, 1)], 0, 1).await.unwrap();
        store.serve(&[sink_table(generation)]).await.unwrap();
        assert_eq!(export(store, &plan).await.unwrap().lines().count(), 2);
    }
}

pub(crate) async fn a_name_of_the_greatest_length_has_generations_too(store: &dyn TableStore) {
    let name = "x".repeat(63);
    let plan = TablePlan { name: name.clone(), ..cars(Keep::Latest) };
    for generation in 0..2 {
        store.ensure_tables(&[TableSpec { generation, plan: plan.clone() }]).await.unwrap();
        let part = SinkPartition { generation, ..partition() };
        let (claim, _) = store.claim(&part).await.unwrap();
        store.commit(&claim, &name, &[car(i64::from(generation), None, 1, 1)], 0, 1).await.unwrap();
    }
    let sink_table = SinkTable { sink: "cars".into(), table: name, generation: 1 };
    store.serve(&[sink_table]).await.unwrap();
    assert!(export(store, &plan).await.unwrap().contains("\n[1,null,"));
}

fn row_driver(row: &Row) -> Option<&str> {
    match &row.cells[1] {
        Cell::Text(name) => Some(name),
        _ => None,
    }
}
