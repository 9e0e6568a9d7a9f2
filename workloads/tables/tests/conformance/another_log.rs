//! Tables that were filled from a log that is gone.

use millrace_plan::model::Keep;
use millrace_plan::model::TablePlan;
use millrace_tables::CommitError;
use millrace_tables::TableStore;
use millrace_tables::export;

use super::car;
use super::claimed;
use super::content;
use super::partition;
use super::sink_table;
use super::spec;
use crate::fixtures::cars;

pub(crate) async fn another_log_is_read_from_its_beginning_and_rows_stay(store: &dyn TableStore) {
    let claim = claimed(store, Keep::Latest).await;
    assert!(!store.begin_anew(&[]).await.unwrap());
    store.commit(&claim, "cars", &[car(1, Some("former"), 10, 1)], 0, 500).await.unwrap();
    assert!(store.begin_anew(&[]).await.unwrap());
    assert!(!store.begin_anew(&[]).await.unwrap());
    // Who wrote before has to claim again.
    for from in [0, 500] {
        let row = car(1, Some("late"), 99, 1);
        let refused = store.commit(&claim, "cars", &[row], from, 501).await;
        assert!(matches!(refused, Err(CommitError::Fenced { .. })), "{refused:?}");
    }
    let (claim, next) = store.claim(&partition()).await.unwrap();
    assert_eq!(next, 0);
    store.commit(&claim, "cars", &[car(2, Some("new"), 9, 1)], 0, 1).await.unwrap();
    // Times are those of the events still.
    store.commit(&claim, "cars", &[car(1, Some("earlier"), 9, 1)], 1, 2).await.unwrap();
    let content = content(store, Keep::Latest).await;
    assert!(content.contains("[1,\"former\","), "{content}");
    assert!(content.contains("[2,\"new\","), "{content}");
}

pub(crate) async fn what_arrived_from_another_log_came_before_all_that_arrives(
    store: &dyn TableStore,
) {
    let claim = claimed(store, Keep::Latest).await;
    store.commit(&claim, "cars", &[car(1, Some("former"), 499, 9)], 0, 500).await.unwrap();
    assert!(store.begin_anew(&[sink_table(0)]).await.unwrap());
    let (claim, _) = store.claim(&partition()).await.unwrap();
    store.commit(&claim, "cars", &[car(1, Some("new"), 0, 1)], 0, 1).await.unwrap();
    let content = content(store, Keep::Latest).await;
    assert!(content.contains("[1,\"new\","), "{content}");
}

pub(crate) async fn rows_of_several_logs_stay_in_the_order_of_their_arrival(
    store: &dyn TableStore,
) {
    let plan = TablePlan { primary_key: Vec::new(), ..cars(Keep::All) };
    store.ensure_tables(&[spec(plan.clone())]).await.unwrap();
    for (log, drivers) in [["a", "b"], ["c", "d"], ["e", "f"]].into_iter().enumerate() {
        store.begin_anew(&[sink_table(0)]).await.unwrap();
        let (claim, _) = store.claim(&partition()).await.unwrap();
        let id = u8::try_from(log).unwrap();
        let rows = [car(1, Some(drivers[0]), 0, 9 - id), car(1, Some(drivers[1]), 1, 5 - id)];
        store.commit(&claim, "cars", &rows, 0, 2).await.unwrap();
    }
    let rows = export(store, &plan).await.unwrap();
    let drivers: Vec<&str> = rows.lines().skip(1).map(|row| &row[4..5]).collect();
    assert_eq!(drivers, ["a", "b", "c", "d", "e", "f"], "{rows}");
}
