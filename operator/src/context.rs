//! What all passes share.

use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use futures::channel::mpsc::UnboundedSender;
use kube::Client;
use millrace_api::TelemetryPipelineStatus;
use parking_lot::Mutex;
use parking_lot::RwLock;

use crate::dereference::wanted::WantedKind;
use crate::events::Events;
use crate::health::Health;
use crate::owned::Owned;
use crate::owned::PipelineKey;
use crate::pipeline::Images;
use crate::pipeline::Kinds;
use crate::scale::Scaling;
use crate::turns;
use crate::turns::Turns;

/// Longest time between two attempts after failures.
const LONGEST_WAIT: Duration = Duration::from_mins(5);

/// What all passes share.
pub struct Context {
    /// The API server.
    pub client: Client,
    /// Images of the installation.
    pub images: Images,
    /// Objects of pipelines.
    pub owned: Arc<Owned>,
    /// Secrets and ConfigMaps of others that pipelines name.
    pub named: Named,
    /// Kinds that the cluster has.
    pub kinds: RwLock<Kinds>,
    /// Tells of transitions.
    pub events: Events,
    /// Health and metrics.
    pub health: Arc<Health>,
    /// What this operator makes.
    pub release: String,
    /// Whose pods change because this operator is another one.
    pub turns: Mutex<Turns>,
    /// Workers by lag.
    pub scaling: Scaling,
    /// Statuses as they were written last, by the pipeline's uid.
    pub statuses: Mutex<HashMap<PipelineKey, (String, TelemetryPipelineStatus)>>,
    pipelines: Mutex<HashSet<PipelineKey>>,
    triggers: UnboundedSender<PipelineKey>,
    failures: Mutex<HashMap<PipelineKey, u32>>,
}

impl Context {
    /// What passes share. Passes are asked for by `triggers`.
    #[must_use]
    pub fn new(
        client: Client,
        images: Images,
        events: Events,
        health: Arc<Health>,
        triggers: UnboundedSender<PipelineKey>,
    ) -> Self {
        Self {
            client,
            release: turns::release(&images),
            turns: Mutex::default(),
            images,
            owned: Arc::default(),
            named: Named::default(),
            kinds: RwLock::default(),
            events,
            health,
            scaling: Scaling::default(),
            statuses: Mutex::default(),
            pipelines: Mutex::default(),
            triggers,
            failures: Mutex::default(),
        }
    }

    /// Takes note of a pipeline.
    pub fn add(&self, pipeline: &PipelineKey) {
        self.pipelines.lock().insert(pipeline.clone());
    }

    /// All pipelines.
    #[must_use]
    pub fn pipelines(&self) -> Vec<PipelineKey> {
        self.pipelines.lock().iter().cloned().collect()
    }

    /// Asks for a pass over a pipeline.
    pub fn trigger(&self, pipeline: &PipelineKey) {
        // Nobody listens any more when the operator ends.
        let _ = self.triggers.unbounded_send(pipeline.clone());
    }

    /// How long to wait after one more failure.
    #[must_use]
    pub fn failed(&self, pipeline: &PipelineKey) -> Duration {
        let mut failures = self.failures.lock();
        let number = failures.entry(pipeline.clone()).or_default();
        *number = number.saturating_add(1);
        Duration::from_secs(1 << (*number - 1).min(10)).min(LONGEST_WAIT)
    }

    /// Forgets former failures.
    pub fn succeeded(&self, pipeline: &PipelineKey) {
        self.failures.lock().remove(pipeline);
    }

    /// Whether a pipeline may change its pods.
    #[must_use]
    pub fn may_roll(&self, pipeline: &PipelineKey) -> bool {
        self.turns.lock().ask(pipeline, Instant::now())
    }

    /// A pipeline needs no turn, or not any longer: others are let in.
    pub fn end_turn(&self, pipeline: &PipelineKey) {
        let next = self.turns.lock().give_back(pipeline, Instant::now());
        for pipeline in next {
            self.trigger(&pipeline);
        }
    }

    /// Others are let in for those that take too long.
    pub fn end_long_turns(&self) {
        let next = self.turns.lock().expire(Instant::now());
        for pipeline in next {
            self.trigger(&pipeline);
        }
    }

    /// Forgets a pipeline that is gone.
    pub fn forget(&self, pipeline: &PipelineKey) {
        self.end_turn(pipeline);
        self.pipelines.lock().remove(pipeline);
        self.succeeded(pipeline);
        self.named.set(pipeline, HashSet::new());
        self.scaling.set(pipeline, None);
        self.statuses.lock().remove(pipeline);
        self.health.metrics.forget(pipeline);
    }
}

/// Secrets and ConfigMaps of others, by who names them.
#[derive(Default)]
pub struct Named(RwLock<HashMap<PipelineKey, HashSet<(WantedKind, String)>>>);

impl Named {
    /// Says what a pipeline names.
    pub fn set(&self, pipeline: &PipelineKey, named: HashSet<(WantedKind, String)>) {
        let mut all = self.0.write();
        if named.is_empty() {
            all.remove(pipeline);
        } else {
            all.insert(pipeline.clone(), named);
        }
    }

    /// Who names it.
    #[must_use]
    pub fn by(&self, namespace: &str, kind: WantedKind, name: &str) -> Vec<PipelineKey> {
        let key = (kind, name.to_owned());
        let all = self.0.read();
        all.iter()
            .filter(|(pipeline, named)| *pipeline.namespace == *namespace && named.contains(&key))
            .map(|(pipeline, _)| pipeline.clone())
            .collect()
    }
}
