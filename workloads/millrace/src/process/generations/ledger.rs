//! The ledger: which generations are served and which are being made, kept in the log.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use millrace_core::Offset;
use millrace_core::Partition;
use millrace_core::StreamName;
use millrace_log::ClaimTaskError;
use millrace_log::CommitTaskError;
use millrace_log::InputPosition;
use millrace_log::Log;
use millrace_log::ReadError;
use millrace_log::StageConfig;
use millrace_log::StateChange;
use millrace_log::StateEntry;
use millrace_log::TaskClaim;
use millrace_log::TaskCommit;
use millrace_log::TaskName;
use millrace_plan::Generations;
use millrace_plan::Plan;
use millrace_plan::Raise;
use millrace_plan::model::SinkTarget;
use serde::Deserialize;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

/// The task whose state the ledger is, and the group of those who may write it. Declared names have
/// no `.`.
pub(crate) const TASK: &str = "pipeline.generations";
const STORE: &str = "ledger";
const KEY: &[u8] = b"ledger";

/// Version of the ledger's form.
const VERSION: u32 = 1;

/// A ledger that cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LedgerError {
    /// It cannot be read.
    #[error("cannot read which generations are served")]
    Claim(#[from] ClaimTaskError),
    /// It cannot be looked at.
    #[error("cannot look at which generations are served")]
    Read(#[from] ReadError),
    /// It was written by a later program.
    #[error(
        "the ledger of generations has form {0}, this program reads up to {VERSION}: use a newer Millrace"
    )]
    Version(u32),
    /// It is damaged.
    #[error("the ledger of generations is damaged")]
    Decode(#[source] serde_json::Error),
    /// It cannot be written.
    #[error("cannot write which generations are served")]
    Commit(#[from] CommitTaskError),
}

/// Numbers of stages and sinks, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Numbers {
    pub(crate) stages: BTreeMap<String, i32>,
    pub(crate) sinks: BTreeMap<String, i32>,
}

impl From<Generations> for Numbers {
    fn from(generations: Generations) -> Self {
        Self { stages: generations.stages, sinks: generations.sinks }
    }
}

/// How often each part was rebuilt by command.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Commanded {
    pub(crate) processors: BTreeMap<String, i32>,
    pub(crate) sinks: BTreeMap<String, i32>,
}

impl Commanded {
    /// Counts one more rebuild of a processor or a table sink; false if there is none of this name.
    pub(crate) fn raise(&mut self, plan: &Plan, name: &str) -> bool {
        let is_processor =
            plan.stages.iter().flat_map(|stage| &stage.operators).any(|o| o.name == name);
        let is_sink = plan
            .sinks
            .iter()
            .any(|sink| sink.name == name && matches!(sink.target, SinkTarget::Table(_)));
        let counts = match (is_sink, is_processor) {
            (true, _) => &mut self.sinks,
            (false, true) => &mut self.processors,
            (false, false) => return false,
        };
        let count = counts.entry(name.to_owned()).or_default();
        *count = count.saturating_add(1);
        true
    }
}

impl From<&Commanded> for Raise {
    fn from(commanded: &Commanded) -> Self {
        Self { processors: commanded.processors.clone(), sinks: commanded.sinks.clone() }
    }
}

/// A partition and an offset in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    pub(crate) stream: String,
    pub(crate) partition: Partition,
    pub(crate) offset: Offset,
}

/// What is being made beside what is served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PendingRecord {
    /// The numbers of all parts after the switch.
    pub(crate) to: Numbers,
    /// The commands that lead there, earlier ones included.
    pub(crate) commanded: Commanded,
    /// Where the streams that are read anew ended when it began.
    pub(crate) targets: Vec<Mark>,
    /// Where these began, unless at 0: by the part that reads them.
    pub(crate) began: BTreeMap<String, Vec<Mark>>,
    /// When it began, in milliseconds since 1970.
    pub(crate) since: i64,
    /// Where new streams of stages that rest ended when the new tasks had read exactly what the
    /// resting ones had: sinks that send go on there. None until that is known.
    #[serde(default)]
    pub(crate) going_on: Option<Vec<Mark>>,
    /// The same of streams that were being made before another rebuild took that one's place.
    #[serde(default)]
    pub(crate) noted: Vec<Mark>,
}

/// What is to be removed: it is neither served nor being made any more.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Garbage {
    /// Streams, by their names in the log.
    pub(crate) streams: BTreeSet<String>,
    /// Tasks, by their names in the log.
    pub(crate) tasks: BTreeSet<(String, Partition)>,
    /// Tables that waited: sink, table, generation.
    pub(crate) tables: BTreeSet<(String, String, i32)>,
}

/// What all processes stop while the one that rebuilds makes the switch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Halt {
    /// Some table sinks.
    Tables(BTreeSet<String>),
    /// Tasks.
    Tasks,
    /// Tasks and sinks.
    All,
}

/// A rebuild that is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ended {
    /// What was made anew, or was to be.
    pub(crate) parts: BTreeSet<String>,
    /// Why it was given up; none if it was switched to.
    pub(crate) reason: Option<String>,
    /// Recorded entries that it read.
    pub(crate) entries: i64,
    /// When it had begun, in milliseconds since 1970.
    pub(crate) since: i64,
}

/// All that is kept of generations.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ledger {
    version: u32,
    /// What the resource alone asked for when that was switched to.
    pub(crate) declared: Numbers,
    /// What is served.
    pub(crate) serving: Numbers,
    /// The commands that led to what is served.
    pub(crate) commanded: Commanded,
    /// Commands that were given while the pipeline was stopped: names, and whether what the log
    /// still has is enough.
    pub(crate) requested: BTreeMap<String, bool>,
    /// Names of what can be rebuilt.
    pub(crate) known: BTreeSet<String>,
    /// Whether what the log still has is enough for the rebuild that goes on or comes next.
    pub(crate) partial: bool,
    /// Where the tables that are served began to read, unless at 0: by sink.
    pub(crate) began: BTreeMap<String, Vec<Mark>>,
    /// What each sink that is served adds to the generations of what it reads.
    #[serde(default)]
    pub(crate) own: BTreeMap<String, i32>,
    pub(crate) pending: Option<PendingRecord>,
    pub(crate) garbage: Garbage,
    /// What stands still for the switch that is being made.
    #[serde(default)]
    pub(crate) halt: Option<Halt>,
    /// The last rebuild, until another one begins.
    #[serde(default)]
    pub(crate) ended: Option<Ended>,
}

/// What the ledger is kept in.
pub(crate) fn stage() -> StageConfig {
    StageConfig { name: TASK.to_owned(), partitions: 1 }
}

fn task() -> TaskName {
    TaskName { stage: TASK.to_owned(), partition: 0 }
}

impl Ledger {
    /// The ledger of a pipeline that has never run.
    pub(crate) fn new() -> Self {
        Self { version: VERSION, ..Self::default() }
    }

    /// The ledger as it was last written, by whomever; none if it never was.
    pub(crate) async fn read(log: &dyn Log) -> Result<Option<Self>, LedgerError> {
        find(&log.task_state(&task()).await?)
    }
}

fn find(state: &[StateEntry]) -> Result<Option<Ledger>, LedgerError> {
    state.iter().find(|entry| entry.store == STORE).map(|entry| decode(&entry.value)).transpose()
}

/// Who may change the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Authority {
    /// This process alone has the log.
    Alone,
    /// Who has the first partition of the dead letters in the group [`TASK`].
    Member,
}

/// The ledger with the right to change it.
pub(crate) struct LedgerStore {
    log: Arc<dyn Log>,
    claim: TaskClaim,
    authority: Authority,
    ledger: Ledger,
    /// Whether it has ever been written: others wait for that, even if there is nothing in it.
    is_written: bool,
    overtaken: CancellationToken,
}

impl LedgerStore {
    /// Reads the ledger; empty if there is none yet.
    pub(crate) async fn open(log: Arc<dyn Log>, authority: Authority) -> Result<Self, LedgerError> {
        let (claim, snapshot) = log.claim_task(&task()).await?;
        let found = find(&snapshot.state)?;
        let is_written = found.is_some();
        let ledger = found.unwrap_or_else(Ledger::new);
        let overtaken = CancellationToken::new();
        Ok(Self { log, claim, authority, ledger, is_written, overtaken })
    }

    /// Whether the log has ever had a ledger: if not, nothing was read of it either.
    pub(crate) const fn is_written(&self) -> bool {
        self.is_written
    }

    /// The ledger as it was last written.
    pub(crate) const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Cancelled when someone else has written the ledger since: what is known of it here is old.
    pub(crate) fn overtaken(&self) -> CancellationToken {
        self.overtaken.clone()
    }

    /// Changes the ledger, durably or not at all.
    pub(crate) async fn change(
        &mut self,
        change: impl FnOnce(&mut Ledger),
    ) -> Result<(), LedgerError> {
        let mut ledger = self.ledger.clone();
        change(&mut ledger);
        if self.is_written && ledger == self.ledger {
            return Ok(());
        }
        let value = serde_json::to_vec(&ledger).map_err(LedgerError::Decode)?;
        let change = StateChange {
            store: STORE.to_owned(),
            key: Bytes::from_static(KEY),
            value: Some(value.into()),
        };
        // A member commits a position of what its group reads: that is what a later one is told
        // from an earlier one by.
        let position = InputPosition {
            stream: StreamName::dead_letters(),
            partition: 0,
            next: 0,
            metadata: Bytes::new(),
        };
        let positions = match self.authority {
            Authority::Alone => Vec::new(),
            Authority::Member => vec![position],
        };
        let commit = TaskCommit { state: vec![change], positions, ..TaskCommit::default() };
        let committed = self.log.commit_task(&self.claim, commit).await;
        if let Err(CommitTaskError::Fenced { .. }) = &committed {
            self.overtaken.cancel();
        }
        committed?;
        self.is_written = true;
        self.ledger = ledger;
        Ok(())
    }
}

fn decode(bytes: &[u8]) -> Result<Ledger, LedgerError> {
    #[derive(Deserialize)]
    struct Form {
        version: u32,
    }
    let form: Form = serde_json::from_slice(bytes).map_err(LedgerError::Decode)?;
    if form.version > VERSION {
        return Err(LedgerError::Version(form.version));
    }
    serde_json::from_slice(bytes).map_err(LedgerError::Decode)
}
