//! What look-ups find, in which order and on which page.

use millrace_core::EventId;
use millrace_plan::model::ColumnType;
use millrace_plan::model::Keep;
use millrace_plan::model::TablePlan;
use millrace_tables::Cell;
use millrace_tables::Direction;
use millrace_tables::LookUp;
use millrace_tables::LookUpError;
use millrace_tables::Order;
use millrace_tables::Row;
use millrace_tables::TableStore;
use millrace_tables::TimeRange;

use super::car;
use super::claimed;
use super::partition;
use super::spec;
use crate::fixtures::cars;
use crate::fixtures::column;

/// A table of every type.
fn types() -> TablePlan {
    TablePlan {
        name: "types".into(),
        columns: vec![
            column("k", ColumnType::Text, false),
            column("i", ColumnType::Integer, true),
            column("d", ColumnType::Double, true),
            column("b", ColumnType::Boolean, true),
            column("t", ColumnType::Timestamp, true),
            column("u", ColumnType::Uuid, true),
            column("j", ColumnType::Json, true),
        ],
        primary_key: vec!["k".into()],
        keep: Keep::Latest,
        partitions: None,
    }
}

pub(crate) async fn every_type_comes_back_as_it_was_written(store: &dyn TableStore) {
    store.ensure_tables(&[spec(types())]).await.unwrap();
    let (claim, _) = store.claim(&partition()).await.unwrap();
    let full = vec![
        Cell::Text("Z\u{10ffff}".into()),
        Cell::Integer(i64::MIN),
        Cell::Double(51.349_937_311_969_725),
        Cell::Boolean(false),
        Cell::Timestamp(-62_135_596_800_000_000),
        Cell::Uuid("0190a6b0-0000-7000-8000-00000000000f".parse().unwrap()),
        Cell::Json(r#"{"a":[1,2.5,null]}"#.into()),
    ];
    let mut empty = vec![Cell::Null; 7];
    empty[0] = Cell::Text("a".into());
    let rows = [full.clone(), empty.clone()].map(|cells| Row {
        cells,
        order: 0,
        event_id: EventId::from([1; 16]),
    });
    store.commit(&claim, "types", &rows, 0, 2).await.unwrap();
    let page = store.look_up("types", &LookUp { limit: 10, ..LookUp::default() }).await.unwrap();
    // Text is ordered by bytes: capital letters come before small ones.
    assert_eq!(page.rows, [full, empty]);
}

pub(crate) async fn a_page_ends_at_the_limit_and_the_next_one_begins_there(store: &dyn TableStore) {
    let claim = claimed(store, Keep::Latest).await;
    // Drivers repeat and are missing, so that the order needs the key and passes NULLs.
    let drivers = [Some("b"), None, Some("a"), Some("b"), None, Some("a"), Some("c")];
    let rows: Vec<Row> = (0_i64..).zip(drivers).map(|(i, d)| car(i, d, i, 1)).collect();
    store.commit(&claim, "cars", &rows, 0, 7).await.unwrap();
    for (order, expected) in [
        (None, [0, 1, 2, 3, 4, 5, 6]),
        (Some(Direction::Ascending), [1, 4, 2, 5, 0, 3, 6]),
        (Some(Direction::Descending), [6, 3, 0, 5, 2, 4, 1]),
    ] {
        for limit in [1, 2, 3, 7] {
            let mut query = LookUp {
                order: order.map(|direction| Order { column: "driver".into(), direction }),
                limit,
                ..LookUp::default()
            };
            let mut found = Vec::new();
            loop {
                let page = store.look_up("cars", &query).await.unwrap();
                assert!(page.rows.len() <= limit);
                found.extend(page.rows.iter().map(|row| row[0].clone()));
                query.cursor = page.next;
                if query.cursor.is_none() {
                    break;
                }
            }
            assert_eq!(found, expected.map(Cell::Integer), "{order:?} {limit}");
        }
    }
}

pub(crate) async fn pages_of_rows_without_a_key_are_in_order_of_time_and_id(
    store: &dyn TableStore,
) {
    let plan = TablePlan { primary_key: Vec::new(), ..cars(Keep::All) };
    store.ensure_tables(&[spec(plan)]).await.unwrap();
    let (claim, _) = store.claim(&partition()).await.unwrap();
    let rows =
        [car(1, None, 20, 1), car(2, None, 10, 255), car(3, None, 10, 9), car(4, None, 30, 0)];
    store.commit(&claim, "cars", &rows, 0, 4).await.unwrap();
    let mut query = LookUp { limit: 1, ..LookUp::default() };
    let mut found = Vec::new();
    loop {
        let page = store.look_up("cars", &query).await.unwrap();
        found.extend(page.rows.into_iter().map(|mut row| row.swap_remove(0)));
        query.cursor = page.next;
        if query.cursor.is_none() {
            break;
        }
    }
    assert_eq!(found, [3, 2, 1, 4].map(Cell::Integer));
}

pub(crate) async fn a_look_up_orders_and_filters_by_every_type(store: &dyn TableStore) {
    store.ensure_tables(&[spec(types())]).await.unwrap();
    let (claim, _) = store.claim(&partition()).await.unwrap();
    let cells = [
        (-5, -0.5, false, -1, 1, "[10]"),
        (7, 1.5, true, 1_000_000, 2, "[9]"),
        (9, 1e300, true, 2_000_000, 3, "\"a\""),
    ];
    let row = |(i, d, b, t, u, j): (i64, f64, bool, i64, u128, &str)| Row {
        cells: vec![
            Cell::Text(format!("k{u}")),
            Cell::Integer(i),
            Cell::Double(d),
            Cell::Boolean(b),
            Cell::Timestamp(t),
            Cell::Uuid(uuid::Uuid::from_u128(u)),
            Cell::Json(j.into()),
        ],
        order: 0,
        event_id: EventId::from([1; 16]),
    };
    let mut empty = row((0, 0.0, false, 0, 0, "0"));
    empty.cells[1..].fill(Cell::Null);
    let rows = [row(cells[0]), row(cells[1]), row(cells[2]), empty];
    store.commit(&claim, "types", &rows, 0, 4).await.unwrap();
    for (index, name) in [(1, "i"), (2, "d"), (3, "b"), (4, "t"), (5, "u"), (6, "j")] {
        for direction in [Direction::Ascending, Direction::Descending] {
            let order = Some(Order { column: name.into(), direction });
            let mut query = LookUp { order, limit: 1, ..LookUp::default() };
            let mut found = Vec::new();
            loop {
                let page = store.look_up("types", &query).await.unwrap();
                found.extend(page.rows.into_iter().map(|mut row| row.swap_remove(0)));
                query.cursor = page.next;
                if query.cursor.is_none() {
                    break;
                }
            }
            let mut expected = ["k0", "k1", "k2", "k3"].map(|key| Cell::Text(key.into()));
            if name == "j" {
                // A text is before a list, and 1 before 9.
                expected.swap(1, 3);
                expected.swap(2, 3);
            }
            if direction == Direction::Descending {
                expected.reverse();
            }
            assert_eq!(found, expected, "{name} {direction:?}");
        }
        let equals = vec![(name.to_owned(), rows[1].cells[index].clone())];
        let query = LookUp { equals, limit: 10, ..LookUp::default() };
        let found = store.look_up("types", &query).await.unwrap().rows;
        assert!(found.contains(&rows[1].cells), "{name}");
        assert_eq!(found.len(), if name == "b" { 2 } else { 1 }, "{name}");
        let of_another_type = vec![(name.to_owned(), Cell::Text("7".into()))];
        let query = LookUp { equals: of_another_type, limit: 10, ..LookUp::default() };
        assert_eq!(store.look_up("types", &query).await.unwrap().rows.len(), 0, "{name}");
    }
}

pub(crate) async fn a_look_up_filters_by_equality_and_time(store: &dyn TableStore) {
    let claim = claimed(store, Keep::Latest).await;
    let rows = [car(1, Some("a"), 10, 1), car(2, Some("a"), 20, 1), car(3, None, 30, 1)];
    store.commit(&claim, "cars", &rows, 0, 3).await.unwrap();
    let found = async |query: LookUp| -> Vec<Cell> {
        let page = store.look_up("cars", &LookUp { limit: 10, ..query }).await.unwrap();
        page.rows.iter().map(|row| row[0].clone()).collect()
    };
    let driver = |cell| LookUp { equals: vec![("driver".into(), cell)], ..LookUp::default() };
    assert_eq!(found(driver(Cell::Text("a".into()))).await, [Cell::Integer(1), Cell::Integer(2)]);
    assert_eq!(found(driver(Cell::Null)).await, [Cell::Integer(3)]);
    // The first time is included, the last one is not.
    let seen = |from, to| LookUp {
        time: Some(TimeRange { column: "seen".into(), from, to }),
        ..LookUp::default()
    };
    assert_eq!(found(seen(Some(10_000), Some(20_000))).await, [Cell::Integer(1)]);
    assert_eq!(found(seen(Some(10_001), None)).await, [Cell::Integer(2), Cell::Integer(3)]);
}

pub(crate) async fn a_wrong_look_up_says_what_is_wrong(store: &dyn TableStore) {
    claimed(store, Keep::Latest).await;
    let message = async |table: &str, query: LookUp| {
        store.look_up(table, &query).await.unwrap_err().to_string()
    };
    assert_eq!(message("boats", LookUp::default()).await, "there is no table `boats`");
    let order = Order { column: "_event_time".into(), direction: Direction::Ascending };
    assert_eq!(
        message("cars", LookUp { order: Some(order), ..LookUp::default() }).await,
        "table `cars` has no column `_event_time`"
    );
    let time = TimeRange { column: "car".into(), from: None, to: None };
    assert_eq!(
        message("cars", LookUp { time: Some(time), ..LookUp::default() }).await,
        "column `car` is not a timestamp"
    );
    let cursor = LookUp { cursor: Some("bm9wZQ".into()), ..LookUp::default() };
    assert!(matches!(store.look_up("cars", &cursor).await, Err(LookUpError::Cursor)));
}
