//! A server that fails, and comes back.

use millrace_plan::model::Keep;
use millrace_services::Postgres;
use millrace_services::PostgresOptions;
use millrace_tables::CommitError;
use millrace_tables::Row;
use millrace_tables::SinkClaim;
use millrace_tables::TableStore;
use millrace_tables::export;
use millrace_tables::postgres::PostgresStore;

use crate::conformance::car;
use crate::conformance::partition;
use crate::conformance::spec;
use crate::fixtures::cars;
use crate::place::Place;
use crate::place::until;

async fn filled(place: &Place) -> (PostgresStore, SinkClaim) {
    let store = place.store().await;
    store.ensure_tables(&[spec(cars(Keep::Latest))]).await.unwrap();
    let (claim, _) = store.claim(&partition()).await.unwrap();
    store.commit(&claim, "cars", &[car(1, None, 1, 1)], 0, 1).await.unwrap();
    (store, claim)
}

async fn refused(store: &PostgresStore, claim: &SinkClaim) -> String {
    match store.commit(claim, "cars", &[car(2, None, 1, 1)], 1, 2).await {
        Err(CommitError::Unavailable(reason)) => reason,
        other => panic!("{other:?}"),
    }
}

/// Commits until it succeeds; a commit that was made without a confirmation counts too.
async fn goes_on(store: &PostgresStore, claim: &SinkClaim) {
    until("commits go on", async || {
        match store.commit(claim, "cars", &[car(2, None, 1, 1)], 1, 2).await {
            Ok(_) | Err(CommitError::Position { found: 2, .. }) => true,
            Err(CommitError::Unavailable(_)) => false,
            other => panic!("{other:?}"),
        }
    })
    .await;
    assert_eq!(export(store, &cars(Keep::Latest)).await.unwrap().lines().count(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_killed_and_started_again_is_written_on() {
    let mut server = Postgres::start().unwrap();
    let place = Place::of(&server);
    let (store, claim) = filled(&place).await;
    server.kill();
    // Sessions may have heard of it before they ended.
    until("what to do is said", async || {
        refused(&store, &claim).await.contains("check that Postgres runs")
    })
    .await;
    assert!(export(&store, &cars(Keep::Latest)).await.is_err());
    server.restart().unwrap();
    goes_on(&store, &claim).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_answer_holds_no_one_for_longer_than_the_limit() {
    let mut server = Postgres::start().unwrap();
    let mut place = Place::of(&server);
    place.settings.statement_timeout = 1;
    let (store, claim) = filled(&place).await;
    server.pause().unwrap();
    let reason = refused(&store, &claim).await;
    assert!(reason.contains("did not answer") || reason.contains("no connection"), "{reason}");
    server.resume().unwrap();
    goes_on(&store, &claim).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_server_is_waited_for() {
    let mut server = Postgres::start().unwrap();
    let place = Place::of(&server);
    let (store, claim) = filled(&place).await;
    server.set_read_only(true).unwrap();
    let mut session = place.session().await;
    let session = tokio::sync::Mutex::new(&mut session);
    let shown = "SELECT current_setting('default_transaction_read_only')";
    until("it is read-only", async || {
        crate::place::ask(*session.lock().await, shown).await == "on"
    })
    .await;
    let reason = refused(&store, &claim).await;
    assert!(reason.contains("read-only"), "{reason}");
    assert_eq!(export(&store, &cars(Keep::Latest)).await.unwrap().lines().count(), 2);
    server.set_read_only(false).unwrap();
    goes_on(&store, &claim).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_waited_for() {
    let options = PostgresOptions { disk_mib: Some(200), ..PostgresOptions::default() };
    let started = Postgres::start_with(&options);
    // Only root can make a small disk.
    let Ok(mut server) = started else { return };
    let place = Place::of(&server);
    let (store, claim) = filled(&place).await;
    server.fill_disk().unwrap();
    let driver = "x".repeat(1000);
    let rows: Vec<Row> = (10..20_000).map(|number| car(number, Some(&driver), 1, 1)).collect();
    let full = store.commit(&claim, "cars", &rows, 1, 2).await;
    assert!(
        matches!(&full, Err(CommitError::Unavailable(reason)) if reason.contains("free space")),
        "{full:?}"
    );
    assert_eq!(store.positions("cars", 0).await.unwrap()[0].2, 1);
    server.free_disk().unwrap();
    goes_on(&store, &claim).await;
}
