//! Recorded input: what lines become, in which order, and which files are refused.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail by panicking")]

mod support;

use std::error::Error as _;
use std::io::Write as _;
use std::sync::atomic::Ordering;

use millrace_ingest::Acceptor;
use millrace_ingest::FeedProgress;
use millrace_ingest::feed_file;
use millrace_ingest::feed_reader;
use millrace_observe::Observer;

fn line(race: &str, time: i64) -> String {
    format!(
        r#"{{"topic":"carCoordinates/{race}","payload":{{"timestamp":{time},"carIndex":1,"location":{{"lat":51.5,"long":-0.5}}}}}}"#
    )
}

fn race() -> (Acceptor, std::sync::Arc<support::MemoryLog>) {
    let log = support::race_log();
    let plan = support::plan(support::coordinates(), 1, vec![support::cars()]);
    (Acceptor::new(&plan, log.clone(), &Observer::default()), log)
}

#[tokio::test]
async fn lines_become_records_in_their_order_and_share_appends() {
    let (acceptor, log) = race();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    for time in 1..=2500 {
        writeln!(file, "{}", line("spa", time)).unwrap();
    }
    let mut seen = Vec::new();
    let done =
        feed_file(&acceptor, "cars", file.path(), |progress| seen.push(progress.lines)).await;
    assert_eq!(done.unwrap().lines, 2500);
    assert_eq!(seen, [1000, 2000, 2500]);
    let times: Vec<_> = log.records("coordinates", 0).iter().map(|r| r.event_time).collect();
    assert_eq!(times, (1..=2500).collect::<Vec<_>>());
    assert_eq!(log.records("coordinates", 0)[0].key, "spa");
    assert_eq!(log.attempts.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn an_invalid_payload_is_a_dead_letter_and_the_rest_goes_on() {
    let (acceptor, log) = race();
    let text = format!(
        "{}\n\n{{\"payload\": [1, 2],\"topic\":\"carCoordinates\"}}\n{}",
        line("spa", 1),
        line("spa", 2)
    );
    let done = feed_reader(&acceptor, "cars", text.as_bytes(), |_| {}).await.unwrap();
    assert_eq!(done, FeedProgress { lines: 4, bytes: text.len() as u64, refused: 1 });
    assert_eq!(log.records("coordinates", 0).len(), 2);
    assert_eq!(log.dead_letters()[0].original, "[1, 2]");
    assert_eq!(log.dead_letters()[0].stage, "ingest/cars");
}

#[tokio::test]
async fn a_line_of_another_form_ends_the_input_with_its_number() {
    let (acceptor, _) = race();
    let text = format!("{}\n{{\"topic\":\"a\"}}\n", line("spa", 1));
    let error = feed_reader(&acceptor, "cars", text.as_bytes(), |_| {}).await.unwrap_err();
    assert_eq!(error.to_string(), "line 2 is not `{\"topic\": …, \"payload\": …}`");
    assert_eq!(error.source().unwrap().to_string(), "missing field `payload` at line 1 column 13");
    let error = feed_reader(&acceptor, "bikes", text.as_bytes(), |_| {}).await.unwrap_err();
    assert_eq!(error.to_string(), "the pipeline has no way in `bikes`: write one of cars");
}

#[tokio::test]
async fn a_log_that_refuses_ends_the_input() {
    let (acceptor, log) = race();
    log.refuse(1);
    let error =
        feed_reader(&acceptor, "cars", line("spa", 1).as_bytes(), |_| {}).await.unwrap_err();
    assert_eq!(error.to_string(), "cannot store the input");
    assert!(log.records("coordinates", 0).is_empty());
}
