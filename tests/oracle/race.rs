//! The race by the definitions, for tests to compare with: speeds, positions, overtakes and laps
//! of a whole list of positions at once, in plain loops over everything.
//!
//! It shares no code with the processors; tests include this file by its path. Bounds and invalid
//! input are no matter of it: every car must have one valid position in every frame.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::float_cmp,
    clippy::unwrap_used,
    reason = "plain formulas over small numbers in test code"
)]

use std::collections::BTreeMap;

/// Where a car was at a time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fix {
    /// Milliseconds.
    pub(crate) time: i64,
    /// The car's number.
    pub(crate) car: i64,
    /// Latitude in degrees.
    pub(crate) lat: f64,
    /// Longitude in degrees.
    pub(crate) long: f64,
}

/// What the race is measured by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// Length of a lap in metres.
    pub(crate) lap_metres: f64,
    /// A lap that ends within this many milliseconds is not one.
    pub(crate) min_lap_time: i64,
    /// How many milliseconds a reversal must last to count.
    pub(crate) hold: i64,
}

/// What came of the race.
#[derive(Debug, Default)]
pub(crate) struct Race {
    /// (time, car, speed in miles per hour), in the order of the input; none at first fixes.
    pub(crate) speeds: Vec<(i64, i64, f64)>,
    /// (time, car, position, previous), by time and position.
    pub(crate) positions: Vec<(i64, i64, i64, Option<i64>)>,
    /// (time, passer, passed, passer's position), by time, position and the passed one's position.
    pub(crate) overtakes: Vec<(i64, i64, i64, i64)>,
    /// By frame, crossing time and car.
    pub(crate) laps: Vec<LapTime>,
}

/// A completed lap.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct LapTime {
    /// When the line was crossed, in milliseconds.
    pub(crate) crossing: i64,
    /// The car's number.
    pub(crate) car: i64,
    /// The car's how-manieth lap.
    pub(crate) lap: i64,
    /// Milliseconds.
    pub(crate) time: i64,
    /// Miles per hour, two decimals.
    pub(crate) average_mph: f64,
    /// Whether no lap before was as fast.
    pub(crate) fastest: bool,
}

const METRES_PER_MILE: f64 = 1609.344;

/// Computes the race from fixes sorted by (time, car).
#[must_use]
pub(crate) fn compute(fixes: &[Fix], rules: Rules) -> Race {
    let mut race = Race::default();
    // For each frame, everybody's total distance.
    let mut frames: Vec<(i64, BTreeMap<i64, f64>)> = Vec::new();
    // For each car, (time, total distance) after each of its fixes.
    let mut ways: BTreeMap<i64, Vec<(i64, f64)>> = BTreeMap::new();
    for (i, fix) in fixes.iter().enumerate() {
        let last = fixes[..i].iter().rev().find(|last| last.car == fix.car);
        let way = ways.entry(fix.car).or_default();
        let mut total = way.last().map_or(0.0, |(_, total)| *total);
        if let Some(last) = last {
            let metres = great_circle_metres(last, fix);
            let hours = (fix.time - last.time) as f64 / 3_600_000.0;
            race.speeds.push((fix.time, fix.car, metres / METRES_PER_MILE / hours));
            total += metres;
        }
        way.push((fix.time, total));
        if frames.last().is_none_or(|(time, _)| *time != fix.time) {
            frames.push((fix.time, BTreeMap::new()));
        }
        frames.last_mut().unwrap().1.insert(fix.car, total);
    }
    order(&frames, rules.hold, &mut race);
    laps(&ways, rules, &mut race);
    race
}

fn great_circle_metres(a: &Fix, b: &Fix) -> f64 {
    let half_chord_squared = ((b.lat - a.lat).to_radians() / 2.0).sin().powi(2)
        + a.lat.to_radians().cos()
            * b.lat.to_radians().cos()
            * ((b.long - a.long).to_radians() / 2.0).sin().powi(2);
    2.0 * 6_371_000.0 * half_chord_squared.sqrt().asin()
}

/// Cars of lower numbers are seen first, since frames are sorted by car.
fn order(frames: &[(i64, BTreeMap<i64, f64>)], hold: i64, race: &mut Race) {
    let beats = |frame: usize, one: i64, other: i64| {
        let totals = &frames[frame].1;
        totals[&one] > totals[&other] || (totals[&one] == totals[&other] && one < other)
    };
    let mut confirmed: Vec<i64> = Vec::new();
    for (frame, (time, totals)) in frames.iter().enumerate() {
        let old = confirmed.clone();
        if frame == 0 {
            confirmed = totals.keys().copied().collect();
            confirmed.sort_by(|a, b| beats(0, *b, *a).cmp(&beats(0, *a, *b)));
        }
        // Reversed in every frame of at least the last `hold` milliseconds.
        let lasting = |ahead: i64, behind: i64| {
            let reversed = (0..=frame).rev().take_while(|f| beats(*f, behind, ahead));
            reversed.last().is_some_and(|first| time - frames[first].0 >= hold)
        };
        while let Some(i) = (1..confirmed.len()).find(|i| lasting(confirmed[i - 1], confirmed[*i]))
        {
            confirmed.swap(i - 1, i);
        }
        let place = |order: &[i64], car: i64| order.iter().position(|c| *c == car);
        for (i, car) in confirmed.iter().enumerate() {
            let previous = place(&old, *car);
            if previous != Some(i) {
                let previous = previous.map(|p| p as i64 + 1);
                race.positions.push((*time, *car, i as i64 + 1, previous));
            }
        }
        for (i, passer) in confirmed.iter().enumerate() {
            for passed in &confirmed[i + 1..] {
                if place(&old, *passer) > place(&old, *passed) {
                    race.overtakes.push((*time, *passer, *passed, i as i64 + 1));
                }
            }
        }
    }
}

fn laps(ways: &BTreeMap<i64, Vec<(i64, f64)>>, rules: Rules, race: &mut Race) {
    // (time of the frame, lap)
    let mut all: Vec<(i64, LapTime)> = Vec::new();
    for (car, way) in ways {
        let mut began = (way[0].0, 0);
        let mut number = 0;
        for step in way.windows(2) {
            let [(t0, d0), (t1, d1)] = [step[0], step[1]];
            let first = (d0 / rules.lap_metres).floor() as i64 + 1;
            let last = (d1 / rules.lap_metres).floor() as i64;
            for line in first..=last {
                let part = (line as f64 * rules.lap_metres - d0) / (d1 - d0);
                let crossing = t0 + (part * (t1 - t0) as f64).round() as i64;
                let time = crossing - began.0;
                if time < rules.min_lap_time {
                    continue;
                }
                number += 1;
                let metres = (line - began.1) as f64 * rules.lap_metres;
                let mph = metres / METRES_PER_MILE / (time as f64 / 3_600_000.0);
                let average_mph = (mph * 100.0).round_ties_even() / 100.0;
                let lap =
                    LapTime { crossing, car: *car, lap: number, time, average_mph, fastest: false };
                all.push((t1, lap));
                began = (crossing, line);
            }
        }
    }
    all.sort_by_key(|(frame, lap)| (*frame, lap.crossing, lap.car));
    let mut fastest = i64::MAX;
    for (_, mut lap) in all {
        lap.fastest = lap.time < fastest;
        fastest = fastest.min(lap.time);
        race.laps.push(lap);
    }
}
