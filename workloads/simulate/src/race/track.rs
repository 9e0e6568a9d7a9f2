//! A closed track as a reference car drove it: one position every 200 ms.
//!
//! A car's place is found from its *reference time*: how long the reference car would have driven
//! to get there. The reference lap has a standing start; laps after the first are entered at the
//! speed at which the lap before ended.

use std::fmt::Write as _;
use std::str::FromStr;

use serde::Serialize;

/// The lap that is used where no track file is named.
const DEFAULT_TRACK: &str = include_str!("../../../../examples/data/silverstone-standing-lap.csv");
/// Time between two rows of a track file, in seconds.
const ROW_SECONDS: f64 = 0.2;
/// Longest step between two rows, in metres: 335 mph.
const MAX_STEP_METRES: f64 = 30.0;
/// Steps at the end of the lap whose mean is the speed at which the next lap begins.
const CLOSING_STEPS: usize = 5;
const EARTH_RADIUS_METRES: f64 = 6_371_000.0;

/// A position in degrees.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Position {
    /// Latitude, -90 to 90.
    pub lat: f64,
    /// Longitude, -180 to 180.
    pub long: f64,
}

/// A closed track with the times of a reference car.
#[derive(Debug, Clone)]
pub struct Track {
    points: Vec<Position>,
    /// Reference time at the end of each step of the first lap, in seconds.
    standing: Vec<f64>,
    /// The same for every later lap.
    flying: Vec<f64>,
    length: f64,
}

/// A text that is not a track.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum ParseTrackError {
    /// A row is not a position.
    #[error(
        "line {line} is `{text}`: write a latitude (-90 to 90) and a longitude (-180 to 180) with a comma between them"
    )]
    Row {
        /// Its number, from 1.
        line: usize,
        /// What it says.
        text: String,
    },
    /// There are too few rows.
    #[error("the track has {0} positions: write at least 10, one every 200 ms of a lap")]
    TooShort(usize),
    /// Two neighbours are too far apart.
    #[error(
        "line {line} is {metres:.1} m from the position after it: at most {MAX_STEP_METRES} m can be driven in 200 ms (the last position is followed by the first)"
    )]
    Step {
        /// Number of the first of the two rows.
        line: usize,
        /// Their distance.
        metres: f64,
    },
}

impl Default for Track {
    fn default() -> Self {
        DEFAULT_TRACK.parse().expect("the built-in track is tested")
    }
}

impl FromStr for Track {
    type Err = ParseTrackError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let points = text
            .lines()
            .enumerate()
            .filter(|(_, line)| !line.trim().is_empty())
            .map(|(index, line)| {
                position(line)
                    .map(|position| (index + 1, position))
                    .ok_or_else(|| ParseTrackError::Row { line: index + 1, text: line.to_owned() })
            })
            .collect::<Result<Vec<_>, _>>()?;
        if points.len() < 10 {
            return Err(ParseTrackError::TooShort(points.len()));
        }
        let steps = points
            .iter()
            .zip(points.iter().cycle().skip(1))
            .map(|((line, from), (_, to))| match distance(*from, *to) {
                metres if metres > MAX_STEP_METRES => {
                    Err(ParseTrackError::Step { line: *line, metres })
                }
                metres => Ok(metres),
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self::of_steps(points.into_iter().map(|(_, position)| position).collect(), &steps))
    }
}

impl Track {
    fn of_steps(points: Vec<Position>, steps: &[f64]) -> Self {
        let closing = &steps[steps.len() - CLOSING_STEPS..];
        // CLOSING_STEPS is a small constant.
        #[expect(clippy::cast_precision_loss)]
        let closing = closing.iter().sum::<f64>() / CLOSING_STEPS as f64;
        let slow_start = steps.iter().take_while(|step| **step < closing).count();
        let ends = |seconds: &dyn Fn(usize, f64) -> f64| {
            steps
                .iter()
                .enumerate()
                .scan(0.0, |time, (index, step)| {
                    *time += seconds(index, *step);
                    Some(*time)
                })
                .collect()
        };
        Self {
            standing: ends(&|_, _| ROW_SECONDS),
            flying: ends(&|index, step| {
                if index < slow_start { ROW_SECONDS * step / closing } else { ROW_SECONDS }
            }),
            length: steps.iter().sum(),
            points,
        }
    }

    /// Length of a lap in metres, the way from the last position to the first included.
    #[must_use]
    pub fn length(&self) -> f64 {
        self.length
    }

    /// The positions of the reference lap.
    #[must_use]
    pub fn points(&self) -> &[Position] {
        &self.points
    }

    /// Reference time after so many laps, in seconds.
    #[must_use]
    pub fn lap_end(&self, laps: f64) -> f64 {
        let first = lap_seconds(&self.standing);
        if laps <= 1.0 { first * laps } else { first + (laps - 1.0) * lap_seconds(&self.flying) }
    }

    /// Where a car is at a reference time (seconds, at least 0).
    #[must_use]
    pub fn position(&self, reference_time: f64) -> Position {
        let first = lap_seconds(&self.standing);
        let (ends, time) = if reference_time < first {
            (&self.standing, reference_time)
        } else {
            (&self.flying, (reference_time - first) % lap_seconds(&self.flying))
        };
        let step = ends.partition_point(|end| *end <= time).min(ends.len() - 1);
        let begin = if step == 0 { 0.0 } else { ends[step - 1] };
        let part = ((time - begin) / (ends[step] - begin)).clamp(0.0, 1.0);
        let (from, to) = (self.points[step], self.points[(step + 1) % self.points.len()]);
        Position {
            lat: from.lat + (to.lat - from.lat) * part,
            long: from.long + (to.long - from.long) * part,
        }
    }

    /// The track as the text of a track file.
    #[must_use]
    pub fn to_csv(&self) -> String {
        self.points.iter().fold(String::new(), |mut text, point| {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{},{}", point.lat, point.long);
            text
        })
    }
}

fn lap_seconds(ends: &[f64]) -> f64 {
    ends.last().copied().unwrap_or(ROW_SECONDS)
}

fn position(line: &str) -> Option<Position> {
    let (lat, long) = line.split_once(',')?;
    let lat = lat.trim().parse().ok().filter(|lat| (-90.0..=90.0).contains(lat))?;
    let long = long.trim().parse().ok().filter(|long| (-180.0..=180.0).contains(long))?;
    Some(Position { lat, long })
}

/// Great-circle distance in metres.
pub(super) fn distance(from: Position, to: Position) -> f64 {
    let half_lat = (to.lat - from.lat).to_radians() / 2.0;
    let half_long = (to.long - from.long).to_radians() / 2.0;
    let (lat_sine, long_sine) = (libm::sin(half_lat), libm::sin(half_long));
    let cosines = libm::cos(from.lat.to_radians()) * libm::cos(to.lat.to_radians());
    let chord = lat_sine * lat_sine + cosines * long_sine * long_sine;
    2.0 * EARTH_RADIUS_METRES * libm::asin(libm::sqrt(chord.min(1.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_track_is_the_captured_lap() {
        let track = Track::default();
        assert_eq!(track.points().len(), 455);
        assert!((track.length() - 5113.273).abs() < 0.001, "{}", track.length());
        assert!((track.lap_end(1.0) - 91.0).abs() < 1e-9);
    }

    #[test]
    fn a_car_is_on_each_row_at_its_time_and_on_the_line_at_each_laps_end() {
        let track = Track::default();
        let first = track.points()[0];
        assert_eq!(track.position(0.0), first);
        assert!(distance(track.position(20.0), track.points()[100]) < 1e-6);
        assert!(distance(track.position(track.lap_end(1.0)), first) < 1e-6);
        assert!(distance(track.position(track.lap_end(3.0) - 1e-9), first) < 1e-3);
    }

    #[test]
    fn later_laps_begin_at_the_speed_at_which_the_lap_before_ended() {
        let track = Track::default();
        let start = |lap: f64| {
            let time = track.lap_end(lap);
            distance(track.position(time), track.position(time + 0.2))
        };
        assert!(start(0.0) < 2.4, "a standing start: {}", start(0.0));
        assert!(start(1.0) > 8.0, "a flying lap: {}", start(1.0));
    }

    #[test]
    fn a_broken_track_file_is_refused_with_its_line() {
        let rows = |rows: &[&str]| rows.join("\n").parse::<Track>().unwrap_err();
        assert_eq!(
            rows(&["52.0,-1.0", "", "91,0"]),
            ParseTrackError::Row { line: 3, text: "91,0".into() }
        );
        assert_eq!(rows(&["52.0,-1.0"]), ParseTrackError::TooShort(1));
        let open: Vec<_> = (0..20).map(|i| format!("52.0,{}", f64::from(i) * 0.0001)).collect();
        assert!(matches!(
            open.join("\n").parse::<Track>(),
            Err(ParseTrackError::Step { line: 20, .. })
        ));
    }

    #[test]
    fn a_track_survives_its_own_text() {
        let track = Track::default();
        assert_eq!(track.to_csv().parse::<Track>().unwrap().points(), track.points());
    }
}
