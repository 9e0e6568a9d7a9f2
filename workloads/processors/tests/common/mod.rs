//! A task in small: runs one operator over events as the engine does.

#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, reason = "test code outside of test functions")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use millrace_core::Event;
use millrace_core::EventId;
use millrace_core::FieldPath;
use millrace_core::Headers;
use millrace_core::Value;
use millrace_plan::model::Area;
use millrace_plan::model::DistanceModel;
use millrace_plan::model::Fence;
use millrace_plan::model::GeofenceSettings;
use millrace_plan::model::LapRule;
use millrace_plan::model::LapsSettings;
use millrace_plan::model::MotionSettings;
use millrace_plan::model::Operation;
use millrace_plan::model::OperatorPlan;
use millrace_plan::model::RankSettings;
use millrace_plan::model::SpeedUnit;
use millrace_processors::Counted;
use millrace_processors::Emitter;
use millrace_processors::Operator;
use millrace_processors::build;

pub(crate) type Committed = BTreeMap<Vec<u8>, Vec<u8>>;

pub(crate) struct Task {
    plan: OperatorPlan,
    processor: Arc<str>,
    operator: Box<dyn Operator>,
    pub(crate) outputs: Vec<Event>,
    pub(crate) refusals: Vec<(Event, String)>,
    pub(crate) counted: Vec<Counted>,
}

impl Task {
    pub(crate) fn new(operation: Operation) -> Self {
        Self::of(plan(operation))
    }

    pub(crate) fn of(plan: OperatorPlan) -> Self {
        let operator = build(&plan);
        Self::with(plan, operator)
    }

    /// A task of an operator that has been built already.
    pub(crate) fn with(plan: OperatorPlan, operator: Box<dyn Operator>) -> Self {
        Self {
            processor: plan.name.as_str().into(),
            operator,
            plan,
            outputs: Vec::new(),
            refusals: Vec::new(),
            counted: Vec::new(),
        }
    }

    /// A task of the same plan that starts from committed state.
    pub(crate) fn restored(&self, state: &Committed) -> Self {
        let mut task = Self::of(self.plan.clone());
        for (key, value) in state {
            task.operator.restore(key, value).unwrap();
        }
        task.operator.finish_restore().unwrap();
        task
    }

    /// Adds what changed to committed state.
    pub(crate) fn commit(&mut self, state: &mut Committed) {
        let mut seen = Vec::new();
        self.operator.take_changes(&mut |key, value| {
            assert!(!seen.contains(&key.to_vec()), "a key was handed over twice");
            seen.push(key.to_vec());
            match value {
                Some(value) => state.insert(key.to_vec(), value),
                None => state.remove(key),
            };
        });
    }

    /// Runs the events of one time and gives what came out.
    pub(crate) fn frame(&mut self, events: &[Event]) -> Vec<Event> {
        let Self { plan, processor, operator, outputs, refusals, counted } = self;
        let before = outputs.len();
        let mut refused = Vec::new();
        let mut count = |reason, number| counted.extend((0..number).map(|_| reason));
        for event in events {
            let mut out = Emitter::new(
                processor,
                plan.generation,
                &plan.key,
                outputs,
                &mut refused,
                &mut count,
            );
            operator.process(event, &mut out);
        }
        if let Some(event) = events.first() {
            let mut out = Emitter::new(
                processor,
                plan.generation,
                &plan.key,
                outputs,
                &mut refused,
                &mut count,
            );
            operator.end_of_time(event.time, &mut out);
        }
        refusals.extend(refused.into_iter().map(|refusal| (refusal.event, refusal.reason)));
        outputs[before..].to_vec()
    }

    /// When the operator wants to be called.
    pub(crate) fn next_timer(&self) -> Option<i64> {
        self.operator.next_timer()
    }

    /// Runs one event time as the engine does: the timer if it is due, the events of that time,
    /// and its end.
    pub(crate) fn at(&mut self, time: i64, events: &[Event]) {
        let Self { plan, processor, operator, outputs, refusals, counted } = self;
        let mut refused = Vec::new();
        let mut count = |reason, number| counted.extend((0..number).map(|_| reason));
        let mut out =
            Emitter::new(processor, plan.generation, &plan.key, outputs, &mut refused, &mut count);
        if operator.next_timer().is_some_and(|timer| timer <= time) {
            operator.on_timer(time, &mut out);
            assert!(operator.next_timer().is_none_or(|timer| timer > time), "the timer stays");
        }
        for event in events {
            operator.process(event, &mut out);
        }
        operator.end_of_time(time, &mut out);
        refusals.extend(refused.into_iter().map(|refusal| (refusal.event, refusal.reason)));
    }

    /// Runs events that are sorted by time, and the timers up to the last one of them.
    pub(crate) fn follow(&mut self, events: &[Event]) {
        for frame in events.chunk_by(|a, b| a.time == b.time) {
            while let Some(timer) = self.next_timer().filter(|timer| *timer < frame[0].time) {
                self.at(timer, &[]);
            }
            self.at(frame[0].time, frame);
        }
    }

    /// Runs events that are sorted by time, and all timers. After each event time for which `cut`
    /// says so, another task goes on from the committed state; what was made until then is kept.
    pub(crate) fn drive(mut self, events: &[Event], mut cut: impl FnMut() -> bool) -> Self {
        let mut state = Committed::new();
        let mut rest = events;
        while let Some(time) =
            self.next_timer().into_iter().chain(rest.first().map(|e| e.time)).min()
        {
            let frame = rest.iter().take_while(|event| event.time == time).count();
            let (frame, after) = rest.split_at(frame);
            self.at(time, frame);
            rest = after;
            if cut() {
                self.commit(&mut state);
                let mut next = self.restored(&state);
                assert_eq!(next.state_entries(), self.state_entries());
                assert_eq!(next.next_timer(), self.next_timer());
                next.outputs = std::mem::take(&mut self.outputs);
                next.refusals = std::mem::take(&mut self.refusals);
                next.counted = std::mem::take(&mut self.counted);
                self = next;
            }
        }
        self
    }

    /// Runs events that are sorted by time.
    pub(crate) fn run(&mut self, events: &[Event]) {
        for frame in events.chunk_by(|a, b| a.time == b.time) {
            self.frame(frame);
        }
    }

    /// The outputs' values as JSON.
    pub(crate) fn values(&self) -> Vec<serde_json::Value> {
        self.outputs.iter().map(json).collect()
    }

    pub(crate) fn reasons(&self) -> Vec<&str> {
        self.refusals.iter().map(|(_, reason)| reason.as_str()).collect()
    }

    pub(crate) fn state_entries(&self) -> usize {
        self.operator.state_entries()
    }
}

pub(crate) fn json(event: &Event) -> serde_json::Value {
    serde_json::from_str(&serde_json::to_string(&event.value).unwrap()).unwrap()
}

/// What must be equal between runs.
pub(crate) fn content(events: &[Event]) -> Vec<(Vec<u8>, i64, EventId, String)> {
    events
        .iter()
        .map(|event| {
            (event.key.to_vec(), event.time, event.id, serde_json::to_string(&event.value).unwrap())
        })
        .collect()
}

pub(crate) fn path(text: &str) -> FieldPath {
    text.parse().unwrap()
}

pub(crate) fn plan(operation: Operation) -> OperatorPlan {
    OperatorPlan {
        name: "p".into(),
        generation: 0,
        inputs: Vec::new(),
        operation,
        key: Vec::new(),
        output: None,
        output_partitions: 1,
        fingerprint: String::new(),
    }
}

pub(crate) fn keyed(key: &str, time: i64, value: &serde_json::Value) -> Event {
    let text = value.to_string();
    Event {
        stream: "coordinates".into(),
        key: key.to_owned().into(),
        time,
        ingest_time: time + 7,
        id: EventId::of_content("coordinates", key.as_bytes(), format!("{time} {text}").as_bytes()),
        headers: Arc::new(Headers::default()),
        value: serde_json::from_str::<Value>(&text).unwrap(),
    }
}

/// An event of the race `race`.
pub(crate) fn event(time: i64, value: &serde_json::Value) -> Event {
    keyed("race", time, value)
}

/// A car's position.
pub(crate) fn fix(time: i64, car: i64, lat: f64, long: f64) -> Event {
    event(
        time,
        &serde_json::json!({
            "timestamp": time, "race": "race", "carIndex": car,
            "location": {"lat": lat, "long": long},
        }),
    )
}

pub(crate) fn motion() -> MotionSettings {
    MotionSettings {
        entity: path(".carIndex"),
        latitude: path(".location.lat"),
        longitude: path(".location.long"),
        speed_unit: SpeedUnit::MilesPerHour,
        max_speed: None,
        distance: DistanceModel::Haversine,
        max_entities: 1000,
    }
}

/// Two squares that overlap between 1 and 2 degrees east, and a circle at 10.
pub(crate) fn fences() -> GeofenceSettings {
    let square = |name: &str, west: f64, east: f64| Fence {
        name: name.to_owned(),
        area: Area::Polygon(vec![(0.0, west), (0.0, east), (1.0, east), (1.0, west)]),
    };
    GeofenceSettings {
        entity: path(".carIndex"),
        latitude: path(".location.lat"),
        longitude: path(".location.long"),
        fences: vec![
            square("west", 0.0, 2.0),
            square("east", 1.0, 3.0),
            Fence {
                name: "circle".to_owned(),
                area: Area::Circle { center: (0.0, 10.0), radius: 1_111.949_267 },
            },
        ],
        enter: true,
        leave: true,
        inside: true,
        max_entities: 1000,
    }
}

pub(crate) fn rank(hold: Duration) -> RankSettings {
    RankSettings {
        group: path(".race"),
        entity: path(".carIndex"),
        by: path(".totalDistance"),
        hold,
        max_entities: 1000,
    }
}

pub(crate) fn laps(metres: f64, min_lap_time: Duration) -> LapsSettings {
    LapsSettings {
        entity: path(".carIndex"),
        by: LapRule::Length { metres, total_distance: path(".totalDistance") },
        min_lap_time,
        speed_unit: SpeedUnit::MilesPerHour,
        max_entities: 1000,
    }
}

/// The captured lap as (latitude, longitude).
pub(crate) fn captured_lap() -> Vec<(f64, f64)> {
    include_str!("../../../../examples/data/silverstone-standing-lap.csv")
        .lines()
        .map(|line| {
            let (lat, long) = line.split_once(',').unwrap();
            (lat.parse().unwrap(), long.parse().unwrap())
        })
        .collect()
}

#[track_caller]
pub(crate) fn close(actual: f64, expected: f64) {
    assert!((actual - expected).abs() <= 1e-9 * expected.abs(), "{actual} is not {expected}");
}
