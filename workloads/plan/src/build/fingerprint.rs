//! Fingerprints: what the state of an operator depends on, so that state which was made under
//! other settings is never read.
//!
//! Settings that only decide what is done with state (limits, `hold`, units of outputs) are left
//! out, and so are names of processors.

use super::keying::Keyed;
use super::keying::KeyedProcessor;
use super::keying::declared_texts;
use crate::model::AggregateKind;
use crate::model::DistanceModel;
use crate::model::LapRule;
use crate::model::Operation;
use crate::model::WindowSettings;

/// Raised when the meaning of state changes with the program's version.
const VERSION: &str = "1";

/// Hash of everything that the state of an operator depends on.
pub(super) fn fingerprint(keyed: &Keyed, processor: &KeyedProcessor) -> String {
    let operation = &processor.operation;
    let mut parts = vec![VERSION.to_owned(), operation.kind().to_owned()];
    parts.extend(settings(operation));
    if !matches!(operation, Operation::Map(_) | Operation::Filter(_) | Operation::Rekey) {
        // State is kept per partition of the input, and is a sum over what was read.
        parts.push(processor.input.partitions.to_string());
        parts.extend(declared_texts(&processor.input).into_iter().map(str::to_owned));
        parts.push("from".to_owned());
        parts.extend(keyed.sources_of(processor).into_iter().map(str::to_owned));
    }
    let mut hasher = blake3::Hasher::new();
    for part in &parts {
        hasher.update(&(part.len() as u64).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize().to_hex()[..32].to_owned()
}

fn settings(operation: &Operation) -> Vec<String> {
    match operation {
        Operation::Map(_) | Operation::Filter(_) | Operation::Rekey => Vec::new(),
        Operation::Motion(motion) => vec![
            motion.entity.to_string(),
            motion.latitude.to_string(),
            motion.longitude.to_string(),
            match motion.distance {
                DistanceModel::Haversine => "haversine".to_owned(),
                DistanceModel::Wgs84 => "wgs84".to_owned(),
            },
        ],
        Operation::Rank(rank) => {
            vec![rank.group.to_string(), rank.entity.to_string(), rank.by.to_string()]
        }
        Operation::Window(window)
        | Operation::WindowPartial(window)
        | Operation::WindowCombine { window, .. } => window_settings(window),
        Operation::Geofence(geofence) => {
            let mut parts = vec![
                geofence.entity.to_string(),
                geofence.latitude.to_string(),
                geofence.longitude.to_string(),
            ];
            parts.extend(geofence.fences.iter().map(|fence| format!("{fence:?}")));
            parts
        }
        Operation::Dedupe(dedupe) => dedupe.by.iter().map(ToString::to_string).collect(),
        Operation::Enrich(enrich) => vec![enrich.with.clone()],
        Operation::Alert(alert) => {
            let mut parts = vec![alert.when.source().to_owned()];
            parts.extend(alert.by.iter().map(ToString::to_string));
            parts
        }
        Operation::Laps(laps) => {
            let mut parts = vec![laps.entity.to_string()];
            match &laps.by {
                LapRule::Length { metres, total_distance } => {
                    parts.push("length".to_owned());
                    parts.push(metres.to_bits().to_string());
                    parts.push(total_distance.to_string());
                }
                LapRule::Gate { points, latitude, longitude, total_distance } => {
                    parts.push("gate".to_owned());
                    for (latitude, longitude) in points {
                        parts.push(latitude.to_bits().to_string());
                        parts.push(longitude.to_bits().to_string());
                    }
                    parts.push(latitude.to_string());
                    parts.push(longitude.to_string());
                    parts.push(total_distance.to_string());
                }
            }
            parts
        }
    }
}

fn window_settings(window: &WindowSettings) -> Vec<String> {
    let mut parts = vec![format!("{:?}", window.span)];
    parts.extend(window.by.iter().map(ToString::to_string));
    for aggregate in &window.compute {
        parts.push(aggregate.name.clone());
        parts.push(match &aggregate.kind {
            AggregateKind::Count => "count".to_owned(),
            AggregateKind::Sum(of) => format!("sum {of}"),
            AggregateKind::Min(of) => format!("min {of}"),
            AggregateKind::Max(of) => format!("max {of}"),
            AggregateKind::Mean(of) => format!("mean {of}"),
            AggregateKind::Quantile { of, q } => format!("quantile {of} {}", q.to_bits()),
            AggregateKind::Histogram { of, bounds } => {
                let bounds = bounds.iter().map(|bound| bound.to_bits().to_string());
                format!("histogram {of} {}", bounds.collect::<Vec<_>>().join(" "))
            }
        });
    }
    parts
}
