//! Batches: what is stored of them, and which of their events are refused, and why.

use std::sync::atomic::Ordering;

use millrace_plan::model::*;
use serde_json::json;

use crate::server::*;

fn event(device: &str, cpu: i32) -> String {
    format!(r#"{{"device":"{device}","cpu":{cpu}}}"#)
}

#[tokio::test]
async fn lines_are_stored_as_they_came_by_one_append() {
    let server = serve(http()).await;
    let body = format!("\r\n{}\r\n\n {} \n\n", event("a", 1), event("b", 2));
    let answer = server.post_as(NDJSON, body).await;
    assert_eq!(answer.told(), (202, r#"{"accepted":2}"#));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(server.values(), [event("a", 1), event("b", 2)]);
    assert_eq!(server.log.attempts.load(Ordering::SeqCst), 1);
    assert_eq!(server.post_as(NDJSON, "\n").await.told(), (202, r#"{"accepted":0}"#));
}

#[tokio::test]
async fn an_array_is_a_batch_with_its_elements_as_they_came() {
    let server = serve(http()).await;
    let body = " [ {\"device\": \"a\", \"cpu\": 1.0},\n{\"device\":\"b\",\"cpu\":2}\t] ";
    assert_eq!(server.post(body).await.told(), (202, r#"{"accepted":2}"#));
    assert_eq!(server.values(), [r#"{"device": "a", "cpu": 1.0}"#, r#"{"device":"b","cpu":2}"#]);
    assert_eq!(server.post("[]").await.told(), (202, r#"{"accepted":0}"#));
}

#[tokio::test]
async fn an_array_that_is_not_json_to_its_end_is_refused_as_a_whole() {
    let server = serve(http()).await;
    let good = event("a", 1);
    for (body, detail) in [
        (format!("[{good}"), "the array does not end at line 1 column 24"),
        (format!("[{good},"), "the array does not end at line 1 column 25"),
        (format!("[{good},]"), "expected value at line 1 column 25"),
        (format!("[{good}\n {good}]"), "expected `,` or `]` at line 2 column 2"),
        (format!("[{good}]]"), "trailing characters at line 1 column 25"),
        (format!("[{good},\n{{\"cpu\":}}]"), "expected value at line 2 column 8"),
    ] {
        let told = server.post(&body).await.problem();
        assert_eq!(told, (400, format!("the body is not JSON: {detail}")), "{body}");
    }
    assert!(server.values().is_empty());
}

#[tokio::test]
async fn valid_events_of_a_batch_are_stored_and_the_others_told_with_their_lines() {
    let server = serve(http()).await;
    let body = format!("{}\n\n{{\"cpu\":\n{}\n{}\n", event("a", 1), event("b", 101), event("c", 3));
    let answer = server.post_as(NDJSON, body).await;
    assert_eq!(answer.status, 207);
    assert_eq!(
        answer.json(),
        json!({
            "accepted": 2,
            "rejected": 2,
            "errors": [
                {"index": 1, "line": 3, "status": 400,
                 "detail": "the body is not JSON: EOF while parsing a value at line 3 column 7"},
                {"index": 2, "line": 4, "status": 422,
                 "detail": "the event does not match the schema of stream `coordinates`: /cpu: 101 is greater than the maximum of 100",
                 "errors": [{"pointer": "/cpu", "detail": "101 is greater than the maximum of 100"}]},
            ],
        })
    );
    assert_eq!(server.values(), [event("a", 1), event("c", 3)]);
    let metrics = server.metrics();
    for line in [
        r#"millrace_http_events_received_total{route="cpu",result="stored"} 2"#,
        r#"millrace_http_events_received_total{route="cpu",result="notJson"} 1"#,
        r#"millrace_http_events_received_total{route="cpu",result="schema"} 1"#,
        r#"millrace_http_ingest_requests_total{route="cpu",status="207"} 1"#,
        r#"millrace_http_ingest_in_flight{route="cpu"} 0"#,
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
}

#[tokio::test]
async fn a_batch_of_which_all_is_refused_is_a_problem() {
    let server = serve(HttpIngest { invalid_status: 400, ..http() }).await;
    let answer = server.post(format!("[{},3]", event("a", -1))).await;
    assert_eq!(answer.problem(), (400, "all 2 events are refused".into()));
    assert_eq!(answer.json()["errors"][1]["index"], 1);
    assert_eq!(answer.json()["rejected"], 2);
}

#[tokio::test]
async fn lines_that_are_all_unreadable_are_answered_by_400() {
    let server = serve(http()).await;
    assert_eq!(
        server.post_as(NDJSON, "{\n{").await.problem(),
        (400, "all 2 events are refused".into())
    );
}

#[tokio::test]
async fn all_or_nothing_stores_nothing_where_one_event_is_invalid() {
    let server = serve(HttpIngest { all_or_nothing: true, ..http() }).await;
    let body = format!("{}\n{}\n", event("a", 1), event("b", 101));
    let answer = server.post_as(NDJSON, body).await;
    assert_eq!(answer.problem(), (422, "nothing is stored: 1 of 2 events are refused".into()));
    assert_eq!(answer.json()["errors"][0]["index"], 1);
    assert!(server.values().is_empty());
    assert_eq!(server.post_as(NDJSON, event("a", 1)).await.told(), (202, r#"{"accepted":1}"#));
}

#[tokio::test]
async fn more_events_than_allowed_are_refused() {
    let server = serve(HttpIngest { max_events: 2, ..http() }).await;
    let lines = |count| vec![event("a", 1); count].join("\n");
    assert_eq!(server.post_as(NDJSON, lines(2)).await.status, 202);
    assert_eq!(
        server.post_as(NDJSON, lines(3)).await.problem(),
        (413, "the request has more than 2 events".into())
    );
    assert_eq!(server.values().len(), 2);
}

#[tokio::test]
async fn more_blank_lines_than_events_are_allowed_are_refused() {
    let server = serve(HttpIngest { max_events: 2, ..http() }).await;
    let lines = |blank| format!("{}{}", "\n".repeat(blank), event("a", 1));
    assert_eq!(server.post_as(NDJSON, lines(2)).await.status, 202);
    let refused = server.post_as(NDJSON, lines(3)).await;
    assert_eq!(refused.problem().0, 400);
    assert_eq!(server.values().len(), 1);
}

#[tokio::test]
async fn a_thousand_refused_events_are_described_and_the_rest_counted() {
    let server = serve(http()).await;
    let answer = server.post_as(NDJSON, vec![event("a", -1); 1500].join("\n")).await;
    let json = answer.json();
    assert_eq!(answer.status, 422);
    assert_eq!(json["errors"].as_array().unwrap().len(), 1000);
    assert_eq!((&json["rejected"], &json["errorsOmitted"]), (&json!(1500), &json!(500)));
}

#[tokio::test]
async fn events_that_the_mapping_drops_are_counted() {
    let plan = mapped(http(), "if .cpu == 0 { abort }");
    let server = serve_all(measurements(), vec![plan]).await;
    let body = format!("{}\n{}", event("a", 0), event("b", 1));
    assert_eq!(server.post_as(NDJSON, body).await.told(), (202, r#"{"accepted":1,"dropped":1}"#));
    assert_eq!(server.post(event("a", 0)).await.told(), (202, ""));
    assert_eq!(server.values(), [r#"{"cpu":1,"device":"b"}"#]);
}
