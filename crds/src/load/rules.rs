//! The CEL rules of the schema, evaluated as an API server evaluates them and with its words.

use kube::core::cel::Validator;
use serde_json::Value;

use super::Problem;

/// Evaluates every rule that applies to a new resource.
pub(super) fn check(schema: &Value, document: &Value) -> Result<(), Vec<Problem>> {
    Validator::new().validate(schema, document, None).map_err(|errors| {
        errors
            .into_vec()
            .into_iter()
            .map(|error| problem(&error.field_path, &error.message))
            .collect()
    })
}

/// Rules say what is wrong and, after a semicolon, what to write.
fn problem(path: &str, message: &str) -> Problem {
    match message.split_once("; ") {
        Some((wrong, write)) => Problem::new(path, wrong).hint(write),
        None => Problem::new(path, message),
    }
}
