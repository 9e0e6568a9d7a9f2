//! The captured lap, driven by six cars with different paces for 20 laps: what comes out equals
//! an independent computation from the definitions.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers fail as tests do")]

#[path = "../oracle/race.rs"]
mod oracle;
#[path = "../support/mod.rs"]
mod support;

use std::io::Write as _;
use std::time::Duration;

use oracle::Fix;
use oracle::Rules;
use serde_json::Value;
use support::content;
use support::process::run_to_end;
use support::race;

/// About the time that the slowest of the cars takes for 20 laps.
const TWENTY_LAPS: Duration = Duration::from_mins(32);

fn fix(payload: &[u8]) -> Fix {
    let message: Value = serde_json::from_slice(payload).unwrap();
    Fix {
        time: message["timestamp"].as_i64().unwrap(),
        car: message["carIndex"].as_i64().unwrap(),
        lat: message["location"]["lat"].as_f64().unwrap(),
        long: message["location"]["long"].as_f64().unwrap(),
    }
}

/// The values of a stream's records.
fn values(lines: &[String]) -> Vec<Value> {
    let value = |line: &String| serde_json::from_str(line.splitn(4, ' ').nth(3).unwrap()).unwrap();
    lines.iter().map(value).collect()
}

fn numbers(value: &Value, fields: &[&str]) -> Vec<i64> {
    fields.iter().map(|field| value[field].as_i64().unwrap()).collect()
}

fn sorted<T: Ord>(items: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut items: Vec<T> = items.into_iter().collect();
    items.sort();
    items
}

#[test]
fn twenty_laps_of_six_cars_equal_an_independent_computation() {
    let folder = tempfile::tempdir().unwrap();
    let resource = race::resource(folder.path(), &[]);
    let messages = race::messages(1, TWENTY_LAPS);
    let recorded = folder.path().join("race.ndjson");
    let mut file = std::io::BufWriter::new(std::fs::File::create(&recorded).unwrap());
    for (_, topic, payload) in &messages {
        let payload = std::str::from_utf8(payload).unwrap();
        writeln!(file, r#"{{"topic":"{topic}","payload":{payload}}}"#).unwrap();
    }
    file.into_inner().unwrap().sync_all().unwrap();
    let input = format!("cars={}", recorded.display());
    run_to_end(&resource, folder.path(), &["--input", &input]);
    let outputs = content::outputs(&resource, folder.path());

    let mut fixes: Vec<Fix> = messages.iter().map(|(.., payload)| fix(payload)).collect();
    fixes.sort_by_key(|fix| (fix.time, fix.car));
    let rules = Rules { lap_metres: 5_119.771_376_289_225, min_lap_time: 30_000, hold: 1000 };
    let expected = oracle::compute(&fixes, rules);

    let mut speeds: Vec<(i64, i64, f64)> = values(&outputs["stream motion"])
        .iter()
        .filter(|v| !v["speed"].is_null())
        .map(|v| {
            let [time, car] = numbers(v, &["timestamp", "carIndex"])[..] else { unreachable!() };
            (time, car, v["speed"].as_f64().unwrap())
        })
        .collect();
    speeds.sort_by_key(|(time, car, _)| (*time, *car));
    assert_eq!(speeds.len(), messages.len() - 6);
    assert_eq!(speeds.len(), expected.speeds.len());
    for (speed, expected) in speeds.iter().zip(&expected.speeds) {
        assert_eq!((speed.0, speed.1), (expected.0, expected.1));
        assert!((speed.2 - expected.2).abs() <= 1e-9 * expected.2, "{speed:?} {expected:?}");
    }

    let positions = values(&outputs["stream standings"]);
    let expected_positions = expected.positions.iter().map(|p| vec![p.0, p.1, p.2]);
    assert_eq!(
        sorted(positions.iter().map(|v| numbers(v, &["since", "car", "position"]))),
        sorted(expected_positions)
    );

    let overtakes = values(&outputs["stream overtakes"]);
    assert!(overtakes.len() >= 10, "a race of 20 laps has {} overtakes", overtakes.len());
    assert_eq!(
        sorted(overtakes.iter().map(|v| numbers(v, &["at", "car", "passed", "position"]))),
        sorted(expected.overtakes.iter().map(|o| vec![o.0, o.1, o.2, o.3]))
    );

    let laps = values(&outputs["stream lapTimes"]);
    assert!(laps.len() >= 6 * 19, "{} laps", laps.len());
    assert_eq!(
        sorted(laps.iter().map(|v| numbers(v, &["at", "car", "lap", "milliseconds"]))),
        sorted(expected.laps.iter().map(|l| vec![l.crossing, l.car, l.lap, l.time]))
    );
    let fastest = values(&outputs["stream commentary"])
        .iter()
        .filter(|v| v["text"].as_str().unwrap().contains("has set the new fastest lap time at"))
        .count();
    assert_eq!(fastest, expected.laps.iter().filter(|lap| lap.fastest).count());
    assert_eq!(outputs["stream dead-letters"], Vec::<String>::new());
}
