//! The same rows give the same tables in both databases.

use millrace_core::EventId;
use millrace_plan::model::ColumnType;
use millrace_plan::model::Keep;
use millrace_plan::model::TablePlan;
use millrace_tables::Cell;
use millrace_tables::Row;
use millrace_tables::TableStore;
use millrace_tables::export;
use millrace_tables::postgres::PostgresStore;
use millrace_tables::sqlite::SqliteStore;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::conformance::partition;
use crate::conformance::spec;
use crate::fixtures::column;
use crate::place::Place;

const COLUMNS: [(&str, ColumnType); 7] = [
    ("i", ColumnType::Integer),
    ("k", ColumnType::Text),
    ("d", ColumnType::Double),
    ("b", ColumnType::Boolean),
    ("t", ColumnType::Timestamp),
    ("u", ColumnType::Uuid),
    ("j", ColumnType::Json),
];

fn json() -> impl Strategy<Value = Cell> {
    let value = prop_oneof![
        any::<i64>().prop_map(serde_json::Value::from),
        proptest::num::f64::NORMAL.prop_map(serde_json::Value::from),
        ".{0,8}".prop_map(serde_json::Value::from),
    ];
    let object = proptest::collection::btree_map("\\PC{0,4}", value, 0..4);
    object.prop_map(|object| {
        let text = serde_json::to_string(&object).unwrap();
        Cell::parse(&text, ColumnType::Json).unwrap()
    })
}

/// Cells that a record may become; few different keys, so that rows meet.
fn cells() -> impl Strategy<Value = Vec<Cell>> {
    let nullable = |cell: BoxedStrategy<Cell>| prop_oneof![3 => cell, 1 => Just(Cell::Null)];
    (
        (-3_i64..3).prop_map(Cell::Integer),
        prop_oneof!["[aäB\u{10ffff}]{0,2}", "[^\0]{0,6}"].prop_map(Cell::Text),
        nullable(
            any::<f64>()
                .prop_filter_map("finite", |number| {
                    number.is_finite().then_some(Cell::Double(number + 0.0))
                })
                .boxed(),
        ),
        nullable(any::<bool>().prop_map(Cell::Boolean).boxed()),
        nullable(
            (-62_135_596_800_000_000_i64..=253_402_300_799_999_999)
                .prop_map(Cell::Timestamp)
                .boxed(),
        ),
        nullable(any::<u128>().prop_map(|id| Cell::Uuid(uuid::Uuid::from_u128(id))).boxed()),
        nullable(json().boxed()),
    )
        .prop_map(|(i, k, d, b, t, u, j)| vec![i, k, d, b, t, u, j])
}

fn rows() -> impl Strategy<Value = Vec<Vec<Row>>> {
    // Ids tell events apart: what is in a row follows from its id and time.
    let row = (cells(), 0_i64..4).prop_map(|(cells, order)| (cells, order));
    proptest::collection::vec(proptest::collection::vec(row, 0..12), 1..4).prop_map(|commits| {
        let mut id = 0_u8;
        commits
            .into_iter()
            .map(|commit| {
                let mut rows: Vec<Row> = commit
                    .into_iter()
                    .map(|(cells, order)| {
                        id = id.wrapping_mul(5).wrapping_add(3);
                        Row { cells, order, event_id: EventId::from([id; 16]) }
                    })
                    .collect();
                // A redelivery.
                rows.extend(rows.first().cloned());
                rows
            })
            .collect()
    })
}

async fn fill(
    store: &dyn TableStore,
    plan: &TablePlan,
    commits: &[Vec<Row>],
) -> (Vec<u64>, String) {
    store.ensure_tables(&[spec(plan.clone())]).await.unwrap();
    let mut partition = partition();
    partition.sink.clone_from(&plan.name);
    let (claim, _) = store.claim(&partition).await.unwrap();
    let mut written = Vec::new();
    for (from, rows) in (0..).zip(commits) {
        written.push(store.commit(&claim, &plan.name, rows, from, from + 1).await.unwrap());
    }
    (written, export(store, plan).await.unwrap())
}

#[test]
fn random_rows_give_the_same_export_in_both_databases() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let place = Place::shared();
    let folder = tempfile::tempdir().unwrap();
    let (sqlite, postgres): (SqliteStore, PostgresStore) = runtime.block_on(async {
        let sqlite = SqliteStore::open(&folder.path().join("tables.sqlite")).await.unwrap();
        (sqlite, place.store().await)
    });
    let kinds = prop_oneof![
        Just((Keep::Latest, vec!["i"])),
        Just((Keep::First, vec!["k", "i"])),
        Just((Keep::All, vec![])),
        Just((Keep::All, vec!["i"])),
    ];
    let count = std::cell::Cell::new(0);
    let mut runner = TestRunner::new(ProptestConfig { cases: 60, ..ProptestConfig::default() });
    runner
        .run(&(kinds, rows()), |((keep, key), commits)| {
            count.set(count.get() + 1);
            let nullable = |name: &str| !["i", "k"].contains(&name);
            let plan = TablePlan {
                name: format!("table_{}", count.get()),
                columns: COLUMNS.map(|(name, kind)| column(name, kind, nullable(name))).to_vec(),
                primary_key: key.iter().map(|name| (*name).to_owned()).collect(),
                keep,
                partitions: None,
            };
            let (one, other) = runtime.block_on(async {
                (fill(&sqlite, &plan, &commits).await, fill(&postgres, &plan, &commits).await)
            });
            prop_assert_eq!(one, other);
            Ok(())
        })
        .unwrap();
}
