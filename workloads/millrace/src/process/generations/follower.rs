//! What a process does that serves what others decide: it looks at the ledger from time to time.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use millrace_core::with_causes;
use millrace_log::Log;
use millrace_log::LogView;
use millrace_plan::Plan;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

use super::edition::Edition;
use super::edition::Parts;
use super::ledger::Halt;
use super::ledger::Ledger;
use super::ledger::LedgerError;
use super::reconcile::edition;
use super::reconcile::pending;
use super::reconcile::resting;
use super::reconcile::served;

/// Between two looks at the ledger.
const LOOK: Duration = Duration::from_secs(1);

/// The same while something is being made that will be switched to.
const LOOK_CLOSELY: Duration = Duration::from_millis(250);

/// How long a process takes at most to see what is to stand still, and to stop it.
pub(crate) const OTHERS_PATIENCE: Duration = Duration::from_millis(1500);

/// What a process is to run.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// What is served.
    pub(crate) edition: Edition,
    /// What of it rests, until it is taken over or switched.
    pub(crate) resting: Parts,
    /// What stands still for a moment.
    pub(crate) halt: Option<Halt>,
}

/// Follows the ledger.
#[derive(Clone)]
pub(crate) struct Follower {
    declared: Arc<Plan>,
    view: Arc<LogView>,
    seen: watch::Receiver<Seen>,
}

/// What was last seen.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    /// The ledger; none if nobody has written one yet.
    pub(crate) ledger: Option<Arc<Ledger>>,
    /// Why it cannot be seen at present.
    pub(crate) trouble: Option<String>,
}

impl Follower {
    /// Looks until `stop`. The view of the log keeps its names: whoever reads through it stops
    /// first, and then takes those of the new edition by [`show`](Self::show).
    pub(crate) fn start(
        declared: Arc<Plan>,
        view: Arc<LogView>,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) -> Self {
        let (sender, seen) = watch::channel(Seen::default());
        let (log, stop) = (Arc::clone(view.log()), stop.clone());
        tasks.spawn(async move { stop.run_until_cancelled(look(log, sender)).await });
        Self { declared, view, seen }
    }

    /// The log under the names that were last shown.
    pub(crate) const fn view(&self) -> &Arc<LogView> {
        &self.view
    }

    /// The plan as this process's resource declares it.
    pub(crate) const fn declared(&self) -> &Arc<Plan> {
        &self.declared
    }

    /// The plan with what commands have raised, as it was last seen.
    pub(crate) fn plan(&self) -> Arc<Plan> {
        match self.ledger() {
            Some(ledger) => edition(&self.declared, &ledger.commanded).plan,
            None => Arc::clone(&self.declared),
        }
    }

    /// What was last seen, and how that changes.
    pub(crate) fn seen(&self) -> watch::Receiver<Seen> {
        self.seen.clone()
    }

    /// The ledger as it was last seen.
    pub(crate) fn ledger(&self) -> Option<Arc<Ledger>> {
        self.seen.borrow().ledger.clone()
    }

    /// Waits until there is a ledger.
    pub(crate) async fn provisioned(&self) {
        // The sender goes only when the process stops.
        let _ = self.seen().wait_for(|seen| seen.ledger.is_some()).await;
    }

    /// Why the process does not know what to serve; none if it does.
    pub(crate) fn not_ready(&self) -> Option<String> {
        let seen = self.seen.borrow();
        match (&seen.ledger, &seen.trouble) {
            (Some(_), _) => None,
            (None, Some(trouble)) => Some(trouble.clone()),
            (None, None) => Some(
                "the pipeline has not been set up yet: run `millrace provision` with the same file and connections"
                    .to_owned(),
            ),
        }
    }

    /// What is to run, as it was last seen.
    pub(crate) fn target(&self) -> Option<Target> {
        Some(self.target_of(&*self.ledger()?))
    }

    /// What a ledger says is to run.
    pub(crate) fn target_of(&self, ledger: &Ledger) -> Target {
        let declared = &self.declared;
        let edition = served(declared, ledger, &**self.view.log());
        let wanted = declared.generations().into();
        let pending = pending(declared, ledger);
        let mut resting = resting(ledger, &wanted, pending.as_ref(), &edition);
        // What is new in this process's resource is taken over by the process that leads.
        let unknown = |known: &BTreeMap<String, i32>, names: BTreeSet<String>| {
            names.into_iter().filter(|name| !known.contains_key(name)).collect::<BTreeSet<_>>()
        };
        let stages = declared.stages.iter().map(|stage| stage.name.clone()).collect();
        let sinks = declared.sinks.iter().map(|sink| sink.name.clone()).collect();
        resting.stages.extend(unknown(&ledger.serving.stages, stages));
        resting.sinks.extend(unknown(&ledger.serving.sinks, sinks));
        Target { edition, resting, halt: ledger.halt.clone() }
    }

    /// What is being made beside what is served, and which parts of it.
    pub(crate) fn pending(&self, ledger: &Ledger) -> Option<(Edition, Parts)> {
        let edition = pending(&self.declared, ledger)?;
        let parts = edition.differing(&ledger.serving);
        Some((edition, parts))
    }

    /// From now on the view has the names of this edition.
    pub(crate) fn show(&self, edition: &Edition) {
        self.view.set_names(edition.names());
    }
}

async fn look(log: Arc<dyn Log>, sender: watch::Sender<Seen>) {
    let mut known: Option<Ledger> = None;
    loop {
        match Ledger::read(&*log).await {
            Ok(found) => {
                let is_new = found.is_some() && found != known;
                sender.send_if_modified(|seen| {
                    let changed = is_new || seen.trouble.is_some();
                    seen.trouble = None;
                    if is_new {
                        seen.ledger = found.clone().map(Arc::new);
                    }
                    changed
                });
                known = found.or(known);
            }
            Err(error) => told(&sender, &error),
        }
        let close = known.as_ref().is_some_and(|l| l.pending.is_some() || l.halt.is_some());
        tokio::time::sleep(if close { LOOK_CLOSELY } else { LOOK }).await;
    }
}

fn told(sender: &watch::Sender<Seen>, error: &LedgerError) {
    let reason = with_causes(error);
    sender.send_if_modified(|seen| {
        let is_new = seen.trouble.is_none();
        if is_new {
            warn!(message = "What is served cannot be looked at.", error = reason);
        }
        seen.trouble = Some(reason);
        is_new
    });
}
