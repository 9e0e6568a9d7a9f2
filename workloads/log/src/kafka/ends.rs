//! Keeps what is known of the cluster current: where partitions start and end, which streams there
//! are, and whether it answers. It also does what librdkafka wants done regularly.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::Offset;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio::time::MissedTickBehavior;
use tokio::time::interval;

use super::cluster::Cluster;
use super::cluster::Unreachable;
use super::extent::Topic;
use super::health::Health;
use super::lanes::Lanes;
use super::names::Names;
use super::offsets::Offsets;
use super::settings::KafkaSettings;
use super::tail;
use super::topics::Topics;

/// The first answer may take about so long: brokers may be starting.
const CONNECTING: Duration = Duration::from_secs(10);

/// What others append is known after this time at the latest, also where nobody reads.
const ENDS: Duration = Duration::from_millis(500);

/// Starts move, streams come and go, and places become superfluous rarely. In units of [`ENDS`].
const RARELY: u32 = 10;

/// librdkafka's log lines wait at most this long.
const SERVING: Duration = Duration::from_millis(200);

/// What is kept current, and what for.
pub(super) struct Keeper {
    pub(super) settings: KafkaSettings,
    pub(super) names: Names,
    pub(super) topics: Arc<Topics>,
    pub(super) cluster: Arc<Cluster>,
    pub(super) lanes: Arc<Lanes>,
    pub(super) offsets: Arc<Offsets>,
    pub(super) health: Arc<Health>,
}

impl Keeper {
    /// Finds out what there is, before anything else is done. Meanwhile librdkafka is served: it
    /// connects only with tokens that it has asked for.
    pub(super) async fn begin(self: &Arc<Self>) -> Result<(), Unreachable> {
        let mut serving = JoinSet::new();
        serving.spawn(Arc::clone(self).serve());
        let deadline = Instant::now() + CONNECTING;
        loop {
            match self.topics.refresh().await {
                Ok(new) => return self.learn(&new).await,
                Err(error) if Instant::now() >= deadline => return Err(error),
                Err(error) => {
                    tracing::info!(message = "Kafka does not answer yet.", %error);
                }
            }
        }
    }

    /// Learns all that is to be known of topics that were not known before.
    pub(super) async fn learn(&self, new: &[Arc<Topic>]) -> Result<(), Unreachable> {
        if new.is_empty() {
            return Ok(());
        }
        self.cluster.measure(new).await?;
        let (settings, names) = (self.settings.clone(), self.names.clone());
        let new = new.to_vec();
        let read = tokio::task::spawn_blocking(move || tail::read(&settings, &names, &new));
        // It cannot fail but by the end of the runtime.
        drop(read.await);
        Ok(())
    }

    /// Keeps all that current until it is broken off.
    pub(super) fn start(self: Arc<Self>) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        tasks.spawn(Arc::clone(&self).measure());
        tasks.spawn(self.serve());
        tasks
    }

    async fn serve(self: Arc<Self>) {
        let mut ticks = interval(SERVING);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.cluster.serve();
            self.lanes.serve();
            self.offsets.serve();
        }
    }

    async fn measure(self: Arc<Self>) {
        let mut ticks = interval(ENDS);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for round in 1_u32.. {
            ticks.tick().await;
            if let Err(error) = self.round(round).await {
                self.judge(&error).await;
            } else {
                self.health.answered();
            }
            if round.is_multiple_of(RARELY) {
                self.tidy().await;
            }
        }
    }

    /// Gives up what nobody needs any more.
    pub(super) async fn tidy(self: &Arc<Self>) {
        let keeper = Arc::clone(self);
        // Consumers that go say goodbye to their brokers.
        let done = tokio::task::spawn_blocking(move || {
            keeper.lanes.tidy();
            keeper.offsets.tidy();
        });
        // It cannot fail but by the end of the runtime.
        drop(done.await);
    }

    async fn round(&self, round: u32) -> Result<(), Unreachable> {
        if round.is_multiple_of(RARELY) {
            let new = self.topics.refresh().await?;
            self.learn(&new).await?;
            self.cluster.measure_from(&self.topics.all(), Offset::Beginning).await?;
        }
        self.cluster.measure_from(&self.topics.all(), Offset::End).await
    }

    /// A partition without a leader is no reason to accept nothing: does any broker answer?
    async fn judge(&self, error: &Unreachable) {
        tracing::debug!(message = "Kafka could not tell where partitions end.", %error);
        match self.cluster.answers().await {
            Ok(()) => self.health.answered(),
            Err(error) => self.health.not_answered(error.to_string()),
        }
    }
}
