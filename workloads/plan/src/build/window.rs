//! Settings of `window`.

use millrace_api as api;

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
    let mut compute: Vec<Aggregate> = Vec::new();
    for (index, aggregate) in spec.compute.iter().enumerate() {
        let at = format!("{at}.compute[{index}]");
        let name = aggregate.name.to_string();
        let taken = RESULT_FIELDS.contains(&name.as_str())
            || compute.iter().any(|other| other.name == name)
            || by.iter().any(|path| path.as_str() == format!(".{name}"));
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
        (None, None, Some(session)) => {
            return WindowSpan::Session {
                gap: checks.positive_duration(&format!("{at}.session.gap"), &session.gap),
                longest: checks
                    .positive_duration(&format!("{at}.session.longest"), &session.longest),
            };
        }
        _ => {
            checks.error(at, "write exactly one of tumbling, hopping and session");
            (1, 1)
        }
    };
    if size % every != 0 || size / every > MAX_HOPS {
        checks.error_with_hint(
            format!("{at}.hopping.size"),
            format!("{size} ms is not a multiple of every ({every} ms) up to {MAX_HOPS} times"),
            "write a multiple, such as size: 1m and every: 1s",
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
