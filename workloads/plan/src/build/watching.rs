//! Settings of `geofence`, `dedupe`, `enrich` and `alert`.

use millrace_api as api;

use super::checks::Checks;
use super::operators::condition;
use super::operators::metres;
use crate::model::AlertSettings;
use crate::model::Area;
use crate::model::DedupeSettings;
use crate::model::EnrichSettings;
use crate::model::Fence;
use crate::model::GeofenceSettings;
use crate::model::Missing;

pub(super) fn geofence(
    at: &str,
    spec: &api::GeofenceSpec,
    checks: &mut Checks,
) -> GeofenceSettings {
    let mut fences: Vec<Fence> = Vec::new();
    for (index, fence) in spec.fences.iter().enumerate() {
        let at = format!("{at}.fences[{index}]");
        if fences.iter().any(|other| other.name == *fence.name) {
            checks.error_with_hint(
                format!("{at}.name"),
                format!("another fence is named `{}` already", fence.name),
                "write another name",
            );
        }
        if let Some(area) = area(&at, fence, checks) {
            fences.push(Fence { name: fence.name.to_string(), area });
        }
    }
    for (index, what) in spec.emit.iter().enumerate() {
        if spec.emit[..index].contains(what) {
            let at = format!("{at}.emit[{index}]");
            checks.error_with_hint(at, "stands twice", "leave one out");
        }
    }
    let emits = |what| spec.emit.contains(&what);
    GeofenceSettings {
        entity: checks.path(&format!("{at}.entity"), &spec.entity),
        latitude: checks.path(&format!("{at}.latitude"), &spec.latitude),
        longitude: checks.path(&format!("{at}.longitude"), &spec.longitude),
        fences,
        enter: emits(api::FenceEventSpec::Enter),
        leave: emits(api::FenceEventSpec::Leave),
        inside: emits(api::FenceEventSpec::Inside),
        max_entities: Checks::count(spec.max_entities),
    }
}

fn area(at: &str, fence: &api::FenceSpec, checks: &mut Checks) -> Option<Area> {
    match (&fence.circle, &fence.polygon) {
        (Some(circle), None) => Some(Area::Circle {
            center: (circle.center.latitude, circle.center.longitude),
            radius: metres(&format!("{at}.circle.radius"), &circle.radius, "radius", checks)?,
        }),
        (None, Some(points)) => {
            let mut distinct: Vec<_> =
                points.iter().map(|p| (p.latitude.to_bits(), p.longitude.to_bits())).collect();
            distinct.sort_unstable();
            distinct.dedup();
            if distinct.len() < 3 {
                checks.error_with_hint(
                    format!("{at}.polygon"),
                    "has fewer than three different points and no area",
                    "write its corners, each once",
                );
            }
            Some(Area::Polygon(points.iter().map(|p| (p.latitude, p.longitude)).collect()))
        }
        _ => {
            checks.error(at, "write exactly one of circle and polygon");
            None
        }
    }
}

pub(super) fn dedupe(at: &str, spec: &api::DedupeSpec, checks: &mut Checks) -> DedupeSettings {
    DedupeSettings {
        by: checks.optional_path(&format!("{at}.by"), spec.by.as_ref()),
        within: checks.positive_duration(&format!("{at}.within"), &spec.within),
        max_keys: Checks::count(spec.max_keys),
    }
}

pub(super) fn enrich(at: &str, spec: &api::EnrichSpec, checks: &mut Checks) -> EnrichSettings {
    checks.paths(&format!("{at}.on"), &spec.on);
    EnrichSettings {
        with: spec.with.to_string(),
        field: spec.field.to_string(),
        missing: match spec.missing {
            api::MissingSpec::Null => Missing::Null,
            api::MissingSpec::Drop => Missing::Drop,
            api::MissingSpec::DeadLetter => Missing::DeadLetter,
        },
        max_age: spec
            .max_age
            .as_ref()
            .map(|age| checks.positive_duration(&format!("{at}.maxAge"), age)),
        max_keys: Checks::count(spec.max_keys),
    }
}

pub(super) fn alert(at: &str, spec: &api::AlertSpec, checks: &mut Checks) -> Option<AlertSettings> {
    Some(AlertSettings {
        by: checks.paths(&format!("{at}.by"), &spec.by),
        hold: checks.duration(&format!("{at}.for"), &spec.hold),
        until: checks.duration(&format!("{at}.until"), &spec.until),
        max_entities: Checks::count(spec.max_entities),
        when: condition(&format!("{at}.when"), &spec.when, checks)?,
    })
}
