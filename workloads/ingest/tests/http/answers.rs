//! Answers by programs over the accepted event.

use millrace_plan::model::*;
use millrace_plan::program::Place;

use crate::client::send;
use crate::server::*;

fn respond(body: &str) -> ResponsePlan {
    ResponsePlan {
        status: 200,
        body: Some(program(body, Place::Response, &path("/cpu"))),
        content_type: None,
        headers: Vec::new(),
    }
}

async fn answering(respond: ResponsePlan) -> Server {
    serve(HttpIngest { respond: Some(respond), ..http() }).await
}

#[tokio::test]
async fn a_text_is_sent_as_it_is_and_anything_else_as_json() {
    let server = answering(respond(r#""from " + string!(.device)"#)).await;
    let answer = server.post(EVENT).await;
    assert_eq!(answer.told(), (200, "from d1"));
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    let server = answering(respond("{\"is\": .cpu}")).await;
    let answer = server.post(EVENT).await;
    assert_eq!(answer.told(), (200, r#"{"is":42.5}"#));
    assert_eq!(answer.header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn status_headers_and_content_type_are_those_that_are_declared() {
    let location = program(r#""/cpu/" + %id"#, Place::Response, &path("/cpu"));
    let server = answering(ResponsePlan {
        status: 201,
        content_type: Some("application/vnd.cpu+json".into()),
        headers: vec![("location".into(), location)],
        ..respond("{}")
    })
    .await;
    let answer = server.post(EVENT).await;
    assert_eq!(answer.told(), (201, "{}"));
    assert_eq!(answer.header("content-type"), Some("application/vnd.cpu+json"));
    let id = server.log.records("coordinates", 0)[0].id;
    assert_eq!(answer.header("location"), Some(&*format!("/cpu/{id}")));
}

#[tokio::test]
async fn an_answer_that_cannot_be_made_says_that_the_event_is_stored() {
    let server = answering(respond("to_int!(.device)")).await;
    let answer = server.post(EVENT).await;
    let (status, detail) = answer.problem();
    assert_eq!(status, 500);
    let begin = "the event is stored, but its answer could not be made: ";
    assert!(detail.starts_with(begin) && detail.contains("Invalid integer \"d1\""), "{detail}");
    let [record] = &server.log.records("coordinates", 0)[..] else { panic!() };
    assert_eq!(answer.json()["id"], record.id.to_string());
}

#[tokio::test]
async fn a_batch_is_answered_by_its_numbers_with_the_declared_status() {
    let server = answering(respond("{}")).await;
    assert_eq!(server.post_as(NDJSON, EVENT).await.told(), (200, r#"{"accepted":1}"#));
}

#[tokio::test]
async fn the_mapping_and_the_answer_see_the_same_id() {
    let http = HttpIngest {
        accept: vec![BodyKind::None],
        respond: Some(respond("{\"id\": .id, \"same\": .id == %id}")),
        ..http()
    };
    let map = ". = {\"device\": \"d\", \"cpu\": 1, \"id\": %id}";
    let server = serve_all(measurements(), vec![mapped(http, map)]).await;
    let answer = send(server.address, "POST /cpu", &[], "").await;
    let id = server.log.records("coordinates", 0)[0].id;
    assert_eq!(answer.told(), (200, &*format!(r#"{{"id":"{id}","same":true}}"#)));
}
