//! Settings of `window`.

use std::time::Duration;

use millrace_core::FieldPath;

/// Settings of `window`.
#[derive(Debug, Clone, PartialEq)]
pub struct WindowSettings {
    /// Which windows there are.
    pub span: WindowSpan,
    /// Fields whose values make a group; empty: the key of the events.
    pub by: Vec<FieldPath>,
    /// What is computed, in declared order.
    pub compute: Vec<Aggregate>,
    /// Windows without events that are reported between two that have some, at most.
    pub empty_windows: usize,
    /// Groups remembered per task; events of further ones are dead letters.
    pub max_groups: usize,
}

/// Which windows there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WindowSpan {
    /// Windows `[start, start + size)` with `start = offset + n * every`, in event-time
    /// milliseconds since 1970. Tumbling windows have `every == size`; else `size` is a multiple of
    /// `every`.
    Aligned {
        /// Length in milliseconds.
        size: i64,
        /// How often one begins, in milliseconds.
        every: i64,
        /// Shift of all windows in milliseconds, at least 0 and below `every`.
        offset: i64,
    },
    /// Windows that end when nothing came for a while.
    Session {
        /// How long.
        gap: Duration,
        /// The longest session.
        longest: Duration,
    },
}

/// A field of a window's result.
#[derive(Debug, Clone, PartialEq)]
pub struct Aggregate {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: AggregateKind,
}

/// What is computed.
#[derive(Debug, Clone, PartialEq)]
pub enum AggregateKind {
    /// Number of events.
    Count,
    /// Exact sum.
    Sum(FieldPath),
    /// Lowest value.
    Min(FieldPath),
    /// Highest value.
    Max(FieldPath),
    /// Exact sum divided by the number of values.
    Mean(FieldPath),
    /// A quantile within 1 %.
    Quantile {
        /// The number.
        of: FieldPath,
        /// Which, 0 to 1.
        q: f64,
    },
    /// Number of values per division.
    Histogram {
        /// The number.
        of: FieldPath,
        /// Bounds, strictly ascending, at least 2.
        bounds: Vec<f64>,
    },
}
