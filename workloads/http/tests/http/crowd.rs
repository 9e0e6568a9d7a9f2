//! Ten thousand connections that do nothing.
#![allow(clippy::print_stderr, reason = "the figure is of interest in itself")]

use millrace_http::raise_open_files;
use millrace_plan::model::ExposurePlan;

use crate::support::Served;
use crate::support::ask;

/// Bytes of memory that a connection may cost at most, both its ends together.
const MOST: u64 = 8 * 1024;

/// Resident memory of this process, in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_idle_connections_cost_little_and_others_are_served() {
    let files = raise_open_files().unwrap();
    // Both ends are in this process.
    let count = files.saturating_sub(500).div_euclid(2).min(10_000);
    let served = Served::new(&ExposurePlan::default()).await;
    assert_eq!(served.get("/who", &[]).await.status, 200);
    let before = resident();
    let mut crowd = Vec::new();
    for number in 0..count {
        let mut connection = served.connect().await;
        // Every other one has had an answer before it went quiet.
        if number % 2 == 0 {
            assert_eq!(ask(&mut connection, "GET", "/who", &[]).await.status, 200);
        }
        crowd.push(connection);
    }
    #[expect(clippy::cast_precision_loss, reason = "at most ten thousand")]
    served.metric_becomes("millrace_http_open_connections", count as f64).await;
    // All of them have gone to rest.
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    let each = resident().saturating_sub(before) / count;
    eprintln!("{count} connections, {each} bytes each");
    assert!(each < MOST, "{each} bytes a connection");
    assert_eq!(served.get("/who", &[]).await.status, 200);
    for connection in crowd.iter_mut().step_by(1000) {
        assert_eq!(ask(connection, "GET", "/who", &[]).await.status, 200);
    }
}
