//! Whether an object is written. Pure.

use serde_json::Value;

use super::Target;
use crate::owned::Known;
use crate::owned::covers;
use crate::owned::has_replicas;

/// What becomes of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    /// It is as it is to be.
    Nothing,
    /// It is applied.
    Apply,
    /// Somebody else gets the number of pods, then it is applied.
    HandOverReplicas(i32),
    /// One of the same name is being deleted.
    Wait,
}

/// Decides about an object with this hash. `known` is the one that has its name.
pub(super) fn decide(
    known: Option<&Known>,
    target: Target<'_>,
    hash: &str,
    object: &Value,
) -> Decision {
    let Some(known) = known else { return Decision::Apply };
    if known.deleting {
        return Decision::Wait;
    }
    match known.owner.as_deref() {
        // Kept when a pipeline of this name was deleted, for this one.
        None => {}
        Some(owner) if owner == target.uid => {}
        // A former pipeline's: the garbage collector takes it.
        Some(_) => return Decision::Wait,
    }
    let owner = owner_of(object);
    let unchanged = known.applied.as_deref() == Some(hash)
        && known.owner.as_deref() == owner
        && covers(&known.fields, object);
    if unchanged {
        return Decision::Nothing;
    }
    let handed = object.pointer("/spec/replicas").is_none_or(Value::is_null);
    match &known.workload {
        Some(workload) if handed && has_replicas(&known.fields) => {
            Decision::HandOverReplicas(workload.wanted)
        }
        _ => Decision::Apply,
    }
}

fn owner_of(object: &Value) -> Option<&str> {
    object.pointer("/metadata/ownerReferences/0/uid").and_then(Value::as_str)
}
