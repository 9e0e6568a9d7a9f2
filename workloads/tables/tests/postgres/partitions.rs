//! Partitions as the database has them.

use std::collections::BTreeSet;

use futures::future::join_all;
use millrace_plan::model::Keep;
use millrace_plan::model::TablePlan;
use millrace_tables::Cleaned;
use millrace_tables::EnsureTableError;
use millrace_tables::SinkPartition;
use millrace_tables::SinkTable;
use millrace_tables::TableSpec;
use millrace_tables::TableStore;
use millrace_tables::export;
use millrace_tables::postgres::PostgresRoles;
use millrace_tables::postgres::PostgresStore;

use crate::conformance::divided;
use crate::conformance::noon;
use crate::conformance::partition;
use crate::conformance::seen;
use crate::conformance::spec;
use crate::fixtures::cars;
use crate::place::Place;
use crate::place::ask;
use crate::place::empty_store;
use crate::place::run;

/// The partitions of a table with how many rows each has, in order of their names.
async fn partitions(place: &Place, table: &str) -> Vec<String> {
    let mut session = place.session().await;
    let names = format!(
        "SELECT coalesce(string_agg(inhrelid::regclass::text, ' ' ORDER BY inhrelid::regclass::text \
         COLLATE \"C\"), '') FROM pg_inherits WHERE inhparent = '\"{table}\"'::regclass"
    );
    let mut found = Vec::new();
    for name in ask(&mut session, &names).await.split_whitespace() {
        let count = ask(&mut session, &format!("SELECT count(*)::text FROM {name}")).await;
        found.push(format!("{} {count}", name.trim_matches('"')));
    }
    found
}

async fn write(store: &PostgresStore, from: i64, cars: &[(i64, i64)]) {
    let (claim, next) = store.claim(&partition()).await.unwrap();
    assert_eq!(next, from);
    let rows: Vec<_> = cars.iter().map(|(car, time)| seen(*car, *time)).collect();
    store.commit(&claim, "cars", &rows, from, from + 1).await.unwrap();
}

#[tokio::test]
async fn a_row_lies_in_the_partition_of_its_day_and_one_of_a_far_off_time_in_the_rest() {
    let (store, place) = empty_store().await;
    store.ensure_tables(&[spec(divided(Keep::Latest))]).await.unwrap();
    assert_eq!(partitions(&place, "cars").await, [""; 0]);
    write(&store, 0, &[(1, noon(12)), (2, noon(12) + 5), (3, noon(14))]).await;
    assert_eq!(partitions(&place, "cars").await, ["cars@0_20260112 2", "cars@0_20260114 1"]);
    write(&store, 1, &[(4, noon(15)), (5, noon(376_000)), (6, 0), (7, noon(-488))]).await;
    assert_eq!(
        partitions(&place, "cars").await,
        ["cars@0_20240830 1", "cars@0_20260112 2", "cars@0_20260114 1", "cars@0_rest 3"]
    );
}

#[tokio::test]
async fn partitions_are_made_ahead_and_take_their_rows_from_the_rest() {
    let (store, place) = empty_store().await;
    let table = spec(divided(Keep::Latest));
    store.ensure_tables(std::slice::from_ref(&table)).await.unwrap();
    // The 15th and 16th are further ahead than partitions are made.
    write(&store, 0, &[(1, noon(12)), (2, noon(15)), (3, noon(16)), (4, noon(376_000))]).await;
    assert_eq!(partitions(&place, "cars").await, ["cars@0_20260112 1", "cars@0_rest 3"]);
    store.clean(&table, noon(12)).await.unwrap();
    let ahead = ["cars@0_20260112 1", "cars@0_20260113 0", "cars@0_20260114 0", "cars@0_rest 3"];
    assert_eq!(partitions(&place, "cars").await, ahead);
    store.clean(&table, noon(13)).await.unwrap();
    assert_eq!(
        partitions(&place, "cars").await,
        [
            "cars@0_20260112 1",
            "cars@0_20260113 0",
            "cars@0_20260114 0",
            "cars@0_20260115 1",
            "cars@0_rest 2"
        ]
    );
    assert_eq!(export(&store, &table.plan).await.unwrap().lines().count(), 5);
}

#[tokio::test]
async fn rows_that_got_into_the_rest_are_moved_when_their_time_is_near() {
    let (store, place) = empty_store().await;
    let table = spec(divided(Keep::Latest));
    store.ensure_tables(std::slice::from_ref(&table)).await.unwrap();
    let later = place.store().await.with_clock(|| noon(40));
    later.ensure_tables(std::slice::from_ref(&table)).await.unwrap();
    write(&store, 0, &[(1, noon(38)), (2, noon(39)), (3, noon(900))]).await;
    assert_eq!(partitions(&place, "cars").await, ["cars@0_rest 3"]);
    later.clean(&table, noon(40)).await.unwrap();
    assert_eq!(
        partitions(&place, "cars").await,
        [
            "cars@0_20260207 1",
            "cars@0_20260208 1",
            "cars@0_20260209 0",
            "cars@0_20260210 0",
            "cars@0_20260211 0",
            "cars@0_rest 1"
        ]
    );
}

#[tokio::test]
async fn partitions_are_dropped_whole_when_their_end_is_older_than_the_retention() {
    let (store, place) = empty_store().await;
    let table = spec(divided(Keep::Latest));
    store.ensure_tables(std::slice::from_ref(&table)).await.unwrap();
    let cars = [(1, noon(8)), (2, noon(9)), (3, noon(10)), (4, noon(11)), (5, 0)];
    write(&store, 0, &cars).await;
    // Two days before the 12th are the 10th and what is after it.
    let cleaned = store.clean(&table, noon(12)).await.unwrap();
    assert_eq!(cleaned, Cleaned { rows: 1, partitions: 2 });
    assert_eq!(
        partitions(&place, "cars").await,
        [
            "cars@0_20260110 1",
            "cars@0_20260111 1",
            "cars@0_20260112 0",
            "cars@0_20260113 0",
            "cars@0_20260114 0",
            "cars@0_rest 0"
        ]
    );
    assert_eq!(store.clean(&table, noon(12)).await.unwrap(), Cleaned::default());
}

#[tokio::test]
async fn a_clock_that_runs_ahead_of_the_databases_drops_nothing() {
    let (store, place) = empty_store().await;
    let table = spec(divided(Keep::Latest));
    store.ensure_tables(std::slice::from_ref(&table)).await.unwrap();
    let today = millrace_tables::now_micros();
    let later = place.store().await;
    later.ensure_tables(std::slice::from_ref(&table)).await.unwrap();
    write(&later, 0, &[(1, today)]).await;
    let cleaned = later.clean(&table, today + 4000 * 86_400_000_000).await.unwrap();
    assert_eq!(cleaned, Cleaned::default());
    assert_eq!(export(&later, &table.plan).await.unwrap().lines().count(), 2);
}

#[tokio::test]
async fn processes_that_need_the_same_partitions_at_once_make_each_once() {
    let place = Place::shared();
    let plan = divided(Keep::Latest);
    let stores = join_all((0..6).map(async |_| {
        let store = place.store().await.with_clock(|| noon(12));
        store.ensure_tables(&[spec(divided(Keep::Latest))]).await.unwrap();
        store
    }))
    .await;
    join_all(stores.iter().zip(0..).map(async |(store, number)| {
        let part = SinkPartition { partition: number, ..partition() };
        let (claim, _) = store.claim(&part).await.unwrap();
        for day in 0..20 {
            let rows =
                [seen(i64::from(number), noon(12 - day)), seen(i64::from(number), noon(999))];
            store.commit(&claim, "cars", &rows, day, day + 1).await.unwrap();
            store.clean(&spec(plan_without_retention()), noon(12)).await.unwrap();
        }
    }))
    .await;
    let found = partitions(&place, "cars").await;
    let names: BTreeSet<_> = found.iter().collect();
    // 20 days, two days ahead, and the rest.
    assert_eq!((found.len(), names.len()), (23, 23), "{found:?}");
    assert_eq!(export(&stores[0], &plan).await.unwrap().lines().count(), 1 + 6 * 21);
}

fn plan_without_retention() -> TablePlan {
    let mut plan = divided(Keep::Latest);
    if let Some(partitions) = &mut plan.partitions {
        partitions.retention = None;
    }
    plan
}

/// What this process knows of partitions is out of date.
#[tokio::test]
async fn a_partition_that_was_dropped_or_detached_meanwhile_is_made_anew() {
    let (store, place) = empty_store().await;
    let table = spec(divided(Keep::Latest));
    store.ensure_tables(std::slice::from_ref(&table)).await.unwrap();
    let cleaner = place.store().await;
    cleaner.ensure_tables(std::slice::from_ref(&table)).await.unwrap();
    write(&store, 0, &[(1, noon(9))]).await;
    assert_eq!(cleaner.clean(&table, noon(12)).await.unwrap().partitions, 1);
    write(&store, 1, &[(2, noon(9))]).await;
    let mut session = place.session().await;
    run(&mut session, "ALTER TABLE cars DETACH PARTITION \"cars@0_20260109\"").await.unwrap();
    write(&store, 2, &[(3, noon(9))]).await;
    // The one that was detached is somebody's.
    assert_eq!(cleaner.clean(&table, noon(12)).await.unwrap().partitions, 1);
    write(&store, 3, &[(4, noon(9))]).await;
    let kept = "SELECT count(*)::text FROM \"cars@0_20260109\"";
    assert_eq!(ask(&mut session, kept).await, "1");
    let found = partitions(&place, "cars").await;
    assert!(found.contains(&"cars@0_20260109~2 1".to_owned()), "{found:?}");
}

#[tokio::test]
async fn whoever_reads_the_whole_table_for_long_holds_up_neither_rows_nor_partitions() {
    let (store, place) = empty_store().await;
    let table = spec(divided(Keep::Latest));
    store.ensure_tables(std::slice::from_ref(&table)).await.unwrap();
    write(&store, 0, &[(1, noon(9))]).await;
    let mut analyst = place.session().await;
    run(&mut analyst, "BEGIN; SELECT count(*) FROM cars").await.unwrap();
    write(&store, 1, &[(2, noon(10)), (3, noon(11))]).await;
    // Only what has to go waits, shortly, and says why.
    let held = store.clean(&table, noon(12)).await.unwrap_err().to_string();
    assert!(held.contains("another session holds a lock"), "{held}");
    let found = partitions(&place, "cars").await;
    assert!(found.contains(&"cars@0_20260114 0".to_owned()), "{found:?}");
    write(&store, 2, &[(4, noon(12))]).await;
    run(&mut analyst, "COMMIT").await.unwrap();
    assert_eq!(store.clean(&table, noon(12)).await.unwrap().partitions, 1);
}

#[tokio::test]
async fn a_table_that_is_there_is_not_divided_made_whole_or_divided_otherwise() {
    let (store, _place) = empty_store().await;
    let whole = TablePlan { partitions: None, ..divided(Keep::Latest) };
    let mut other = divided(Keep::Latest);
    other.columns.push(crate::fixtures::column(
        "at",
        millrace_plan::model::ColumnType::Timestamp,
        true,
    ));
    if let Some(partitions) = &mut other.partitions {
        partitions.by = "at".into();
    }
    let reason = async |there: &TablePlan, wanted: &TablePlan, name: &str| {
        let named = |plan: &TablePlan| spec(TablePlan { name: name.into(), ..plan.clone() });
        store.ensure_tables(&[named(there)]).await.unwrap();
        let checked = store.check_table(&named(wanted)).await;
        let ensured = store.ensure_tables(&[named(wanted)]).await;
        match (checked, ensured) {
            (
                Err(EnsureTableError::Incompatible { reason: checked, .. }),
                Err(EnsureTableError::Incompatible { reason, .. }),
            ) if checked == reason => reason,
            others => format!("{others:?}"),
        }
    };
    assert_eq!(
        reason(&whole, &divided(Keep::Latest), "a").await,
        "it is one table, and no table can be divided by `seen` later"
    );
    assert_eq!(
        reason(&divided(Keep::Latest), &whole, "b").await,
        "it is divided by `seen`, and no `partitions` are declared"
    );
    assert_eq!(
        reason(&divided(Keep::Latest), &other, "c").await,
        "it is divided by `seen`, not by `at`"
    );
}

#[tokio::test]
async fn a_whole_table_becomes_a_divided_one_by_a_generation() {
    let (store, place) = empty_store().await;
    let whole = TablePlan { partitions: None, ..divided(Keep::Latest) };
    store.ensure_tables(&[spec(whole)]).await.unwrap();
    write(&store, 0, &[(1, noon(9))]).await;
    let raised = TableSpec { generation: 1, plan: divided(Keep::Latest) };
    store.ensure_tables(std::slice::from_ref(&raised)).await.unwrap();
    let part = SinkPartition { generation: 1, ..partition() };
    let (claim, _) = store.claim(&part).await.unwrap();
    store.commit(&claim, "cars", &[seen(1, noon(10))], 0, 1).await.unwrap();
    assert_eq!(partitions(&place, "cars@1").await, ["cars@1_20260110 1"]);
    let served = SinkTable { sink: "cars".into(), table: "cars".into(), generation: 1 };
    store.serve(&[served]).await.unwrap();
    store.commit(&claim, "cars", &[seen(2, noon(11))], 1, 2).await.unwrap();
    assert_eq!(partitions(&place, "cars").await, ["cars@1_20260110 1", "cars@1_20260111 1"]);
}

#[tokio::test]
async fn a_column_that_is_added_is_in_partitions_of_before_and_after() {
    let (store, _place) = empty_store().await;
    store.ensure_tables(&[spec(divided(Keep::Latest))]).await.unwrap();
    write(&store, 0, &[(1, noon(9)), (2, noon(900))]).await;
    let mut wider = divided(Keep::Latest);
    let team = crate::fixtures::column("team", millrace_plan::model::ColumnType::Text, true);
    wider.columns.push(team);
    store.ensure_tables(&[spec(wider.clone())]).await.unwrap();
    let (claim, _) = store.claim(&partition()).await.unwrap();
    let row = |car, day| {
        let mut row = seen(car, noon(day));
        row.cells.push(millrace_tables::Cell::Text("red".into()));
        row
    };
    let rows = [row(3, 9), row(4, 10), row(5, 901)];
    assert_eq!(store.commit(&claim, "cars", &rows, 1, 2).await.unwrap(), 3);
    store.clean(&spec(wider.clone()), noon(10)).await.unwrap();
    let content = export(&store, &wider).await.unwrap();
    assert_eq!(content.matches("\"red\"").count(), 3, "{content}");
}

#[tokio::test]
async fn partitions_belong_to_the_workers_and_can_be_read_by_those_who_read_the_table() {
    let place = Place::shared();
    let schema = place.schema();
    let secret = place.file("secret", "secret\n");
    let mut roles = PostgresRoles::of_schema(&schema);
    let user = |name: &str, role| millrace_tables::postgres::PostgresUser {
        name: format!("{schema}_{name}"),
        role,
        password_file: Some(secret.clone()),
    };
    roles.users = vec![
        user("w", millrace_tables::postgres::PostgresRole::Worker),
        user("q", millrace_tables::postgres::PostgresRole::Query),
    ];
    PostgresStore::provision(&place.settings, "cars", &roles).await.unwrap();
    let of = |name: &str| place.as_user(&format!("{schema}_{name}"), "secret");
    let worker = of("w").store().await.with_clock(|| noon(12));
    let table = spec(divided(Keep::Latest));
    worker.ensure_tables(std::slice::from_ref(&table)).await.unwrap();
    write(&worker, 0, &[(1, noon(9)), (2, noon(12)), (3, noon(900))]).await;
    let query = of("q").store().await;
    query.ensure_tables(std::slice::from_ref(&table)).await.unwrap();
    assert_eq!(export(&query, &table.plan).await.unwrap().lines().count(), 4);
    worker.clean(&table, noon(12)).await.unwrap();
    assert_eq!(export(&query, &table.plan).await.unwrap().lines().count(), 3);
    let mut session = place.session().await;
    let one = "SELECT count(*)::text FROM \"cars@0_20260112\"";
    run(&mut session, &format!("SET ROLE {schema}_analysts")).await.unwrap();
    assert_eq!(ask(&mut session, one).await, "1");
}

#[tokio::test]
async fn a_table_of_the_longest_name_has_partitions_in_every_generation() {
    let (store, _place) = empty_store().await;
    let name = "x".repeat(63);
    for generation in [0, 1_000_000] {
        let plan = TablePlan { name: name.clone(), ..divided(Keep::Latest) };
        let table = TableSpec { generation, plan };
        store.ensure_tables(std::slice::from_ref(&table)).await.unwrap();
        let part = SinkPartition { generation, ..partition() };
        let (claim, _) = store.claim(&part).await.unwrap();
        let rows = [seen(1, noon(10)), seen(2, noon(900))];
        store.commit(&claim, &name, &rows, 0, 1).await.unwrap();
        store.clean(&table, noon(12)).await.unwrap();
        let served = SinkTable { sink: "cars".into(), table: name.clone(), generation };
        store.serve(&[served]).await.unwrap();
        assert_eq!(export(&store, &table.plan).await.unwrap().lines().count(), 3);
    }
}

#[tokio::test]
async fn a_check_of_the_tables_owner_refuses_rows_of_partitions_too() {
    let (store, place) = empty_store().await;
    store.ensure_tables(&[spec(divided(Keep::Latest))]).await.unwrap();
    let mut session = place.session().await;
    let check = "ALTER TABLE cars ADD CONSTRAINT no_thirteen CHECK (car <> 13)";
    run(&mut session, check).await.unwrap();
    let (claim, _) = store.claim(&partition()).await.unwrap();
    let refused = store.commit(&claim, "cars", &[seen(13, noon(10))], 0, 1).await;
    assert!(
        matches!(&refused, Err(millrace_tables::CommitError::Refused(said)) if said.contains("no_thirteen")),
        "{refused:?}"
    );
    assert_eq!(cars(Keep::Latest).partitions, None);
}
