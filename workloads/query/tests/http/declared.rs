//! Declared routes over real sockets: answers to the byte, pages, and what is refused.

use millrace_log::Entry;
use serde_json::json;

use crate::fixtures::Answer;
use crate::fixtures::Served;
use crate::fixtures::event;

const RESOURCE: &str = r#"
apiVersion: millrace.dev/v1alpha1
kind: TelemetryPipeline
metadata: {name: shop}
spec:
  streams:
    - {name: orders, key: [.id], eventTime: {path: .at, format: unixMillis}}
  ingest:
    - {name: orders, http: {path: "/orders/{number}", method: PUT}, to: orders}
  sinks:
    - name: orders
      from: [orders]
      table:
        keep: latest
        primaryKey: [id]
        columns:
          - {name: id, type: uuid}
          - {name: at, type: timestamp}
          - {name: customer, type: text}
          - {name: pieces, type: integer}
          - {name: price, type: double, nullable: true}
          - {name: gift, type: boolean}
          - {name: lines, type: json}
  query:
    routes:
      - {path: "/", constant: {}, respond: {body: '"Welcome!"'}}
      - path: /health
        constant: {}
        respond:
          status: 203
          body: '{"Status": "UP"}'
          headers: [{name: Cache-Control, value: '"max-age=" + "60"'}]
      - path: "/orders/{id}"
        one: {table: orders, where: [{column: id}]}
      - path: "/orders/{id}/short"
        one: {table: orders, where: [{column: id}]}
        respond:
          body: '{"at": .at, "asked": %path.id, "lines": .lines, "with": %query.with}'
          contentType: application/vnd.shop+json
      - path: "/orders/{id}/fails"
        one: {table: orders, where: [{column: id}]}
        respond: {body: 'int!(.customer)'}
      - path: /first
        one:
          table: orders
          where: [{column: customer}]
          order: {by: at}
          otherwise: {status: 202, body: '"NOBODY"'}
        respond: {body: 'string!(.customer)'}
      - path: /orders
        list: {table: orders, where: [{column: customer}, {column: pieces, parameter: n}], time: at, order: {by: at, descending: true}}
      - path: /count
        list: {table: orders, limit: 1000}
        respond: {body: '{"count": length(array!(.rows))}'}
      - path: "/by/{anything}"
        one: {table: orders, where: [{column: customer, parameter: anything}]}
"#;

fn order(number: u32, customer: &str) -> Entry {
    let at = i64::from(number) * 1000;
    let value = format!(
        r#"{{"id":"00000000-0000-0000-0000-{number:012}","at":{at},"customer":"{customer}","pieces":{number},"gift":false,"lines":[{{"big":9007199254740993}}]}}"#
    );
    event(&value, at)
}

async fn shop() -> Served {
    let served = Served::of(RESOURCE).await;
    let orders = [(1, "ada"), (2, "bob"), (3, "ada"), (4, "ada")];
    let orders = orders.into_iter().map(|(number, customer)| order(number, customer)).collect();
    served.append("orders", 0, orders).await;
    served.fill_tables().await;
    served
}

fn body(answer: &Answer) -> &str {
    std::str::from_utf8(&answer.body).unwrap()
}

const FIRST: &str = "/orders/00000000-0000-0000-0000-000000000001";

#[tokio::test]
async fn what_is_always_the_same_needs_no_table_and_may_stand_at_the_root() {
    let served = shop().await;
    let root = served.get("/").await;
    assert_eq!((root.status, body(&root)), (200, "Welcome!"));
    assert_eq!(root.header("content-type"), Some("text/plain; charset=utf-8"));
    let health = served.get("/health").await;
    assert_eq!((health.status, body(&health)), (203, r#"{"Status":"UP"}"#));
    assert_eq!(health.header("content-type"), Some("application/json"));
    assert_eq!(health.header("cache-control"), Some("max-age=60"));
    // What every pipeline has stays where it is.
    let page = served.get("/dashboard").await;
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(served.get("/livez").await.json(), json!({"live": true}));
}

#[tokio::test]
async fn a_row_is_found_by_its_key() {
    let served = shop().await;
    let found = served.get(FIRST).await;
    assert_eq!(found.status, 200);
    assert_eq!(
        body(&found),
        r#"{"id":"00000000-0000-0000-0000-000000000001","at":"1970-01-01T00:00:01Z","customer":"ada","pieces":1,"price":null,"gift":false,"lines":[{"big":9007199254740993}]}"#
    );
    let unknown = served.get("/orders/00000000-0000-0000-0000-000000000009").await;
    assert_eq!(unknown.status, 404);
    assert_eq!(
        unknown.detail(),
        "nothing is stored with `id` \"00000000-0000-0000-0000-000000000009\""
    );
    let short = served.get(&format!("{FIRST}/short?with=%C3%A4&with=b")).await;
    assert_eq!(short.header("content-type"), Some("application/vnd.shop+json"));
    assert_eq!(
        body(&short),
        r#"{"asked":"00000000-0000-0000-0000-000000000001","at":"1970-01-01T00:00:01Z","lines":[{"big":9007199254740993}],"with":["ä","b"]}"#
    );
    let head = served.request("HEAD", FIRST, &[]).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("content-length"), Some(&*found.body.len().to_string()));
}

#[tokio::test]
async fn the_first_row_or_else_something_is_answered() {
    let served = shop().await;
    let first = served.get("/first").await;
    assert_eq!((first.status, body(&first)), (200, "ada"));
    assert_eq!(body(&served.get("/first?customer=bob").await), "bob");
    let nobody = served.get("/first?customer=eve").await;
    assert_eq!((nobody.status, body(&nobody)), (202, "NOBODY"));
    assert_eq!(served.get("/by/eve").await.status, 404);
    assert_eq!(served.get("/by/bob").await.json()["pieces"], 2);
}

#[tokio::test]
async fn a_parameter_that_is_not_of_its_columns_type_is_refused_by_name() {
    let served = shop().await;
    for (path, detail) in [
        ("/orders/x", "parameter `id`: `x` is not a UUID"),
        ("/orders/", "parameter `id`: `` is not a UUID"),
        ("/orders?n=x", "parameter `n`: `x` is not an integer"),
        (
            "/orders?from=1000",
            "parameter `from`: `1000` is not a time: write RFC 3339 with an offset, such as 2026-01-01T00:00:00Z",
        ),
        ("/orders?limit=1001", "parameter `limit`: `1001` is not a whole number from 1 to 1000"),
        (
            "/orders?cursor=x",
            "parameter `cursor`: the cursor does not belong to this look-up: start without one",
        ),
        (
            "/orders?color=red",
            "parameter `color`: there is no such parameter here; there are limit, cursor, from, to, customer, n",
        ),
        ("/health?x=1", "parameter `x`: there is no such parameter here; there are none"),
        ("/first?customer=a&customer=b", "parameter `customer`: is given more than once"),
    ] {
        let answer = served.get(path).await;
        assert_eq!((answer.status, &*answer.detail()), (400, detail), "{path}");
    }
    let failed = served.get(&format!("{FIRST}/fails")).await;
    assert_eq!(failed.status, 500);
    assert_eq!(failed.detail(), "the answer that is declared for this address cannot be made");
}

#[tokio::test]
async fn rows_are_listed_by_pages_that_lead_to_one_another() {
    let served = shop().await;
    let pieces = |answer: &Answer| -> Vec<i64> {
        answer.json().as_array().unwrap().iter().map(|r| r["pieces"].as_i64().unwrap()).collect()
    };
    let all = served.get("/orders").await;
    assert_eq!((pieces(&all), all.header("link")), (vec![4, 3, 2, 1], None));
    let range = "/orders?from=1970-01-01T00:00:02Z&to=1970-01-01T01:00:04%2B01:00";
    assert_eq!(pieces(&served.get(range).await), [3, 2]);
    assert_eq!(pieces(&served.get("/orders?n=2").await), [2]);

    let mut seen = Vec::new();
    let mut path = "/orders?customer=ada&limit=2".to_owned();
    loop {
        let page = served.get(&path).await;
        seen.push(pieces(&page));
        let Some(link) = page.header("link") else { break };
        path = link.strip_prefix('<').unwrap().strip_suffix(">; rel=\"next\"").unwrap().to_owned();
        assert!(path.starts_with("/orders?customer=ada&limit=2&cursor="), "{path}");
    }
    assert_eq!(seen, [vec![4, 3], vec![1]]);
    assert_eq!(body(&served.get("/count").await), r#"{"count":4}"#);
}

#[tokio::test]
async fn another_method_is_refused_with_those_that_are_taken() {
    let served = shop().await;
    let json_type = ["Content-Type: application/json"];
    let deleted = served.request("DELETE", FIRST, &json_type).await;
    assert_eq!(deleted.status, 405);
    assert_eq!(deleted.header("allow"), Some("GET, HEAD, PUT"));
    assert_eq!(deleted.detail(), "this address takes GET and HEAD and PUT");
    assert_eq!(served.request("POST", "/health", &json_type).await.status, 405);
}

#[tokio::test]
async fn requests_are_counted_by_the_declared_path() {
    let served = shop().await;
    served.get(FIRST).await;
    let text = String::from_utf8(served.get("/metrics").await.body).unwrap();
    let line = r#"millrace_http_requests_total{method="GET",route="/orders/{id}",status="200"} 1"#;
    assert!(text.contains(line), "{text}");
}
