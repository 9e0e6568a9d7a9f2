//! Requests that devices would send over HTTP: made from a seed, or read from a file.
//!
//! Each source is an iterator; the request of number `n` is due `n / rate` seconds after the start.

mod cpu;
mod hoverboards;
mod recorded;

pub use cpu::CpuSettings;
pub use cpu::CpuSimulation;
pub use hoverboards::HoverboardSettings;
pub use hoverboards::HoverboardSimulation;
pub use recorded::ReadRequestsError;
pub use recorded::read_requests;

use bytes::Bytes;

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceRequest {
    /// Its method.
    pub method: String,
    /// Its path, with a query if it has one.
    pub path: String,
    /// Its headers.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Bytes,
}

impl DeviceRequest {
    /// A POST of JSON.
    fn json(path: &str, body: String) -> Self {
        Self {
            method: "POST".to_owned(),
            path: path.to_owned(),
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: body.into(),
        }
    }
}
