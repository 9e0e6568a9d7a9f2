//! An API server for tests: what it answers at which path.

use std::convert::Infallible;
use std::sync::Arc;

use hyper::Request;
use hyper::Response;
use kube::Client;
use kube::client::Body;
use serde_json::Value;
use serde_json::json;
use tower::service_fn;

use crate::cluster::Cluster;
use crate::pipeline::Pipeline;

/// A cluster that answers so, and knows nothing else.
pub(crate) fn cluster(answers: Vec<(&'static str, u16, Value)>) -> Cluster {
    let answers = Arc::new(answers);
    let server = service_fn(move |request: Request<Body>| {
        let answers = Arc::clone(&answers);
        async move {
            let path = request.uri().path();
            let answer = answers.iter().find(|(known, ..)| *known == path);
            let unknown = refusal(404, "the server could not find the requested resource");
            let (code, body) = answer.map_or((404, &unknown), |(_, code, body)| (*code, body));
            let response =
                Response::builder().status(code).body(Body::from(body.to_string().into_bytes()));
            Ok::<_, Infallible>(response.unwrap())
        }
    });
    Cluster { client: Client::new(server, "factory"), namespace: "factory".to_owned() }
}

/// What an API server says of a request that it refuses.
pub(crate) fn refusal(code: u16, message: &str) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message,
        "reason": "", "code": code})
}

/// A pipeline as an API server has it.
pub(crate) fn pipeline(name: &str, spec: &Value, status: &Value) -> Pipeline {
    let object = json!({
        "apiVersion": "millrace.dev/v1alpha1", "kind": "TelemetryPipeline",
        "metadata": {"name": name, "namespace": "factory", "uid": "1"},
        "spec": spec, "status": status,
    });
    Pipeline(serde_json::from_value(object).unwrap())
}
