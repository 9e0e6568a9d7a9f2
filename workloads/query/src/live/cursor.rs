//! Where clients are in the streams that they follow, as texts that they can hand back.
//!
//! In one stream `0-12,1-55`: the next offset of each partition. In several
//! `positions:0-12,1-55;laps:0-3`, where `now` and `start` may stand for a stream's offsets.

use millrace_core::Offset;
use millrace_core::Partition;
use millrace_http::Problem;
use millrace_log::PartitionInfo;

use crate::params::short;

/// Where to begin in the streams that are followed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Position {
    /// At the same place in all of them.
    All(Place),
    /// At places of their own; those that are not named begin with the oldest.
    Each(Vec<(String, Place)>),
}

/// Where to begin in a stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// After what is there.
    Now,
    /// With the oldest that is kept.
    Start,
    /// At the next offset of each partition; those that are not named begin with the oldest.
    At(Vec<(Partition, Offset)>),
}

impl Position {
    /// Reads a position in one stream.
    pub(super) fn of_stream(parameter: &str, text: &str) -> Result<Self, Problem> {
        Place::read(text).map(Self::All).ok_or_else(|| wrong(parameter, text))
    }

    /// Reads a position in several streams.
    pub(super) fn of_streams(parameter: &str, text: &str) -> Result<Self, Problem> {
        match text {
            "now" => Ok(Self::All(Place::Now)),
            "start" => Ok(Self::All(Place::Start)),
            text => text
                .split(';')
                .map(|part| {
                    let (stream, place) = part.split_once(':')?;
                    Some((stream.to_owned(), Place::read(place)?))
                })
                .collect::<Option<_>>()
                .map(Self::Each)
                .ok_or_else(|| wrong(parameter, text)),
        }
    }

    /// The next offset of a partition. A position beyond the end is of another log: what comes
    /// next is all there is.
    pub(super) fn next(&self, stream: &str, partition: Partition, info: PartitionInfo) -> Offset {
        let place = match self {
            Self::All(place) => Some(place),
            Self::Each(places) => {
                places.iter().find(|(name, _)| name == stream).map(|(_, place)| place)
            }
        };
        match place {
            Some(Place::Now) => info.end,
            Some(Place::Start) | None => info.start,
            Some(Place::At(next)) => next
                .iter()
                .find(|(wanted, _)| *wanted == partition)
                .map_or(info.start, |(_, offset)| *offset)
                .clamp(info.start, info.end),
        }
    }
}

impl Place {
    fn read(text: &str) -> Option<Self> {
        match text {
            "now" => Some(Self::Now),
            "start" => Some(Self::Start),
            text => {
                let part = |part: &str| {
                    let (partition, offset) = part.split_once('-')?;
                    Some((partition.parse().ok()?, offset.parse().ok()?))
                };
                text.split(',').map(part).collect::<Option<_>>().map(Self::At)
            }
        }
    }
}

fn wrong(parameter: &str, text: &str) -> Problem {
    Problem::parameter(
        parameter,
        format_args!("`{}` is not `now`, `start` or the id of an event", short(text)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_in_several_streams_names_them() {
        let position = Position::of_streams("from", "cars:0-12,1-55;laps:0-3").unwrap();
        let info =
            PartitionInfo { start: 2, end: 50, highest_event_time: None, highest_mark: None };
        assert_eq!(position.next("cars", 0, info), 12);
        assert_eq!(position.next("cars", 1, info), 50);
        assert_eq!(position.next("laps", 0, info), 3);
        assert_eq!(position.next("laps", 1, info), 2);
        for text in ["", "0-12", "cars:", "cars:0", "cars:0-1;", "cars:0-1;laps"] {
            assert!(Position::of_streams("from", text).is_err(), "{text}");
        }
        assert_eq!(Position::of_streams("from", "now").unwrap(), Position::All(Place::Now));
        let mixed = Position::of_streams("from", "cars:now;laps:start").unwrap();
        assert_eq!((mixed.next("cars", 0, info), mixed.next("laps", 0, info)), (50, 2));
    }
}
