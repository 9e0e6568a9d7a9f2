//! Whatever text or value comes, reading it gives a result within its bounds and never panics.

use millrace_core::FieldPath;
use millrace_core::Value;
use millrace_core::time::TimeFormat;
use millrace_core::time::event_time;
use millrace_core::time::parse_duration;
use millrace_core::time::rfc3339;
use proptest::prelude::*;

const FORMATS: [TimeFormat; 3] =
    [TimeFormat::Rfc3339, TimeFormat::UnixSeconds, TimeFormat::UnixMillis];

/// 0001-01-01T00:00:00Z and the last millisecond of the year 9999.
const YEARS: std::ops::RangeInclusive<i64> = -62_135_596_800_000..=253_402_300_799_999;

fn times(value: Value) -> impl Iterator<Item = i64> {
    let event = Value::Object([("t".into(), value)].into_iter().collect());
    let path: FieldPath = ".t".parse().expect("it is a path");
    FORMATS.into_iter().filter_map(move |format| event_time(&event, &path, format).ok())
}

proptest! {
    #[test]
    fn a_path_is_written_as_it_was_read(text in "[.\\[\\]\"a-cé0-9_@ +-]{0,24}|.{0,24}") {
        if let Ok(path) = text.parse::<FieldPath>() {
            prop_assert_eq!(path.to_string(), text);
            prop_assert_eq!(path.get(&Value::Object([].into())).is_some(), path.as_str() == ".");
        }
    }

    /// The pattern is that of the resource: what its schema takes can be read.
    #[test]
    fn every_path_that_the_schema_takes_is_one(
        text in r#"(\.[\p{L}\p{N}_@-]{1,4}|\."[^"]{1,4}"|\[[0-9]{1,6}\]){1,4}"#,
    ) {
        prop_assert!(text.parse::<FieldPath>().is_ok(), "{text}");
    }

    #[test]
    fn a_duration_is_one_or_is_refused(text in "[0-9]{0,21}(ms|s|m|h|d|x)?[0-9]{0,3}(s|é)?|.{0,12}") {
        if let Ok(duration) = parse_duration(&text) {
            prop_assert!(i64::try_from(duration.as_millis()).is_ok());
        }
    }

    /// The pattern is that of the resource.
    #[test]
    fn every_duration_that_the_schema_takes_is_one(text in "([0-9]{1,9}(ms|s|m|h|d)){1,5}") {
        prop_assert!(parse_duration(&text).is_ok(), "{text}");
    }

    #[test]
    fn an_event_time_lies_in_the_years_1_to_9999(
        integer in any::<i64>(),
        double in any::<f64>(),
        text in "[+-]?[0-9]{4,6}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{1,12})?(Z|[+-][0-9]{2}:[0-9]{2})|.{0,30}",
    ) {
        for value in
            [Value::Integer(integer), Value::from_f64_or_zero(double), Value::from(text.as_str())]
        {
            for time in times(value) {
                prop_assert!(YEARS.contains(&time), "{time}");
            }
        }
    }

    #[test]
    fn a_time_that_is_written_reads_as_the_same(millis in YEARS, any in any::<i64>()) {
        prop_assert_eq!(times(Value::from(rfc3339(millis).as_str())).next(), Some(millis));
        prop_assert!(!rfc3339(any).is_empty());
    }
}
