//! The HTTP port of a process whose operators have another one.

use millrace_observe::ComponentKind;
use millrace_observe::State;
use serde_json::json;

use crate::fixtures::Served;
use crate::fixtures::letter;

#[tokio::test]
async fn outsiders_do_not_find_what_operators_may_do() {
    let served = Served::outside().await;
    served.append("dead-letters", 0, vec![letter("standings", b"{}")]).await;
    let json = &["Content-Type: application/json"];
    for (method, path) in [
        ("GET", "/api/v1/dead-letters"),
        ("GET", "/api/v1/dead-letters/0"),
        ("POST", "/api/v1/dead-letters/0/replay"),
        ("GET", "/api/v1/rebuilds"),
        ("POST", "/api/v1/rebuilds"),
        ("POST", "/api/v1/replays"),
        ("GET", "/api/v1/replays/1"),
        ("POST", "/api/v1/backup"),
    ] {
        let answer = served.request(method, path, json).await;
        let nothing = format!("there is nothing at `{path}`");
        assert_eq!((answer.status, answer.detail()), (404, nothing), "{method} {path}");
    }
    assert_eq!(served.get("/api/v1/tables").await.status, 200);
    assert_eq!(served.get("/metrics").await.status, 200);
    let described = served.get("/openapi.json").await.json();
    assert!(described["paths"]["/api/v1/tables"].is_object());
    assert_eq!(described["paths"]["/api/v1/dead-letters"], json!(null));
}

#[tokio::test]
async fn outsiders_are_not_told_what_other_systems_answered() {
    let reason = || State::Waiting("https://inside.example answered 500".into());
    let (inside, outside) = (Served::new().await, Served::outside().await);
    for served in [&inside, &outside] {
        let sink = served.observer.component(ComponentKind::Sink, "standings", None, None);
        sink.set(reason());
    }
    let told = inside.get("/api/v1/status").await.json();
    assert_eq!(told["components"][0]["reason"], "https://inside.example answered 500");
    let told = outside.get("/api/v1/status").await.json();
    let instead = "operators are told why, by `millrace status`";
    assert_eq!(told["components"][0]["reason"], instead);
    assert_eq!((&told["ready"], &told["reasons"]), (&json!(false), &json!([instead])));
}
