//! Workers by lag: read from the pods that answer, decided purely, and kept in the StatefulSet's
//! number of replicas alone.

mod decide;
mod lag;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tracing::debug;
use tracing::info;

use self::decide::Bounds;
use self::decide::History;
use crate::context::Context;
use crate::events::Happening;
use crate::events::chain;
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
    /// What Events are about.
    pub about: ObjectReference,
}

/// What is scaled, and what has been decided and not applied yet.
#[derive(Default)]
pub struct Scaling {
    scalable: Mutex<HashMap<PipelineKey, Scalable>>,
    decided: Mutex<HashMap<PipelineKey, i32>>,
}

impl Scaling {
    /// Says how a pipeline's workers are scaled; none: not by us.
    pub fn set(&self, pipeline: &PipelineKey, scalable: Option<Scalable>) {
        let mut all = self.scalable.lock();
        match scalable {
            Some(scalable) => {
                all.insert(pipeline.clone(), scalable);
            }
            None => {
                all.remove(pipeline);
            }
        }
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
    let mut histories: HashMap<PipelineKey, History> = HashMap::new();
    let Ok(client) = reqwest::Client::builder().timeout(Duration::from_secs(5)).build() else {
        return;
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
    history: &mut History,
    now: Duration,
) {
    let kind = KindName("StatefulSet.apps".into());
    let known = context.owned.get(pipeline, &kind, &scalable.stateful_set);
    let Some(workload) = known.and_then(|known| known.workload) else { return };
    if context.scaling.decided(pipeline).is_some() {
        return;
    }
    let lag = match lag::read(&context.client, client, pipeline, &scalable.groups).await {
        Ok(lag) => lag,
        Err(error) => {
            let pipeline = format!("{}/{}", pipeline.namespace, pipeline.name);
            debug!(message = "Failed to read the lag.", pipeline, error = chain(&error));
            return;
        }
    };
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
