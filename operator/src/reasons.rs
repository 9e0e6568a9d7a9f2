//! Reasons of conditions and Events, in one place so that each word means one thing.

/// The resource is valid and what it asks for can be made.
pub const VALID: &str = "Valid";
/// The resource contradicts itself, or asks for what a cluster cannot give.
pub const INVALID: &str = "Invalid";
/// A Secret or ConfigMap that the resource names is missing, or a key of it.
pub const REFERENCE_MISSING: &str = "ReferenceMissing";
/// The resource was written for another version of the operator.
pub const UNREADABLE: &str = "Unreadable";
/// Everything runs.
pub const READY: &str = "Ready";
/// What was valid last runs, since the resource is not.
pub const LAST_VALID_RUNS: &str = "LastValidRuns";
/// Something is not there yet.
pub const WAITING: &str = "Waiting";
/// There is nothing that could run: the resource was never valid.
pub const NOT_MADE: &str = "NotMade";
/// A change is on its way.
pub const ROLLING_OUT: &str = "RollingOut";
/// Other pipelines change first, because the operator is another one.
pub const WAITS_FOR_TURN: &str = "WaitsForTurn";
/// Nothing changes.
pub const STEADY: &str = "Steady";
/// `paused: true`.
pub const PAUSED: &str = "Paused";
/// Nothing is wrong.
pub const HEALTHY: &str = "Healthy";
/// An object of this name exists that the operator did not make.
pub const NAME_TAKEN: &str = "NameTaken";
/// The API server refused an object.
pub const APPLY_FAILED: &str = "ApplyFailed";
/// An image cannot be pulled.
pub const IMAGE_PULL_FAILED: &str = "ImagePullFailed";
/// A container ends again and again.
pub const CRASHING: &str = "Crashing";
/// A pod cannot be placed on a node.
pub const UNSCHEDULABLE: &str = "Unschedulable";
/// A volume is not there.
pub const VOLUME_PENDING: &str = "VolumePending";
/// cert-manager has not made the edge's certificate yet.
pub const CERTIFICATE_PENDING: &str = "CertificatePending";
/// The Job that makes topics and tables failed.
pub const PROVISION_FAILED: &str = "ProvisionFailed";
/// A pod cannot be made, such as by a quota.
pub const PODS_REFUSED: &str = "PodsRefused";
/// The resource asks for more than it gets.
pub const ADJUSTED: &str = "Adjusted";
/// There are more workers than before.
pub const SCALED_UP: &str = "ScaledUp";
/// There are fewer workers than before.
pub const SCALED_DOWN: &str = "ScaledDown";
/// The workers do what comes in.
pub const KEEPS_UP: &str = "KeepsUp";
/// The workers are far behind, and do not catch up.
pub const FALLS_BEHIND: &str = "FallsBehind";
