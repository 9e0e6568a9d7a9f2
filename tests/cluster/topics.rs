//! What is in a pipeline's streams, as it answers through its edge.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use crate::fleet::Fleet;
use crate::support::http::curl;

/// A record of a stream.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    /// All headers in one text.
    pub(crate) headers: String,
    pub(crate) value: Value,
}

/// All records of a stream, those of a partition in their order.
pub(crate) fn read(fleet: &Fleet, stream: &str) -> Vec<Found> {
    // Whoever looked for it last may have found where it was before a change.
    fleet.door.look();
    let url = fleet.door.url().unwrap();
    // The host that is declared while hosts are; and kube-proxy may be about to follow a change.
    let how = ["--header", "Host: localhost", "--retry", "10", "--retry-connrefused"];
    let mut all = Vec::new();
    for partition in 0.. {
        let mut from = 0;
        loop {
            let path = format!("api/v1/streams/{stream}/records?limit=1000&partition={partition}");
            let address = format!("{url}/{path}&from={from}");
            let answer = curl(&[&how[..], &[&address]].concat());
            if answer.status == 404 && partition > 0 {
                // There are no more partitions.
                return all;
            }
            assert_eq!(answer.status, 200, "{stream} {partition} {from}: {answer:?}");
            let page = answer.json();
            let records = page["records"].as_array().unwrap();
            all.extend(records.iter().map(found));
            let next = page["next"].as_i64().unwrap();
            if next == from {
                break;
            }
            from = next;
        }
    }
    all
}

fn found(record: &Value) -> Found {
    let headers = record["headers"].as_object().unwrap();
    let headers =
        headers.iter().map(|(name, value)| format!("{name}:{},", value.as_str().unwrap()));
    let value = record.get("value").cloned().unwrap_or_else(|| {
        let bytes = BASE64_STANDARD.decode(record["valueBase64"].as_str().unwrap()).unwrap();
        serde_json::from_slice(&bytes).unwrap()
    });
    Found { headers: headers.collect(), value }
}
