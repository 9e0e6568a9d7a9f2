//! `dedupe`, `enrich` and `alert`: processors that remember something per key.

use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;

use crate::text::Duration;
use crate::text::FieldName;
use crate::text::Name;
use crate::text::Path;
use crate::text::Vrl;

/// Passes on the first of several events of one value, drops the others and counts them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DedupeSpec {
    /// Field whose value makes events the same: a string or an integer. Default: the event's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Path>,
    /// For how much event time a value is remembered, from the event that was passed on;
    /// repetitions do not prolong it. Default `10m`.
    #[serde(default = "default_within")]
    pub within: Duration,
    /// Values remembered per partition, 1 to 100000000. Default 1000000; the oldest are forgotten
    /// first.
    #[serde(default = "default_max_keys")]
    #[schemars(range(min = 1, max = 100_000_000))]
    pub max_keys: i32,
}

/// Adds to each event the value that another stream had for the same key at the event's time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnrichSpec {
    /// Stream or processor of the values. Its latest event of a key is the key's value; at equal
    /// times it comes first.
    pub with: Name,
    /// Fields of the events that hold the key of `with`, in its order; at most 8. Default: the
    /// key of what it reads.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub on: Vec<Path>,
    /// Field that takes the value.
    #[serde(rename = "as")]
    pub field: FieldName,
    /// What becomes of an event without a value: `null` in the field (default), `drop` or
    /// `deadLetter`.
    #[serde(default)]
    pub missing: MissingSpec,
    /// Values that are older than this, in event time, do not count. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<Duration>,
    /// Keys remembered per partition, 1 to 10000000. Default 100000; values of further ones are
    /// dead letters. Values older than `maxAge` do not count.
    #[serde(default = "super::default_max_entities")]
    #[schemars(range(min = 1, max = 10_000_000))]
    pub max_keys: i32,
}

/// What becomes of an event without a value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub enum MissingSpec {
    /// The field is null.
    #[default]
    Null,
    /// It is dropped, counted.
    Drop,
    /// It is a dead letter.
    DeadLetter,
}

/// Emits an event of `kind` `raised` when a condition has held for a while, and one of `kind`
/// `resolved` when it has not held for a while: each once. `since` is when that began, `timestamp`
/// when it was decided (both in milliseconds), `event` the event that decided it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AlertSpec {
    /// Program that is `true` while something is wrong.
    pub when: Vrl,
    /// Fields that say for whom, at most 8. Default: the key of what it reads. Each alert is
    /// raised and resolved on its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub by: Vec<Path>,
    /// How long the condition must hold, from its first event to the one that raises. Default
    /// `0s`: at once.
    #[serde(rename = "for", default = "default_hold")]
    pub hold: Duration,
    /// How long the condition must not hold until it is resolved. Default `0s`: at once.
    #[serde(default = "default_hold")]
    pub until: Duration,
    /// Whom it remembers per partition, 1 to 10000000. Default 100000; events of further ones
    /// are dead letters.
    #[serde(default = "super::default_max_entities")]
    #[schemars(range(min = 1, max = 10_000_000))]
    pub max_entities: i32,
}

fn default_within() -> Duration {
    "10m".into()
}

const fn default_max_keys() -> i32 {
    1_000_000
}

fn default_hold() -> Duration {
    "0s".into()
}
