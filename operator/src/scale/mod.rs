//! Workers by lag: read from the pods that answer, decided purely, and kept in the StatefulSet's
//! number of replicas alone. Whether they fall behind is said on the way.

mod backlog;
mod decide;
mod lag;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use millrace_core::with_causes;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tracing::debug;
use tracing::error;
use tracing::info;

use self::backlog::Backlog;
pub use self::backlog::Behind;
pub use self::backlog::Pace;
use self::decide::Bounds;
use self::decide::History;
use crate::context::Context;
use crate::events::Happening;
use crate::owned::KindName;
use crate::owned::PipelineKey;
use crate::reasons;

/// Time between two readings.
const EVERY: Duration = Duration::from_secs(10);

/// What is scaled.
#[derive(Debug, Clone)]
pub struct Scalable {
    /// Name of the StatefulSet.
    pub stateful_set: String,
    /// Names of the groups whose lag counts.
    pub groups: Vec<String>,
    /// Workers at least.
    pub min: i32,
    /// Workers at most.
    pub max: i32,
    /// Records that wait for each.
    pub lag: i32,
    /// More workers than these have nothing to do.
    pub useful: i32,
    /// What Events are about.
    pub about: ObjectReference,
}

impl Scalable {
    /// What to do where the workers do not keep up.
    #[must_use]
    pub fn advice(&self, namespace: &str) -> String {
        let Self { stateful_set, max, useful, .. } = self;
        let first = if max < useful {
            format!(
                "raise spec.scaling.workers.max, which is {max} (up to {useful} have something to \
                 do), or give each more in spec.resources.workers"
            )
        } else {
            format!(
                "more than {useful} workers would have nothing to do: give each more in \
                 spec.resources.workers, or raise partitions and generation of the streams that \
                 they read"
            )
        };
        format!(
            "{first}; see `kubectl -n {namespace} logs statefulset/{stateful_set}` for what slows them"
        )
    }
}

/// What is scaled, and what has been decided and not applied yet.
#[derive(Default)]
pub struct Scaling {
    scalable: Mutex<HashMap<PipelineKey, Scalable>>,
    decided: Mutex<HashMap<PipelineKey, i32>>,
    paces: Mutex<HashMap<PipelineKey, Pace>>,
}

impl Scaling {
    /// Says how a pipeline's workers are scaled; none: not by us.
    pub fn set(&self, pipeline: &PipelineKey, scalable: Option<Scalable>) {
        let mut all = self.scalable.lock();
        if let Some(scalable) = scalable {
            all.insert(pipeline.clone(), scalable);
        } else {
            all.remove(pipeline);
            self.paces.lock().remove(pipeline);
        }
    }

    /// How a pipeline's workers keep up, none where that is not known yet, and how they are scaled.
    /// None where nobody reads that.
    #[must_use]
    pub fn pace(&self, pipeline: &PipelineKey) -> Option<(Option<Pace>, Scalable)> {
        let scalable = self.scalable.lock().get(pipeline).cloned()?;
        Some((self.paces.lock().get(pipeline).cloned(), scalable))
    }

    /// Takes note of how they keep up. Says whether that is new.
    fn set_pace(&self, pipeline: &PipelineKey, pace: &Pace) -> bool {
        let is_read = self.scalable.lock().contains_key(pipeline);
        is_read && self.paces.lock().insert(pipeline.clone(), pace.clone()).as_ref() != Some(pace)
    }

    /// What has been decided and not applied yet.
    #[must_use]
    pub fn decided(&self, pipeline: &PipelineKey) -> Option<i32> {
        self.decided.lock().get(pipeline).copied()
    }

    /// It has been applied.
    pub fn applied(&self, pipeline: &PipelineKey, replicas: i32) {
        let mut decided = self.decided.lock();
        if decided.get(pipeline) == Some(&replicas) {
            decided.remove(pipeline);
        }
    }
}

/// Reads and decides until it is told to end.
pub async fn run(context: Arc<Context>, end: CancellationToken) {
    let start = Instant::now();
    let mut histories: HashMap<PipelineKey, (History, Backlog)> = HashMap::new();
    let client = match reqwest::Client::builder().timeout(Duration::from_secs(5)).build() {
        Ok(client) => client,
        Err(error) => {
            error!(message = "No workers are scaled by lag.", error = with_causes(&error));
            return;
        }
    };
    loop {
        tokio::select! {
            biased;
            () = end.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        let all = context.scaling.scalable.lock().clone();
        histories.retain(|pipeline, _| all.contains_key(pipeline));
        for (pipeline, scalable) in all {
            let history = histories.entry(pipeline.clone()).or_default();
            look(&context, &client, &pipeline, &scalable, history, start.elapsed()).await;
        }
    }
}

async fn look(
    context: &Context,
    client: &reqwest::Client,
    pipeline: &PipelineKey,
    scalable: &Scalable,
    (history, backlog): &mut (History, Backlog),
    now: Duration,
) {
    let kind = KindName("StatefulSet.apps".into());
    let known = context.owned.get(pipeline, &kind, &scalable.stateful_set);
    let Some(workload) = known.and_then(|known| known.workload) else { return };
    if context.scaling.decided(pipeline).is_some() {
        return;
    }
    let behind = match lag::read(&context.client, client, pipeline, &scalable.groups).await {
        Ok(behind) => behind,
        Err(error) => {
            let pipeline = format!("{}/{}", pipeline.namespace, pipeline.name);
            debug!(message = "Failed to read the lag.", pipeline, error = with_causes(&error));
            return;
        }
    };
    let lag = behind.records;
    let bound = backlog::bound(scalable.max, scalable.lag);
    let pace = backlog.read(&behind, bound, now);
    if pace.is_some_and(|pace| context.scaling.set_pace(pipeline, pace)) {
        context.trigger(pipeline);
    }
    #[allow(clippy::cast_precision_loss, reason = "a figure for people")]
    context.health.metrics.lag(pipeline, lag as f64);
    let bounds = Bounds { min: scalable.min, max: scalable.max, lag: i64::from(scalable.lag) };
    let Some(to) = decide::decide(lag, workload.wanted, bounds, history, now) else { return };
    let up = to > workload.wanted;
    let reason = if up { reasons::SCALED_UP } else { reasons::SCALED_DOWN };
    let note = format!(
        "workers from {} to {to}: {lag} records wait, and each takes {}",
        workload.wanted, scalable.lag
    );
    info!(message = "Scaled workers.", pipeline = %pipeline.name, note);
    context.scaling.decided.lock().insert(pipeline.clone(), to);
    #[allow(clippy::cast_precision_loss, reason = "seconds since 1970 fit")]
    context.health.metrics.scaled(pipeline, reason, Timestamp::now().as_second() as f64);
    let happening = Happening { warning: false, reason: reason.to_owned(), note };
    context.events.tell(&scalable.about, happening).await;
    context.trigger(pipeline);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_workers_are_advised_while_they_have_something_to_do() {
        let scalable = |max, useful| Scalable {
            stateful_set: "race-workers".to_owned(),
            groups: Vec::new(),
            min: 0,
            max,
            lag: 1000,
            useful,
            about: ObjectReference::default(),
        };
        let logs = "see `kubectl -n factory logs statefulset/race-workers` for what slows them";
        assert_eq!(
            scalable(4, 16).advice("factory"),
            format!(
                "raise spec.scaling.workers.max, which is 4 (up to 16 have something to do), or give each more in spec.resources.workers; {logs}"
            )
        );
        assert_eq!(
            scalable(16, 16).advice("factory"),
            format!(
                "more than 16 workers would have nothing to do: give each more in spec.resources.workers, or raise partitions and generation of the streams that they read; {logs}"
            )
        );
    }
}
