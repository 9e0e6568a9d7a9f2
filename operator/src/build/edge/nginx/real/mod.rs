//! The edge as it runs: nginx itself, by the configuration and the script that pods get, before pods
//! that say what reached them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers fail as tests do")]

mod bed;
mod changes;
mod dns;
mod lasting;
mod limits;
mod pods;
mod program;
mod requests;

use crate::fixture;
use crate::fixture::way_in;
use crate::pipeline::HttpWayIn;
use crate::pipeline::Pipeline;

/// A pipeline with ways in of all kinds.
fn pipeline(exposure: &str) -> Pipeline {
    let mut pipeline = fixture::pipeline();
    pipeline.exposure = serde_yaml_ng::from_str(exposure).unwrap();
    // As many as a machine for tests allows.
    pipeline.exposure.limits.connections = 1000;
    pipeline.ways_in.http = vec![
        way_in("/cars", "POST"),
        way_in("/api/v1/timestamp/{ts}", "POST"),
        way_in("/put/{id}", "PUT"),
        way_in("/a.b*", "POST"),
        HttpWayIn { max_body_bytes: 10, ..way_in("/small", "POST") },
        HttpWayIn { max_body_bytes: 16 << 20, ..way_in("/large", "POST") },
        HttpWayIn { websocket: true, ..way_in("/live/{device}", "GET") },
    ];
    pipeline
}
