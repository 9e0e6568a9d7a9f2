//! Pages of other sites.

use millrace_plan::model::ExposurePlan;

use crate::support::Served;

async fn served() -> Served {
    let origins = vec!["https://app.example".to_owned()];
    Served::new(&ExposurePlan { origins, ..ExposurePlan::default() }).await
}

#[tokio::test]
async fn browsers_are_told_what_listed_pages_may_do() {
    let served = served().await;
    let asked = served
        .request(
            "OPTIONS",
            "/who",
            &[
                "Origin: https://app.example",
                "Access-Control-Request-Method: POST",
                "Access-Control-Request-Headers: authorization,content-type",
            ],
        )
        .await;
    assert_eq!(asked.status, 204);
    assert_eq!(asked.header("access-control-allow-origin"), Some("https://app.example"));
    assert_eq!(asked.header("access-control-allow-headers"), Some("authorization,content-type"));
    assert_eq!(asked.header("access-control-allow-methods"), Some("GET, HEAD, POST, PUT, PATCH"));
    let answer = served.request("POST", "/who", &["Origin: https://app.example"]).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://app.example"));
    assert_eq!(answer.header("vary"), Some("Origin"));
}

#[tokio::test]
async fn other_pages_may_not_change_anything_and_not_read() {
    let served = served().await;
    let evil = "Origin: https://evil.example";
    let preflight = ["Access-Control-Request-Method: POST", evil];
    assert_eq!(served.request("OPTIONS", "/who", &preflight).await.status, 403);
    let refused = served.request("POST", "/who", &[evil]).await;
    assert_eq!(refused.status, 403);
    assert_eq!(refused.header("content-type"), Some("application/problem+json"));
    let socket = ["Upgrade: websocket", "Sec-WebSocket-Version: 13", evil];
    assert_eq!(served.get("/who", &socket).await.status, 403);
    let read = served.get("/who", &[evil]).await;
    assert_eq!((read.status, read.header("access-control-allow-origin")), (200, None));
}

#[tokio::test]
async fn devices_and_the_servers_own_pages_pass() {
    let served = served().await;
    assert_eq!(served.request("POST", "/who", &[]).await.status, 200);
    let own = ["Host: localhost:8080", "Origin: http://localhost:8080"];
    assert_eq!(served.request("POST", "/who", &own).await.status, 200);
    assert_eq!(served.get("/who", &[]).await.header("x-content-type-options"), Some("nosniff"));
}

#[tokio::test]
async fn a_foreign_name_that_leads_to_this_machine_reads_nothing() {
    let served = served().await;
    for host in ["Host: localhost:8080", "Host: 127.0.0.1:8080", "Host: app.example"] {
        assert_eq!(served.get("/who", &[host]).await.status, 200, "{host}");
    }
    let refused = served.get("/who", &["Host: rebound.example:8080"]).await;
    assert_eq!((refused.status, refused.body.contains("nobody")), (403, false));
    assert_eq!(served.get("http://rebound.example/who", &[]).await.status, 403);
}
