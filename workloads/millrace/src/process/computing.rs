//! What computes and writes results: tasks, table sinks and sinks that send, at the generations
//! that are served.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use millrace_archive::ArchiveSinks;
use millrace_archive::Folders;
use millrace_core::with_causes;
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
use crate::process::generations::Halt;
use crate::process::generations::Numbers;
use crate::process::generations::PartNames;
use crate::process::live::StartLiveError;
use crate::process::parts::Parts;

/// What is needed to start.
pub(crate) struct ComputeContext {
    pub(crate) log: Arc<dyn Log>,
    pub(crate) tables: Arc<dyn TableStore>,
    pub(crate) observer: Arc<Observer>,
    /// Our own MQTT endpoint, where this process has it.
    pub(crate) publisher: Option<Arc<dyn Publisher>>,
    pub(crate) batch: ReadLimit,
    pub(crate) folders: Folders,
    /// Whether other processes of the pipeline may run beside this one.
    pub(crate) beside_others: bool,
    /// Names of the stages and sinks that run here; none: all of them do.
    pub(crate) only: Option<BTreeSet<String>>,
    /// How long tasks may take to stop, and sinks after them.
    pub(crate) patience: Duration,
}

impl ComputeContext {
    /// Has the store know the tables that are filled here, as they are in the database; the reason
    /// if it cannot.
    pub(crate) async fn know_tables(
        &self,
        edition: &Edition,
        resting: &PartNames,
    ) -> Result<(), String> {
        let sinks = edition.table_sinks();
        let runs = |sink: &&TableSink| self.runs(&sink.name) && !resting.sinks.contains(&sink.name);
        let specs: Vec<_> = sinks.iter().filter(runs).map(TableSink::spec).collect();
        self.tables.ensure_tables(&specs).await.map_err(|error| with_causes(&error))
    }

    /// Whether a stage or sink runs here.
    fn runs(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only.contains(name))
    }
}

/// What computes and writes results.
pub(crate) struct Computing {
    engine: Parts,
    outward: Parts,
    tables: BTreeMap<String, Parts>,
    /// What runs: generations, and what of them rests.
    runs: (Numbers, PartNames),
    /// What of it has been stopped.
    halted: Option<Halt>,
}

impl Computing {
    /// Starts everything but what rests.
    pub(crate) fn start(
        context: &ComputeContext,
        edition: &Edition,
        resting: &PartNames,
    ) -> Result<Self, StartLiveError> {
        let mut computing = Self {
            engine: Parts::with(context.patience),
            outward: Parts::with(context.patience),
            tables: BTreeMap::new(),
            runs: <(Numbers, PartNames)>::default(),
            halted: None,
        };
        // First what may fail, so that nothing is left behind that computes.
        if let Err(error) = computing.start_outward(context, edition, resting) {
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
        computing.goes_on_as(edition, resting);
        Ok(computing)
    }

    /// Everything of an edition runs but what rests.
    pub(crate) fn goes_on_as(&mut self, edition: &Edition, resting: &PartNames) {
        self.runs = (edition.numbers.clone(), resting.clone());
        self.halted = None;
    }

    /// Whether everything of an edition runs but what rests.
    pub(crate) fn is_as(&self, edition: &Edition, resting: &PartNames) -> bool {
        self.halted.is_none() && self.runs == (edition.numbers.clone(), resting.clone())
    }

    /// Makes an edition run that differs in table sinks alone, without a stop of anything else;
    /// false if it differs in more.
    pub(crate) async fn exchange_tables(
        &mut self,
        context: &ComputeContext,
        edition: &Edition,
        resting: &PartNames,
    ) -> bool {
        let mut changed = edition.differing(&self.runs.0);
        changed.sinks.extend(&self.runs.1.sinks ^ &resting.sinks);
        let sinks = edition.table_sinks();
        let is_table = |name: &String| sinks.iter().any(|sink| sink.name == *name);
        let stopped = match &self.halted {
            None => true,
            Some(Halt::Tables(names)) => names.is_subset(&changed.sinks),
            Some(Halt::Tasks | Halt::All) => false,
        };
        let only_tables = changed.stages.is_empty() && changed.sinks.iter().all(is_table);
        let same_rest = resting.stages == self.runs.1.stages;
        if !(stopped && only_tables && same_rest && !changed.sinks.is_empty()) {
            return false;
        }
        self.stop_tables(&changed.sinks).await;
        let new = sinks.into_iter().filter(|sink| {
            changed.sinks.contains(&sink.name) && !resting.sinks.contains(&sink.name)
        });
        self.start_tables(context, new);
        self.goes_on_as(edition, resting);
        true
    }

    /// Stops what is to stand still.
    pub(crate) async fn halt(&mut self, halt: &Halt) {
        match halt {
            Halt::Tables(names) => self.stop_tables(names).await,
            Halt::Tasks => self.stop_engine().await,
            Halt::All => self.stop().await,
        }
    }

    fn start_engine(&self, context: &ComputeContext, edition: &Edition, resting: &PartNames) {
        let ComputeContext { log, observer, batch, .. } = context;
        let names = edition.plan.stages.iter().map(|stage| stage.name.clone());
        let runs = |name: &String| context.runs(name) && !resting.stages.contains(name);
        let only: BTreeSet<String> = names.filter(runs).collect();
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
        resting: &PartNames,
    ) -> Result<(), StartLiveError> {
        let ComputeContext { log, observer, publisher, folders, .. } = context;
        let (mut plan, outward) = (edition.outward(), &self.outward);
        plan.sinks.retain(|sink| context.runs(&sink.name) && !resting.sinks.contains(&sink.name));
        let plan = &plan;
        let start_mqtt =
            if context.beside_others { MqttSinks::start_beside_others } else { MqttSinks::start };
        let secrets = folders.secrets.as_deref();
        let here = secrets.unwrap_or(Path::new("secrets"));
        let mqtt = start_mqtt(plan, log, publisher.as_ref(), observer, here, &outward.stop);
        outward.tasks.spawn(mqtt.closed());
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
        for sink in sinks.into_iter().filter(|sink| context.runs(&sink.name)) {
            let (name, parts) = (sink.name.clone(), Parts::with(context.patience));
            let stop = parts.stop.clone();
            parts.start("table sink", run_table_sink(sink, shared.clone(), None, stop));
            self.tables.insert(name, parts);
        }
    }

    /// Stops some table sinks.
    pub(crate) async fn stop_tables(&mut self, names: &BTreeSet<String>) {
        self.halted.get_or_insert_with(|| Halt::Tables(names.clone()));
        for name in names {
            if let Some(parts) = self.tables.remove(name) {
                parts.stop().await;
            }
        }
    }

    /// Stops the tasks.
    pub(crate) async fn stop_engine(&mut self) {
        self.halted = Some(Halt::Tasks);
        self.engine.stop().await;
    }

    /// Stops everything: tasks after a last commit, then sinks.
    pub(crate) async fn stop(&mut self) {
        self.halted = Some(Halt::All);
        self.engine.stop().await;
        let tables = self.tables.values().map(Parts::stop);
        tokio::join!(self.outward.stop(), futures::future::join_all(tables));
    }
}
