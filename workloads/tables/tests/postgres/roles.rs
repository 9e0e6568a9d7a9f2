//! Who may do what.

use std::time::Duration;

use millrace_plan::model::ColumnType;
use millrace_plan::model::Keep;
use millrace_plan::model::TablePlan;
use millrace_tables::EnsureTableError;
use millrace_tables::TableStore;
use millrace_tables::export;
use millrace_tables::postgres::ConnectStoreError;
use millrace_tables::postgres::PostgresRole;
use millrace_tables::postgres::PostgresRoles;
use millrace_tables::postgres::PostgresStore;
use millrace_tables::postgres::PostgresUser;
use sqlx::Connection as _;
use sqlx::PgConnection;

use crate::conformance::car;
use crate::conformance::partition;
use crate::conformance::spec;
use crate::fixtures::cars;
use crate::fixtures::column;
use crate::place::Place;
use crate::place::ask;
use crate::place::run;
use crate::place::until;

/// Roles of the place's schema, with a user or two in each, whose password is `secret`.
fn roles(place: &Place) -> PostgresRoles {
    let schema = place.schema();
    let password = place.file("secret", "secret\n");
    let user = |name: &str, role| PostgresUser {
        name: format!("{schema}_{name}"),
        role,
        password_file: Some(password.clone()),
    };
    PostgresRoles {
        users: vec![
            user("w1", PostgresRole::Worker),
            user("w2", PostgresRole::Worker),
            user("q1", PostgresRole::Query),
            user("a1", PostgresRole::Analysts),
        ],
        ..PostgresRoles::of_schema(&schema)
    }
}

async fn provisioned() -> Place {
    let place = Place::shared();
    let roles = roles(&place);
    for _ in 0..2 {
        PostgresStore::provision(&place.settings, "cars", &roles).await.unwrap();
    }
    place
}

fn user(place: &Place, name: &str) -> Place {
    place.as_user(&format!("{}_{name}", place.schema()), "secret")
}

#[tokio::test(flavor = "multi_thread")]
async fn several_pipelines_of_a_database_may_be_provisioned_at_once() {
    for _ in 0..4 {
        let all: Vec<_> = (0..8).map(|_| tokio::spawn(provisioned())).collect();
        for one in all {
            one.await.unwrap();
        }
    }
}

#[tokio::test]
async fn each_role_may_do_what_its_processes_do_and_no_more() {
    let place = provisioned().await;
    let worker = user(&place, "w1").store().await;
    worker.ensure_tables(&[spec(cars(Keep::Latest))]).await.unwrap();
    let (claim, _) = worker.claim(&partition()).await.unwrap();
    worker.commit(&claim, "cars", &[car(1, None, 1, 1)], 0, 1).await.unwrap();

    let query = user(&place, "q1").store().await;
    query.ensure_tables(&[spec(cars(Keep::Latest))]).await.unwrap();
    assert_eq!(export(&query, &cars(Keep::Latest)).await.unwrap().lines().count(), 2);
    assert_eq!(query.positions("cars", 0).await.unwrap()[0].2, 1);
    let refused = query.claim(&partition()).await.unwrap_err().reason;
    assert!(refused.contains("read-only") || refused.contains("permission denied"), "{refused}");
    let plan = TablePlan { name: "boats".into(), ..cars(Keep::Latest) };
    let refused = query.ensure_tables(&[spec(plan)]).await;
    assert!(matches!(refused, Err(EnsureTableError::Create { .. })), "{refused:?}");

    let schema = place.schema();
    let url = place.url.rsplit_once('@').unwrap().1;
    let url = format!("postgres://{schema}_a1:secret@{url}");
    let mut analyst = PgConnection::connect(&url).await.unwrap();
    let count = format!("SELECT count(*)::text FROM {schema}.cars");
    assert_eq!(ask(&mut analyst, &count).await, "1");
    run(&mut analyst, "SET default_transaction_read_only = off").await.unwrap();
    for statement in [
        format!("INSERT INTO {schema}.cars SELECT * FROM {schema}.cars"),
        format!("DELETE FROM {schema}.cars"),
        format!("DROP TABLE {schema}.cars"),
        format!("UPDATE {schema}._millrace_positions SET next = 0"),
        format!("CREATE TABLE {schema}.mine (a int)"),
        format!("SET ROLE {schema}_worker"),
    ] {
        let refused = run(&mut analyst, &statement).await.unwrap_err();
        let code = refused.as_database_error().and_then(sqlx::error::DatabaseError::code);
        assert_eq!(code.as_deref(), Some("42501"), "{statement}: {refused}");
    }
}

#[tokio::test]
async fn a_user_takes_the_place_of_another_without_a_restart_and_alters_its_tables() {
    let place = provisioned().await;
    let worker = user(&place, "w1");
    let store = worker.store().await;
    store.ensure_tables(&[spec(cars(Keep::Latest))]).await.unwrap();
    let (claim, _) = store.claim(&partition()).await.unwrap();
    store.commit(&claim, "cars", &[car(1, None, 1, 1)], 0, 1).await.unwrap();

    let schema = place.schema();
    worker.become_user(&format!("{schema}_w2"), "secret");
    let mut session = place.session().await;
    run(&mut session, &format!("ALTER ROLE {schema}_w1 NOLOGIN")).await.unwrap();
    run(
        &mut session,
        &format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{schema}_w1'"
        ),
    )
    .await
    .unwrap();
    let rows = [car(2, None, 1, 1)];
    until("the other user writes", async || {
        store.commit(&claim, "cars", &rows, 1, 2).await.is_ok()
    })
    .await;
    let mut wider = cars(Keep::Latest);
    wider.columns.push(column("team", ColumnType::Text, true));
    store.ensure_tables(&[spec(wider)]).await.unwrap();
    let who = format!(
        "SELECT string_agg(DISTINCT usename || ' ' || application_name, ',') \
         FROM pg_stat_activity WHERE usename LIKE '{schema}%'"
    );
    assert_eq!(ask(&mut session, &who).await, format!("{schema}_w2 millrace cars"));
}

#[tokio::test]
async fn what_an_earlier_owner_made_belongs_to_the_workers_after_provisioning() {
    let place = Place::shared();
    let store = place.store().await;
    store.ensure_tables(&[spec(cars(Keep::Latest))]).await.unwrap();
    let (claim, _) = store.claim(&partition()).await.unwrap();
    store.commit(&claim, "cars", &[car(1, None, 1, 1)], 0, 1).await.unwrap();
    PostgresStore::provision(&place.settings, "cars", &roles(&place)).await.unwrap();
    let worker = user(&place, "w1").store().await;
    let mut wider = cars(Keep::Latest);
    wider.columns.push(column("team", ColumnType::Text, true));
    worker.ensure_tables(&[spec(wider.clone())]).await.unwrap();
    assert_eq!(worker.claim(&partition()).await.unwrap().1, 1);
    assert_eq!(export(&worker, &wider).await.unwrap().lines().count(), 2);
}

#[tokio::test]
async fn who_cannot_log_in_or_make_the_schema_learns_what_to_do() {
    let place = provisioned().await;
    let stranger = place.as_user(&format!("{}_w1", place.schema()), "wrong");
    let refused = tokio::time::timeout(
        Duration::from_secs(30),
        PostgresStore::connect(&stranger.settings, "cars"),
    )
    .await
    .unwrap()
    .map(|_| ())
    .unwrap_err()
    .to_string();
    assert!(refused.contains("check the files of user and password"), "{refused}");

    let mut reader = user(&place, "q1");
    reader.settings.schema = Some(format!("{}_other", place.schema()));
    let refused = PostgresStore::connect(&reader.settings, "cars").await.map(|_| ()).unwrap_err();
    assert!(matches!(refused, ConnectStoreError::Prepare { .. }), "{refused:?}");

    let mut misled = user(&place, "w1");
    misled.settings.role = Some("no_such_role".into());
    let refused = PostgresStore::connect(&misled.settings, "cars").await.map(|_| ()).unwrap_err();
    assert!(refused.to_string().contains("no_such_role"), "{refused}");

    let mut nowhere = place.as_user("x", "y");
    nowhere.settings.password_file = Some("/nonexistent/password".into());
    let refused = PostgresStore::connect(&nowhere.settings, "cars").await.map(|_| ()).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "cannot read the password from /nonexistent/password: mount the file, or correct its path \
         in postgres.yaml"
    );
}
