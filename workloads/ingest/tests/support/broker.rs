//! A real mosquitto that tests start, kill and start again.

use std::time::Duration;

use millrace_services::Mosquitto;

/// A mosquitto on a port of its own that keeps its sessions in a folder.
pub struct Broker {
    server: Mosquitto,
    pub port: u16,
}

impl Broker {
    /// Starts it with lines added to its configuration.
    pub async fn start(extra: &str) -> Self {
        let extra = extra.to_owned();
        let server = tokio::task::spawn_blocking(move || Mosquitto::start(&extra)).await;
        let server = server.unwrap().unwrap();
        Self { port: server.port(), server }
    }

    /// Starts it again after it was killed.
    pub fn run(&mut self) {
        self.server.restart().unwrap();
    }

    pub fn kill(&mut self) {
        self.server.kill();
    }
}

/// Waits for a condition that another process brings about.
pub async fn until(mut condition: impl AsyncFnMut() -> bool) {
    let waited = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waited).await.expect("not within 30 s");
}
