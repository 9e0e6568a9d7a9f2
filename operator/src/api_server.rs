//! For tests: an API server that is made of a map. It takes what is applied as it is, says that all of
//! its fields are ours, and gives it back.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers fail as tests do")]

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::http::Method;
use axum::http::Request;
use axum::http::Response;
use kube::Client;
use kube::client::Body;
use parking_lot::Mutex;
use serde_json::Value;
use serde_json::json;

use crate::owned::MANAGER;

/// Objects by their path, and what was asked for.
#[derive(Clone, Default)]
pub(crate) struct Server(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Value>,
    asked: Vec<String>,
}

impl Server {
    /// A client of it.
    pub(crate) fn client(&self) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move { Ok::<_, std::convert::Infallible>(server.answer(request).await) }
        });
        Client::new(service, "factory")
    }

    async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let body = body.collect_bytes().await.unwrap();
        let path = parts.uri.path().to_owned();
        let mut state = self.0.lock();
        let name = path.rsplit('/').take(2).collect::<Vec<_>>();
        let short = format!("{} {}/{}", parts.method, name[1], name[0]);
        let manager = parts.uri.query().unwrap_or_default().contains("scaling");
        state.asked.push(if manager { format!("{short} (scaling)") } else { short });
        let found = match parts.method {
            // Of lists only those of pods are asked for.
            Method::GET if name[0] == "pods" => {
                Some(json!({"kind": "List", "apiVersion": "v1", "metadata": {}, "items": []}))
            }
            Method::GET => state.objects.get(&path).cloned(),
            Method::DELETE => state.objects.remove(&path),
            Method::POST => Some(serde_json::from_slice(&body).unwrap()),
            Method::PATCH => {
                let mut object: Value = serde_json::from_slice(&body).unwrap();
                let fields = fields(&object);
                object["metadata"]["uid"] = format!("uid of {}", name[0]).into();
                object["metadata"]["managedFields"] = json!([{
                    "manager": MANAGER, "operation": "Apply", "apiVersion": "v1",
                    "fieldsType": "FieldsV1", "fieldsV1": fields,
                }]);
                state.objects.insert(path, object.clone());
                Some(object)
            }
            _ => panic!("{} is not answered", parts.method),
        };
        let (status, answer) = match found {
            Some(object) => (200, object),
            None => (
                404,
                json!({
                    "kind": "Status", "apiVersion": "v1", "status": "Failure",
                    "reason": "NotFound", "message": "not found", "code": 404,
                }),
            ),
        };
        Response::builder().status(status).body(answer.to_string().into_bytes().into()).unwrap()
    }

    /// What was asked for since the last time.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().asked)
    }

    /// What was written since the last time.
    pub(crate) fn written(&self) -> Vec<String> {
        let asked = self.asked().into_iter();
        asked.filter(|asked| !asked.starts_with("GET ")).collect()
    }

    /// Has an object that nobody has applied.
    pub(crate) fn put(&self, path: &str, object: Value) {
        self.0.lock().objects.insert(path.to_owned(), object);
    }

    /// An object as it is.
    pub(crate) fn object(&self, path: &str) -> Value {
        self.0.lock().objects[path].clone()
    }
}

/// All fields of a value, as the API server keeps them: lists as a whole.
fn fields(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            map.iter().map(|(key, value)| (format!("f:{key}"), fields(value))).collect()
        }
        _ => json!({}),
    }
}
