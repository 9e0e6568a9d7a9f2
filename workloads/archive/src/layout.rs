//! Where files lie and what they are called.
//!
//! `stream=<stream>/date=<yyyy-mm-dd>/hour=<hh>/<sink>-g<generation>-<log>-<range>.<ending>`. The
//! folders are those of the events' time in UTC. `log` is drawn once for a sink's first file of a
//! stream, so that another log that is archived to the same place never overwrites; `range` counts
//! up. So the same range of the log always has the same names.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::Offset;
use millrace_plan::model::ArchiveFormat;
use object_store::path::Path;

use crate::row::Row;

const HOUR_MILLIS: i64 = 3_600_000;

/// What the files of a range are called.
#[derive(Debug, Clone)]
pub(crate) struct FileNames {
    pub(crate) prefix: Path,
    pub(crate) sink: String,
    pub(crate) generation: i32,
    pub(crate) stream: String,
    pub(crate) log: u32,
}

impl FileNames {
    /// The path of the file of a range and an hour.
    pub(crate) fn path(&self, hour: i64, range: u64, format: ArchiveFormat) -> Path {
        let ending = match format {
            ArchiveFormat::Parquet => "parquet",
            ArchiveFormat::Ndjson => "ndjson.gz",
        };
        let millis = hour.saturating_mul(HOUR_MILLIS);
        let fallback = if hour < 0 { Timestamp::MIN } else { Timestamp::MAX };
        let start = Timestamp::from_millisecond(millis).unwrap_or(fallback);
        let start = Offset::UTC.to_datetime(start);
        let Self { sink, generation, stream, log, .. } = self;
        self.prefix
            .clone()
            .join(format!("stream={stream}"))
            .join(format!("date={}", start.date()))
            .join(format!("hour={:02}", start.hour()))
            .join(format!("{sink}-g{generation}-{log:08x}-{range:08}.{ending}"))
    }
}

/// The rows of a range by hour of event time, each ordered by (event time, partition, offset).
pub(crate) fn by_hour(rows: Vec<Row>) -> BTreeMap<i64, Vec<Row>> {
    let mut hours: BTreeMap<i64, Vec<Row>> = BTreeMap::new();
    for row in rows {
        hours.entry(row.record.event_time.div_euclid(HOUR_MILLIS)).or_default().push(row);
    }
    for rows in hours.values_mut() {
        rows.sort_unstable_by_key(|row| (row.record.event_time, row.partition, row.offset));
    }
    hours
}

#[cfg(test)]
mod tests {
    use millrace_core::EventId;
    use millrace_core::Headers;
    use millrace_core::Record;

    use super::*;

    fn row(partition: i32, offset: i64, event_time: i64) -> Row {
        let record = Record {
            key: "k".into(),
            event_time,
            ingest_time: 0,
            id: EventId::from([0; 16]),
            headers: Headers::default(),
            value: "{}".into(),
        };
        Row { partition, offset, record }
    }

    fn names() -> FileNames {
        FileNames {
            prefix: Path::from("lake"),
            sink: "archive".into(),
            generation: 2,
            stream: "trip".into(),
            log: 0xbeef,
        }
    }

    #[test]
    fn folders_are_the_hours_of_event_time_in_utc_before_1970_too() {
        let hours = by_hour(vec![row(0, 0, -1), row(0, 1, 1_541_693_114_862)]);
        let paths: Vec<_> = hours
            .keys()
            .map(|hour| names().path(*hour, 7, ArchiveFormat::Parquet).to_string())
            .collect();
        assert_eq!(
            paths,
            [
                "lake/stream=trip/date=1969-12-31/hour=23/archive-g2-0000beef-00000007.parquet",
                "lake/stream=trip/date=2018-11-08/hour=16/archive-g2-0000beef-00000007.parquet",
            ]
        );
    }

    #[test]
    fn a_time_beyond_all_calendars_has_a_folder() {
        let path = names().path(i64::MAX / HOUR_MILLIS, 0, ArchiveFormat::Ndjson).to_string();
        assert_eq!(
            path,
            "lake/stream=trip/date=9999-12-30/hour=22/archive-g2-0000beef-00000000.ndjson.gz"
        );
    }

    #[test]
    fn rows_of_a_file_are_ordered_whatever_order_they_were_read_in() {
        let order = |rows: Vec<Row>| {
            let rows = by_hour(rows).remove(&0).unwrap();
            rows.iter().map(|row| (row.partition, row.offset)).collect::<Vec<_>>()
        };
        let (a, b, c) = (row(1, 0, 5), row(0, 9, 5), row(0, 3, 6));
        assert_eq!(order(vec![a.clone(), b.clone(), c.clone()]), [(0, 9), (1, 0), (0, 3)]);
        assert_eq!(order(vec![c, b, a]), [(0, 9), (1, 0), (0, 3)]);
    }
}
