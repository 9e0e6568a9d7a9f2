//! Settings of `window`.

use millrace_api as api;
use millrace_core::FieldPath;

use super::checks::Checks;
use crate::model::Aggregate;
use crate::model::AggregateKind;
use crate::model::WindowSettings;
use crate::model::WindowSpan;

/// Fields that every result has.
const RESULT_FIELDS: [&str; 3] = ["timestamp", "start", "window"];

/// Longest window in hops.
const MAX_HOPS: i64 = 10_000;

/// The settings of a window.
pub(super) fn window(at: &str, spec: &api::WindowSpec, checks: &mut Checks) -> WindowSettings {
    let by = checks.paths(&format!("{at}.by"), &spec.by);
    check_groups(&format!("{at}.by"), &by, checks);
    let mut compute: Vec<Aggregate> = Vec::new();
    for (index, aggregate) in spec.compute.iter().enumerate() {
        let at = format!("{at}.compute[{index}]");
        let name = aggregate.name.to_string();
        let taken = RESULT_FIELDS.contains(&name.as_str())
            || compute.iter().any(|other| other.name == name)
            || by.iter().any(|path| first(path) == name);
        if taken {
            checks.error_with_hint(
                format!("{at}.name"),
                format!("the result has a field `{name}` already"),
                "write another name",
            );
        }
        if let Some(kind) = kind(&at, aggregate, checks) {
            compute.push(Aggregate { name, kind });
        }
    }
    WindowSettings {
        span: span(at, spec, checks),
        by,
        compute,
        empty_windows: Checks::count(spec.empty_windows),
        max_groups: Checks::count(spec.max_groups),
    }
}

fn span(at: &str, spec: &api::WindowSpec, checks: &mut Checks) -> WindowSpan {
    let mut millis = |at: String, text: &str| {
        let duration = checks.positive_duration(&at, text);
        i64::try_from(duration.as_millis()).unwrap_or(i64::MAX).max(1)
    };
    let (size, every) = match (&spec.tumbling, &spec.hopping, &spec.session) {
        (Some(size), None, None) => {
            let size = millis(format!("{at}.tumbling"), size);
            (size, size)
        }
        (None, Some(hopping), None) => (
            millis(format!("{at}.hopping.size"), &hopping.size),
            millis(format!("{at}.hopping.every"), &hopping.every),
        ),
        (None, None, Some(session)) => return self::session(at, session, &spec.offset, checks),
        _ => {
            checks.error(at, "write exactly one of tumbling, hopping and session");
            (1, 1)
        }
    };
    if size % every != 0 {
        checks.error_with_hint(
            format!("{at}.hopping.size"),
            format!("{size} ms is not a multiple of every ({every} ms)"),
            "write a multiple, such as size: 1m and every: 1s",
        );
    } else if size / every > MAX_HOPS {
        checks.error_with_hint(
            format!("{at}.hopping.size"),
            format!("{size} ms is more than {MAX_HOPS} times every ({every} ms)"),
            "write a shorter size, or a longer every",
        );
    }
    let offset = checks.duration(&format!("{at}.offset"), &spec.offset);
    let offset = i64::try_from(offset.as_millis()).unwrap_or(i64::MAX);
    if offset >= every && offset > 0 {
        checks.error_with_hint(
            format!("{at}.offset"),
            format!("{offset} ms shifts windows that begin every {every} ms by more than one"),
            "write less than that",
        );
    }
    WindowSpan::Aligned { size, every, offset }
}

/// Where groups are the keys: the fields of the key must have room in the result.
pub(super) fn check_key(at: &str, window: &WindowSettings, key: &[FieldPath], checks: &mut Checks) {
    let taken = key.iter().find(|path| {
        let name = first(path);
        RESULT_FIELDS.contains(&name)
            || window.compute.iter().any(|aggregate| aggregate.name == name)
    });
    if let Some(path) = taken {
        checks.error_with_hint(
            format!("{at}.by"),
            format!(
                "the result has a field `{}` already, which is also one of the key",
                first(path)
            ),
            "write the fields of the groups, or give what is computed another name",
        );
    }
}

/// The list of groups stands beside the report's own fields.
pub(super) fn check_combine(at: &str, field: &str, checks: &mut Checks) {
    if RESULT_FIELDS.contains(&field) {
        checks.error_with_hint(
            format!("{at}.combine"),
            format!("the result has a field `{field}` already"),
            "write another name",
        );
    }
}

/// Each field of a group stands in the result where the event had it.
fn check_groups(at: &str, by: &[FieldPath], checks: &mut Checks) {
    for (index, path) in by.iter().enumerate() {
        let at = format!("{at}[{index}]");
        let name = first(path);
        let within = |outer: &FieldPath, inner: &FieldPath| {
            inner.as_str().strip_prefix(outer.as_str()).is_some_and(|r| r.starts_with(['.', '[']))
        };
        if name.is_empty() {
            checks.error_with_hint(at, format!("`{path}` names no field"), "write a field");
        } else if RESULT_FIELDS.contains(&name) {
            checks.error_with_hint(
                at,
                format!("the result has a field `{name}` already"),
                "give it another name by a `map` before the window",
            );
        } else if let Some(other) =
            by[..index].iter().find(|other| within(other, path) || within(path, other))
        {
            let message = format!("`{path}` and `{other}` lie within each other");
            checks.error_with_hint(at, message, "leave one out");
        }
    }
}

/// The field of a path at the top of the event; empty for the event itself.
fn first(path: &FieldPath) -> &str {
    path.as_str().trim_start_matches('.').split(['.', '[']).next().unwrap_or_default()
}

fn session(at: &str, spec: &api::SessionSpec, offset: &str, checks: &mut Checks) -> WindowSpan {
    let gap = checks.positive_duration(&format!("{at}.session.gap"), &spec.gap);
    let longest = checks.positive_duration(&format!("{at}.session.longest"), &spec.longest);
    if longest < gap {
        checks.error_with_hint(
            format!("{at}.session.longest"),
            format!("`{}` is shorter than the gap of `{}`", spec.longest, spec.gap),
            "write a longer one",
        );
    }
    if !checks.duration(&format!("{at}.offset"), offset).is_zero() {
        checks.error_with_hint(
            format!("{at}.offset"),
            "sessions begin with their first event and cannot be shifted",
            "leave it out",
        );
    }
    WindowSpan::Session { gap, longest }
}

fn kind(at: &str, spec: &api::AggregateSpec, checks: &mut Checks) -> Option<AggregateKind> {
    let mut of = |name: &str, path: &api::Path| checks.path(&format!("{at}.{name}.of"), path);
    Some(if spec.count.is_some() {
        AggregateKind::Count
    } else if let Some(sum) = &spec.sum {
        AggregateKind::Sum(of("sum", &sum.of))
    } else if let Some(min) = &spec.min {
        AggregateKind::Min(of("min", &min.of))
    } else if let Some(max) = &spec.max {
        AggregateKind::Max(of("max", &max.of))
    } else if let Some(mean) = &spec.mean {
        AggregateKind::Mean(of("mean", &mean.of))
    } else if let Some(quantile) = &spec.quantile {
        AggregateKind::Quantile { of: of("quantile", &quantile.of), q: quantile.q }
    } else if let Some(histogram) = &spec.histogram {
        let of = of("histogram", &histogram.of);
        if !histogram.bounds.windows(2).all(|pair| pair[0] < pair[1]) {
            checks.error_with_hint(
                format!("{at}.histogram.bounds"),
                "is not ascending",
                "write each bound once, the lowest first",
            );
        }
        AggregateKind::Histogram { of, bounds: histogram.bounds.clone() }
    } else {
        checks.error(at, "write exactly one of count, sum, min, max, mean, quantile and histogram");
        return None;
    })
}
