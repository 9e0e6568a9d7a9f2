//! What processors do: their settings checked and their programs compiled.

use millrace_api as api;
use millrace_api::TelemetryPipelineSpec;

use super::checks::Checks;
use super::watching;
use super::window;
use crate::model::DistanceModel;
use crate::model::LapRule;
use crate::model::LapsSettings;
use crate::model::MotionSettings;
use crate::model::Operation;
use crate::model::RankSettings;
use crate::model::SpeedUnit;
use crate::program::Place;
use crate::program::Program;

/// The operations of processors, in the resource's order; none where something is wrong.
pub(super) fn operations(
    spec: &TelemetryPipelineSpec,
    checks: &mut Checks,
) -> Vec<Option<Operation>> {
    spec.processors
        .iter()
        .enumerate()
        .map(|(index, processor)| {
            let at = format!("spec.processors[{index}]");
            checks.paths(&format!("{at}.key"), &processor.key);
            operation(&at, processor, checks)
        })
        .collect()
}

fn operation(at: &str, processor: &api::ProcessorSpec, checks: &mut Checks) -> Option<Operation> {
    if let Some(map) = &processor.map {
        checks.program(&format!("{at}.map"), map, Place::Pipeline).map(Operation::Map)
    } else if let Some(filter) = &processor.filter {
        condition(&format!("{at}.filter"), filter, checks).map(Operation::Filter)
    } else if let Some(settings) = &processor.motion {
        Some(Operation::Motion(motion(&format!("{at}.motion"), settings, checks)))
    } else if let Some(settings) = &processor.rank {
        Some(Operation::Rank(rank(&format!("{at}.rank"), settings, checks)))
    } else if let Some(settings) = &processor.laps {
        laps(&format!("{at}.laps"), settings, checks).map(Operation::Laps)
    } else if let Some(settings) = &processor.window {
        let at = format!("{at}.window");
        let window = window::window(&at, settings, checks);
        Some(match &settings.combine {
            None => Operation::Window(window),
            Some(field) => {
                window::check_combine(&at, field, checks);
                Operation::WindowCombine { window, field: field.to_string() }
            }
        })
    } else if let Some(settings) = &processor.geofence {
        let at = format!("{at}.geofence");
        Some(Operation::Geofence(watching::geofence(&at, settings, checks)))
    } else if let Some(settings) = &processor.dedupe {
        Some(Operation::Dedupe(watching::dedupe(&format!("{at}.dedupe"), settings, checks)))
    } else if let Some(settings) = &processor.enrich {
        Some(Operation::Enrich(watching::enrich(&format!("{at}.enrich"), settings, checks)))
    } else if let Some(settings) = &processor.alert {
        watching::alert(&format!("{at}.alert"), settings, checks).map(Operation::Alert)
    } else {
        checks.error_with_hint(
            at,
            "does nothing",
            "write exactly one of map, filter, window, motion, rank, laps, geofence, dedupe, enrich and alert",
        );
        None
    }
}

pub(super) fn condition(at: &str, source: &str, checks: &mut Checks) -> Option<Program> {
    let program = checks.program(at, source, Place::Pipeline)?;
    if !program.returns_boolean() {
        checks.error_with_hint(
            at,
            "the last expression is not always true or false",
            "end the program with a comparison, such as `.kind == \"lap\"`",
        );
    }
    Some(program)
}

fn motion(at: &str, settings: &api::MotionSpec, checks: &mut Checks) -> MotionSettings {
    MotionSettings {
        entity: checks.path(&format!("{at}.entity"), &settings.entity),
        latitude: checks.path(&format!("{at}.latitude"), &settings.latitude),
        longitude: checks.path(&format!("{at}.longitude"), &settings.longitude),
        speed_unit: speed_unit(settings.speed_unit),
        max_speed: settings.max_speed,
        distance: match settings.distance {
            api::DistanceSpec::Haversine => DistanceModel::Haversine,
            api::DistanceSpec::Wgs84 => DistanceModel::Wgs84,
        },
        max_entities: Checks::count(settings.max_entities),
    }
}

fn rank(at: &str, settings: &api::RankSpec, checks: &mut Checks) -> RankSettings {
    RankSettings {
        group: checks.path(&format!("{at}.group"), &settings.group),
        entity: checks.path(&format!("{at}.entity"), &settings.entity),
        by: checks.path(&format!("{at}.by"), &settings.by),
        hold: checks.duration(&format!("{at}.hold"), &settings.hold),
        max_entities: Checks::count(settings.max_entities),
    }
}

fn laps(at: &str, settings: &api::LapsSpec, checks: &mut Checks) -> Option<LapsSettings> {
    let total_distance = checks.path(&format!("{at}.totalDistance"), &settings.total_distance);
    let by = match (&settings.length, &settings.gate) {
        (Some(length), None) => LapRule::Length {
            metres: metres(&format!("{at}.length"), length, "lap", checks)?,
            total_distance,
        },
        (None, Some(gate)) => {
            let at = format!("{at}.gate");
            let points = [gate.from, gate.to].map(|point| (point.latitude, point.longitude));
            if gate.from == gate.to {
                checks.error_with_hint(
                    format!("{at}.to"),
                    "is the same point as `from`",
                    "write the other end of the line",
                );
            }
            LapRule::Gate {
                points,
                latitude: checks.path(&format!("{at}.latitude"), &gate.latitude),
                longitude: checks.path(&format!("{at}.longitude"), &gate.longitude),
                total_distance,
            }
        }
        _ => {
            checks.error(at, "write exactly one of length and gate");
            return None;
        }
    };
    Some(LapsSettings {
        entity: checks.path(&format!("{at}.entity"), &settings.entity),
        by,
        min_lap_time: checks.duration(&format!("{at}.minLapTime"), &settings.min_lap_time),
        speed_unit: speed_unit(settings.speed_unit),
        max_entities: Checks::count(settings.max_entities),
    })
}

/// A length such as `5119.77m` in metres.
pub(super) fn metres(at: &str, length: &str, what: &str, checks: &mut Checks) -> Option<f64> {
    let unit = length.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(length.len());
    let (number, unit) = length.split_at(unit);
    let factor = match unit {
        "m" => Some(1.0),
        "km" => Some(1000.0),
        "mi" => Some(1609.344),
        _ => None,
    };
    let metres = factor.zip(number.parse::<f64>().ok()).map(|(factor, number)| number * factor);
    match metres {
        Some(metres) if metres >= 1.0 => Some(metres),
        Some(_) => {
            checks.error_with_hint(at, format!("`{length}` is no {what}"), "write `1m` or more");
            None
        }
        None => {
            checks.error_with_hint(
                at,
                format!("`{length}` is not a length"),
                "write a number and a unit (m, km, mi), such as `5119.77m`",
            );
            None
        }
    }
}

fn speed_unit(unit: api::SpeedUnitSpec) -> SpeedUnit {
    match unit {
        api::SpeedUnitSpec::Mps => SpeedUnit::MetresPerSecond,
        api::SpeedUnitSpec::Kmh => SpeedUnit::KilometresPerHour,
        api::SpeedUnitSpec::Mph => SpeedUnit::MilesPerHour,
        api::SpeedUnitSpec::Knots => SpeedUnit::Knots,
    }
}
