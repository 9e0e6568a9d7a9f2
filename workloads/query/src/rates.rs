//! Records per second of each stream, from samples of the ends of its partitions.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::time::Duration;

use millrace_core::Offset;
use millrace_core::StreamName;
use millrace_plan::Plan;
use parking_lot::Mutex;
use tokio::time::Instant;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::state::SharedState;

/// Between samples.
const INTERVAL: Duration = Duration::from_secs(1);

/// Samples kept: rates are over the time from the first to the last.
const SAMPLES: usize = 6;

/// Samples of all streams. Marks count as records, since only offsets are sampled.
pub(crate) struct Rates(Mutex<HashMap<StreamName, Samples>>);

#[derive(Default)]
struct Samples(VecDeque<(Instant, Offset)>);

impl Samples {
    fn add(&mut self, at: Instant, offsets: Offset) {
        if self.0.len() == SAMPLES {
            self.0.pop_front();
        }
        self.0.push_back((at, offsets));
    }

    // Far fewer than 2^53 offsets pass in a few seconds.
    #[expect(clippy::cast_precision_loss)]
    fn per_second(&self) -> f64 {
        let (Some(first), Some(last)) = (self.0.front(), self.0.back()) else { return 0.0 };
        let seconds = last.0.duration_since(first.0).as_secs_f64();
        if seconds > 0.0 { (last.1 - first.1) as f64 / seconds } else { 0.0 }
    }
}

impl Rates {
    pub(crate) fn new(plan: &Plan) -> Self {
        let streams = plan.streams.iter();
        Self(Mutex::new(streams.map(|s| (s.name.clone(), Samples::default())).collect()))
    }

    /// Records per second over the last few seconds.
    pub(crate) fn per_second(&self, stream: &StreamName) -> f64 {
        self.0.lock().get(stream).map_or(0.0, Samples::per_second)
    }
}

/// Takes samples until told to stop.
pub(crate) async fn sample(state: SharedState, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let now = Instant::now();
        for stream in &state.plan.streams {
            let ends = (0..stream.partitions)
                .filter_map(|p| state.log.partition_info(&stream.name, p).ok())
                .map(|info| info.end)
                .sum();
            if let Some(samples) = state.rates.0.lock().get_mut(&stream.name) {
                samples.add(now, ends);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_over_the_last_few_samples_alone() {
        let mut samples = Samples::default();
        assert!(samples.per_second().abs() < f64::EPSILON);
        let start = Instant::now();
        for (second, offsets) in [0, 1000, 1030, 1060, 1090, 1120, 1150].into_iter().enumerate() {
            samples.add(start + INTERVAL * u32::try_from(second).unwrap(), offsets);
        }
        assert!((samples.per_second() - 30.0).abs() < 1e-9);
    }
}
