//! What computes and writes results: tasks, table sinks and sinks that send, at the generations
//! that are served.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use millrace_archive::ArchiveSinks;
use millrace_archive::Folders;
use millrace_engine::Engine;
use millrace_engine::EngineOptions;
use millrace_log::Log;
use millrace_log::ReadLimit;
use millrace_observe::Observer;
use millrace_sinks::MqttSinks;
use millrace_sinks::Publisher;
use millrace_sinks::WebhookSinks;
use millrace_tables::TableStore;
use millrace_tables::sink::SinkContext;
use millrace_tables::sink::TableSink;
use millrace_tables::sink::run_table_sink;
use tokio::sync::watch;

use crate::process::generations::Edition;
use crate::process::generations::PartNames;
use crate::process::live::StartLiveError;
use crate::process::parts::Parts;

/// What is needed to start.
pub(crate) struct ComputeContext {
    pub(crate) log: Arc<dyn Log>,
    pub(crate) tables: Arc<dyn TableStore>,
    pub(crate) observer: Arc<Observer>,
    pub(crate) publisher: Arc<dyn Publisher>,
    pub(crate) batch: ReadLimit,
    pub(crate) folders: Folders,
}

/// What computes and writes results.
pub(crate) struct Computing {
    engine: Parts,
    outward: Parts,
    tables: BTreeMap<String, Parts>,
}

impl Computing {
    /// Starts everything but what rests.
    pub(crate) fn start(
        context: &ComputeContext,
        edition: &Edition,
        resting: &PartNames,
    ) -> Result<Self, StartLiveError> {
        let mut computing =
            Self { engine: Parts::default(), outward: Parts::default(), tables: BTreeMap::new() };
        // First what may fail, so that nothing is left behind that computes.
        if let Err(error) = computing.start_outward(context, edition) {
            computing.outward.stop.cancel();
            return Err(error);
        }
        computing.start_engine(context, edition, resting);
        let resting_sinks = &resting.sinks;
        let sinks = edition.table_sinks();
        computing.start_tables(
            context,
            sinks.into_iter().filter(|sink| !resting_sinks.contains(&sink.name)),
        );
        Ok(computing)
    }

    fn start_engine(&self, context: &ComputeContext, edition: &Edition, resting: &PartNames) {
        let ComputeContext { log, observer, batch, .. } = context;
        let names = edition.plan.stages.iter().map(|stage| stage.name.clone());
        let only: BTreeSet<String> = names.filter(|name| !resting.stages.contains(name)).collect();
        let (_, input_finished) = watch::channel(false);
        let options =
            EngineOptions { until_end: false, batch: *batch, input_finished, only: Some(only) };
        let engine = Engine::start(&edition.plan, log, observer, &options, &self.engine.stop);
        self.engine.start("engine", engine.join());
    }

    fn start_outward(
        &self,
        context: &ComputeContext,
        edition: &Edition,
    ) -> Result<(), StartLiveError> {
        let ComputeContext { log, observer, publisher, folders, .. } = context;
        let (plan, outward) = (&edition.outward(), &self.outward);
        let mqtt = MqttSinks::start(plan, log, Some(publisher), observer, &outward.stop);
        outward.tasks.spawn(mqtt.closed());
        let secrets = folders.secrets.as_deref();
        let webhooks = WebhookSinks::start(plan, log, observer, secrets, &outward.stop)?;
        outward.tasks.spawn(webhooks.closed());
        let archives = ArchiveSinks::start(plan, log, observer, folders, None, &outward.stop)?;
        outward.start("archive sink", archives.join());
        Ok(())
    }

    /// Starts table sinks.
    pub(crate) fn start_tables(
        &mut self,
        context: &ComputeContext,
        sinks: impl IntoIterator<Item = TableSink>,
    ) {
        let ComputeContext { log, tables, observer, .. } = context;
        let shared = SinkContext::new(Arc::clone(log), Arc::clone(tables), Arc::clone(observer));
        for sink in sinks {
            let (name, parts) = (sink.name.clone(), Parts::default());
            let stop = parts.stop.clone();
            parts.start("table sink", run_table_sink(sink, shared.clone(), None, stop));
            self.tables.insert(name, parts);
        }
    }

    /// Stops some table sinks.
    pub(crate) async fn stop_tables(&mut self, names: &BTreeSet<String>) {
        for name in names {
            if let Some(parts) = self.tables.remove(name) {
                parts.stop().await;
            }
        }
    }

    /// Stops the tasks.
    pub(crate) async fn stop_engine(&self) {
        self.engine.stop().await;
    }

    /// Stops everything: tasks after a last commit, then sinks.
    pub(crate) async fn stop(&self) {
        self.engine.stop().await;
        let tables = self.tables.values().map(Parts::stop);
        tokio::join!(self.outward.stop(), futures::future::join_all(tables));
    }
}
