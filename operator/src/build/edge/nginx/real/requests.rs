//! Who gets a request, and as what.

use std::net::Ipv4Addr;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use super::bed::Bed;
use super::pipeline;
use super::pods::Pod;
use super::pods::breaking;
use super::pods::until;

#[tokio::test]
async fn what_a_way_in_takes_goes_to_ingest_and_all_else_to_query() {
    let bed = Bed::start(&pipeline("{}")).await;
    for (line, pod) in [
        ("POST /cars", "ingest"),
        ("POST /cars?a=/b", "ingest"),
        ("GET /cars", "query"),
        ("POST /cars/", "query"),
        ("POST /Cars", "query"),
        ("POST /api/v1/timestamp/", "ingest"),
        ("POST /api/v1/timestamp/2026-01-01T00:00:00%2B01:00", "ingest"),
        ("POST /api/v1/timestamp/a%2Fb", "ingest"),
        ("POST /api/v1/timestamp/a/b", "query"),
        ("GET /api/v1/timestamp/1", "query"),
        ("PUT /put/1", "ingest"),
        ("POST /a.b*", "ingest"),
        ("POST /axb*", "query"),
        ("GET /live/1x", "ingest"),
        ("GET /", "query"),
        ("DELETE /cars", "query"),
    ] {
        if line == "GET /live/1x" {
            // It is no WebSocket, which ingest says.
            assert_eq!(bed.ask(&format!("{line} HTTP/1.1\r\n")).await.status, 400);
            continue;
        }
        let told = bed.ask(&format!("{line} HTTP/1.1\r\nContent-Length: 0\r\n")).await.told();
        let (method, uri) = line.split_once(' ').unwrap();
        assert_eq!(
            (told["pod"].as_str(), told["method"].as_str(), told["uri"].as_str()),
            (Some(pod), Some(method), Some(uri)),
            "{line}"
        );
    }
    assert_eq!(bed.errors(), "");
}

#[tokio::test]
async fn what_operators_reach_is_kept_back_however_it_is_written() {
    let bed = Bed::start(&pipeline("{}")).await;
    for path in [
        "/metrics",
        "/metrics/",
        "/metrics?x",
        "/livez",
        "/readyz",
        "//metrics",
        "/./metrics",
        "/x/../metrics",
        "/%6detrics",
        "/x/%2e%2e/metrics",
        "/x/..%2fmetrics",
        "/%2Fmetrics",
        "/metrics#x",
        "/api/v1/rebuilds",
        "/api//v1/rebuilds",
        "/api/v1/rebuilds/../status",
        "/api/v1/replays/..",
        "/api/v1/replays/7",
        "/api/v1/dead-letters/7/replay",
        "/api/v1/dead-letters/..%2f..%2f..%2fx",
        "/api/v1/backup",
        "http://race.example.com/metrics",
        "http://elsewhere/api/v1/backup",
    ] {
        for method in ["GET", "POST"] {
            let answer = bed.ask(&format!("{method} {path} HTTP/1.1\r\n")).await;
            assert_eq!(answer.status, 404, "{method} {path}");
            assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        }
    }
    // These are others for our processes as well.
    for path in ["/metricsx", "/api/v1/rebuildsx", "/Metrics", "/metrics;x", "/x/metrics"] {
        assert_eq!(bed.get(path).await.told()["pod"], "query", "{path}");
    }
}

#[tokio::test]
async fn a_request_is_passed_on_as_it_came_but_for_where_it_came_from() {
    let bed = Bed::start(&pipeline("{}")).await;
    let host = "race.example.com:8443";
    let answer = bed
        .exchange(&format!(
            "GET /a//b/./c%2Fd?x=%20 HTTP/1.1\r\nHost: {host}\r\nConnection: close, x-own\r\n\
             Authorization: Bearer a.b.c\r\ntraceparent: 00-1-2-01\r\nunder_score: 1\r\na.dot: 2\r\n\
             X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 7.7.7.7\r\nX-Forwarded-Proto: http\r\n\
             X-Forwarded-Host: evil\r\nX-Real-IP: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\n\
             Upgrade: h2c\r\n\r\n"
        ))
        .await;
    let told = answer.told();
    assert_eq!(told["uri"], "/a//b/./c%2Fd?x=%20");
    assert_eq!(
        told["headers"],
        serde_json::json!({
            "host": host,
            "x-forwarded-for": "127.0.0.1",
            "x-forwarded-proto": "https",
            "x-forwarded-host": host,
            "authorization": "Bearer a.b.c",
            "traceparent": "00-1-2-01",
            "under_score": "1",
            "a.dot": "2",
        })
    );
    assert_eq!(answer.header("server"), Some("nginx"));
}

#[tokio::test]
async fn what_could_be_two_requests_is_refused() {
    let bed = Bed::start(&pipeline("{}")).await;
    for lines in [
        "POST /cars HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        "POST /cars HTTP/1.1\r\nContent-Length: 4\r\nContent-Length: 5\r\n",
        "POST /cars HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n",
        "POST /cars HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "POST /cars HTTP/1.1\r\nHost: b\r\n",
        "GET /\u{1} HTTP/1.1\r\n",
        "GET / HTTP/1.1\r\nX : 1\r\n",
        "GET /%00 HTTP/1.1\r\n",
    ] {
        let answer = bed.ask(lines).await;
        assert!(matches!(answer.status, 400 | 501), "{lines:?}: {answer:?}");
    }
}

#[tokio::test]
async fn plain_http_is_shown_the_way() {
    let bed = Bed::start(&pipeline("{}")).await;
    let answer = bed
        .exchange_plainly("POST /a//b?c=d HTTP/1.1\r\nHost: Race.example.com:80\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        .await;
    assert_eq!(answer.status, 301);
    assert_eq!(answer.header("location"), Some("https://race.example.com/a//b?c=d"));
    let healthy = "GET /healthz HTTP/1.1\r\nHost: 10.0.0.1\r\nConnection: close\r\n\r\n";
    assert_eq!(bed.exchange_plainly(healthy).await.body, "ok\n");
    // Who speaks it on the port of HTTPS stays at the port that was asked.
    let request =
        "GET /a?b=c HTTP/1.1\r\nHost: race.example.com:30443\r\nConnection: close\r\n\r\n";
    let answer = bed.exchange_plainly_at(bed.places.https, request).await;
    assert_eq!(answer.status, 301);
    assert_eq!(answer.header("location"), Some("https://race.example.com:30443/a?b=c"));
}

#[tokio::test]
async fn only_declared_hosts_are_served() {
    let bed = Bed::start(&pipeline("{hosts: [race.example.com, '*.cars.example']}")).await;
    let status = async |host: &str, plain: bool| {
        let request = format!("GET /x HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let answer =
            if plain { bed.exchange_plainly(&request).await } else { bed.exchange(&request).await };
        answer.status
    };
    for (host, over_tls, plainly) in [
        ("race.example.com", 200, 301),
        ("race.example.com:8443", 200, 301),
        ("a.cars.example", 200, 301),
        ("cars.example", 421, 421),
        ("127.0.0.1", 421, 421),
        ("evil.example", 421, 421),
    ] {
        assert_eq!(status(host, false).await, over_tls, "{host}");
        assert_eq!(status(host, true).await, plainly, "{host}");
    }
    let healthy = "GET /healthz HTTP/1.1\r\nHost: 10.0.0.1\r\nConnection: close\r\n\r\n";
    assert_eq!(bed.exchange_plainly(healthy).await.body, "ok\n");
}

#[tokio::test]
async fn behind_an_ingress_what_was_https_is_served_by_plain_http() {
    let bed = Bed::start(&pipeline("{mode: ingress, ingress: {className: nginx}}")).await;
    let ask = async |path: &str, scheme: &str| {
        bed.exchange_plainly(&format!(
            "GET {path} HTTP/1.1\r\nHost: race.example.com\r\n{scheme}Connection: close\r\n\r\n"
        ))
        .await
    };
    let https = "X-Forwarded-Proto: https\r\n";
    assert_eq!(ask("/x", https).await.told()["headers"]["x-forwarded-proto"], "https");
    assert_eq!(ask("/healthz", https).await.told()["pod"], "query");
    assert_eq!(ask("/metrics", https).await.status, 404);
    assert_eq!(ask("/x", "X-Forwarded-Proto: http\r\n").await.status, 301);
    assert_eq!(ask("/x", "").await.status, 301);
    assert_eq!(ask("/healthz", "").await.body, "ok\n");
}

#[tokio::test]
async fn a_request_goes_to_another_pod_only_if_it_has_reached_none() {
    let bed = Bed::start(&pipeline("{}")).await;
    let absent = Ipv4Addr::new(127, 0, 0, 9);
    let broken = Ipv4Addr::new(127, 0, 0, 10);
    let name = "race-ingest.factory.svc.cluster.local";
    // One of two pods is gone: no request notices.
    bed.names.set(name, &[absent, super::bed::INGEST]);
    for _ in 0..20 {
        let answer = bed.ask_with_body("POST /cars HTTP/1.1\r\nContent-Length: 2\r\n", "{}").await;
        assert_eq!(answer.status, 200);
    }
    // One of two closes after it has read: what may not be repeated is not.
    let requests = breaking(broken, bed.places.ingest_http).await;
    bed.names.set(name, &[broken]);
    until("the broken pod alone is known", async || {
        bed.ask("POST /cars HTTP/1.1\r\nContent-Length: 0\r\n").await.status == 503
    })
    .await;
    bed.names.set(name, &[broken, super::bed::INGEST]);
    until("both pods are known", async || {
        bed.ask("POST /cars HTTP/1.1\r\nContent-Length: 0\r\n").await.status == 200
    })
    .await;
    for line in ["POST /cars", "PUT /put/1"] {
        let before = requests.load(Ordering::Relaxed);
        let mut refused = 0;
        // One that failed is left alone for two seconds.
        let end = Instant::now() + Duration::from_secs(20);
        while refused < 3 && Instant::now() < end {
            let lines = format!("{line} HTTP/1.1\r\nContent-Length: 2\r\n");
            let answer = bed.ask_with_body(&lines, "{}").await;
            if answer.status == 503 {
                assert_eq!(answer.header("retry-after"), Some("1"));
                refused += 1;
            }
        }
        assert_eq!(refused, 3, "{line}");
        assert_eq!(requests.load(Ordering::Relaxed) - before, refused, "{line}");
    }
}

#[tokio::test]
async fn requests_alike_go_to_the_same_pod_while_it_lives() {
    for (balance, path, header) in [
        ("{header: X-Device}", "/cars", "X-Device: "),
        ("{query: device-id}", "/cars?a=1&device-id=", "X-Other: "),
    ] {
        let bed = Bed::start(&pipeline(&format!("{{edge: {{balance: {balance}}}}}"))).await;
        let pods: Vec<Ipv4Addr> =
            (2..=2).chain(20..22).map(|n| Ipv4Addr::new(127, 0, 0, n)).collect();
        for (pod, name) in pods[1..].iter().zip(["second", "third"]) {
            Pod::serve(name, *pod, bed.places.ingest_http).await;
        }
        let pod = async |device: usize| {
            let of = |it: &str| if it.ends_with('=') { device.to_string() } else { String::new() };
            let lines = format!(
                "POST {path}{} HTTP/1.1\r\n{header}{device}\r\nContent-Length: 0\r\n",
                of(path)
            );
            let told = bed.ask(&lines).await.told();
            told["pod"].as_str().unwrap().to_owned()
        };
        let places = async || {
            let mut places = Vec::new();
            for device in 0..30 {
                places.push(pod(device).await);
            }
            places
        };
        bed.followed(&pods[..2]).await;
        let before = places().await;
        assert!(["ingest", "second"].iter().all(|pod| before.iter().any(|place| place == pod)));
        assert_eq!(places().await, before);
        // With a third, some move there, and none between those that were there before.
        bed.followed(&pods).await;
        let after = places().await;
        assert!(after.iter().any(|place| place == "third"));
        for (before, after) in before.iter().zip(&after) {
            assert!(after == before || after == "third", "{before} {after}");
        }
        let errors = bed.errors();
        assert!(
            !["[warn]", "[error]", "[alert]", "[emerg]"].iter().any(|it| errors.contains(it)),
            "{errors}"
        );
    }
}

#[tokio::test]
async fn no_query_and_no_credentials_are_logged() {
    let bed = Bed::start(&pipeline("{}")).await;
    bed.ask("GET /seen?token=hidden-1 HTTP/1.1\r\nAuthorization: Bearer hidden-2\r\nReferer: http://x/?hidden-3\r\n")
        .await;
    bed.names.set("race-query.factory.svc.cluster.local", &[Ipv4Addr::new(127, 0, 0, 9)]);
    until("query is gone", async || bed.get("/gone?token=hidden-4").await.status == 503).await;
    until("the log is written", async || {
        bed.log().contains("\"path\":\"/gone\"") && bed.log().contains("\"path\":\"/seen\"")
    })
    .await;
    let (log, errors) = (bed.log(), bed.errors());
    assert!(!log.contains("hidden") && !errors.contains("hidden"), "{log}{errors}");
    for line in log.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }
}
