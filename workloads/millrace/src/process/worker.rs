//! A process's share of a pipeline that many processes run: it computes what is served, as the
//! ledger says, and where it leads, it decides what is served.
//!
//! One process leads: the one that has the first partition of the dead letters in a group of all
//! that may. It takes over what the resource declares, runs rebuilds and makes the switch.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use millrace_core::Partition;
use millrace_core::StreamName;
use millrace_core::with_causes;
use millrace_log::Assignment;
use millrace_log::LogView;
use millrace_observe::ComponentKind;
use millrace_observe::Observer;
use millrace_observe::State;
use millrace_plan::model::SinkTarget;
use millrace_query::Readiness;
use parking_lot::Mutex as SyncMutex;
use tokio::sync::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::info;
use tracing::warn;

use crate::process::computing::ComputeContext;
use crate::process::computing::Computing;
use crate::process::generations::Authority;
use crate::process::generations::Follower;
use crate::process::generations::GENERATIONS;
use crate::process::generations::OTHERS_PATIENCE;
use crate::process::generations::OpenGenerationsError;
use crate::process::generations::Rebuilder;
use crate::process::generations::Serving;
use crate::process::generations::Target;
use crate::process::generations::requests::Requests;
use crate::process::parts::Parts;

/// Before what failed is tried again.
const AGAIN: Duration = Duration::from_secs(2);

/// How long a process that cannot lead leaves that to others.
const STAND_BACK: Duration = Duration::from_secs(10);

/// Whoever has it leads.
const SEAT: Partition = 0;

/// What a process computes.
pub(super) struct Worker {
    desk: Arc<Desk>,
    control: Parts,
}

struct Desk {
    context: Arc<ComputeContext>,
    follower: Follower,
    /// Locked while it changes; in the process that leads, the rebuilder changes it, too.
    computing: Arc<Mutex<Option<Computing>>>,
    leads: watch::Sender<bool>,
    /// Why what is served does not run here, and why this process cannot lead.
    trouble: SyncMutex<Trouble>,
    /// Whether what is served has ever been started here.
    has_begun: AtomicBool,
}

#[derive(Default)]
struct Trouble {
    start: Option<String>,
    lead: Option<String>,
}

impl Worker {
    /// Starts what the follower says, now and whenever that changes. `may_lead` has it stand for
    /// leading, too.
    pub(super) fn start(context: ComputeContext, follower: Follower, may_lead: bool) -> Self {
        let control = Parts::with(context.patience);
        let desk = Arc::new(Desk {
            context: Arc::new(context),
            follower,
            computing: Arc::default(),
            leads: watch::Sender::new(false),
            trouble: SyncMutex::default(),
            has_begun: AtomicBool::new(false),
        });
        let (following, stop) = (Arc::clone(&desk), control.stop.clone());
        control.tasks.spawn(async move { following.follow_all(&stop).await });
        if may_lead {
            let (leading, stop) = (Arc::clone(&desk), control.stop.clone());
            control.tasks.spawn(async move { Box::pin(leading.stand(&stop)).await });
        }
        Self { desk, control }
    }

    /// Whether what is served runs here.
    pub(super) fn readiness(&self) -> Arc<dyn Readiness> {
        Arc::clone(&self.desk) as Arc<dyn Readiness>
    }

    /// Stops: what leads first, then tasks after a last commit, then sinks.
    pub(super) async fn stop(&self) {
        self.control.stop().await;
        if let Some(mut computing) = self.desk.computing.lock().await.take() {
            computing.stop().await;
        }
    }
}

impl Desk {
    /// Runs what is served, whoever decides that.
    async fn follow_all(&self, stop: &CancellationToken) {
        let (mut seen, mut leads) = (self.follower.seen(), self.leads.subscribe());
        loop {
            seen.mark_unchanged();
            leads.mark_unchanged();
            if let Some(target) = self.follower.target() {
                self.run(&target, false).await;
            }
            let again = self.trouble.lock().start.is_some();
            tokio::select! {
                () = stop.cancelled() => return,
                Ok(()) = seen.changed() => {}
                Ok(()) = leads.changed() => {}
                () = tokio::time::sleep(AGAIN), if again => {}
                else => return stop.cancelled().await,
            }
        }
    }

    /// Makes what runs what is to run, if it is for the caller to say.
    async fn run(&self, target: &Target, as_leader: bool) {
        let Target { edition, resting, halt } = target;
        let mut computing = self.computing.lock().await;
        if *self.leads.borrow() != as_leader {
            return;
        }
        if let Some(halt) = halt {
            if let Some(running) = &mut *computing {
                running.halt(halt).await;
            }
            return;
        }
        if computing.as_ref().is_some_and(|running| running.is_as(edition, resting)) {
            return;
        }
        let known = self.context.know_tables(edition, resting).await;
        if let Err(reason) = known {
            warn!(message = "The tables of what is served cannot be found; trying again.", reason);
            self.trouble.lock().start = Some(reason);
            return;
        }
        if let Some(running) = &mut *computing {
            if running.exchange_tables(&self.context, edition, resting).await {
                self.trouble.lock().start = None;
                return;
            }
            running.stop().await;
        }
        *computing = None;
        // Nobody reads under the names of before any more.
        self.follower.show(edition);
        let started = Computing::start(&self.context, edition, resting);
        let failed = started.as_ref().err().map(with_causes_of);
        if let Some(reason) = &failed {
            warn!(message = "What is served cannot start; trying again.", error = reason);
        }
        self.trouble.lock().start = failed;
        *computing = started.ok();
        if computing.is_some() {
            self.has_begun.store(true, Ordering::Release);
        }
    }

    /// Leads whenever it falls to this process.
    async fn stand(&self, stop: &CancellationToken) {
        if stop.run_until_cancelled(self.follower.provisioned()).await.is_none() {
            return;
        }
        let streams = [StreamName::dead_letters()];
        while !stop.is_cancelled() {
            let log = self.follower.view().log();
            let pause = match log.join_group(GENERATIONS, &streams).await {
                Ok(member) => {
                    let mut seat = member.assignment();
                    let leading = Box::pin(self.lead_when_seated(&mut seat, stop));
                    match stop.run_until_cancelled(leading).await {
                        None | Some(Ok(())) => AGAIN,
                        Some(Err(error)) => {
                            let error = with_causes(&error);
                            warn!(message = "This process cannot lead.", error);
                            self.trouble.lock().lead = Some(error);
                            STAND_BACK
                        }
                    }
                }
                Err(error) => {
                    let error = with_causes(&error);
                    warn!(message = "Nobody can lead at present.", error);
                    AGAIN
                }
            };
            if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                return;
            }
        }
    }

    async fn lead_when_seated(
        &self,
        seat: &mut watch::Receiver<Assignment>,
        stop: &CancellationToken,
    ) -> Result<(), OpenGenerationsError> {
        loop {
            // The log is closing where nothing more is told.
            let Ok(epoch) = until(seat, |epoch| epoch.is_some()).await else { return Ok(()) };
            let tenure = stop.child_token();
            self.leads.send_replace(true);
            let result = {
                let leading = self.lead(&tenure);
                tokio::pin!(leading);
                tokio::select! {
                    result = &mut leading => result,
                    _ = until(seat, |now| now != epoch) => {
                        info!("Another process leads.");
                        tenure.cancel();
                        leading.await
                    }
                }
            };
            self.leads.send_replace(false);
            result?;
        }
    }

    /// Decides what is served, until the tenure ends.
    async fn lead(&self, tenure: &CancellationToken) -> Result<(), OpenGenerationsError> {
        let declared = (**self.follower.declared()).clone();
        let view: Arc<LogView> = Arc::clone(self.follower.view());
        let tables = Arc::clone(&self.context.tables);
        let opening = Serving::open_as(Authority::Member, declared, view, tables);
        let Some(serving) = tenure.run_until_cancelled(opening).await else { return Ok(()) };
        let serving = Arc::new(serving?);
        self.trouble.lock().lead = None;
        info!("This process leads.");
        let target = Target {
            edition: serving.served().await,
            resting: serving.resting().await,
            halt: None,
        };
        self.run(&target, true).await;
        let rebuilder = Rebuilder {
            serving: Arc::clone(&serving),
            context: Arc::clone(&self.context),
            computing: Arc::clone(&self.computing),
            others: Some(OTHERS_PATIENCE),
        };
        let requests = Requests::new(Arc::clone(self.follower.view().log()));
        let (overtaken, tenure) = (serving.overtaken().await, tenure.child_token());
        let ending = async {
            tokio::select! {
                () = overtaken.cancelled() => {
                    info!("Someone else has changed what is served; it is found out anew.");
                    tenure.cancel();
                }
                () = tenure.cancelled() => {}
            }
        };
        tokio::join!(rebuilder.run(tenure.clone()), requests.serve(&serving, &tenure), ending);
        Ok(())
    }
}

/// Waits until the epoch of the seat, if it is here, is as wanted, and returns it.
async fn until(
    seat: &mut watch::Receiver<Assignment>,
    wanted: impl Fn(Option<i64>) -> bool,
) -> Result<Option<i64>, watch::error::RecvError> {
    let found = seat.wait_for(|seat| wanted(seat.get(&SEAT).copied())).await?;
    Ok(found.get(&SEAT).copied())
}

fn with_causes_of(error: &crate::process::live::StartLiveError) -> String {
    with_causes(error)
}

#[async_trait]
impl Readiness for Desk {
    /// Everything that fell to this process has been begun, and nothing has failed for good. A part
    /// that waits for the log or the database is no reason: another process would wait as well.
    async fn reasons(&self) -> Vec<String> {
        let mut reasons: Vec<String> = self.follower.not_ready().into_iter().collect();
        if reasons.is_empty() && !self.has_begun.load(Ordering::Acquire) {
            reasons.push("what is served has not been started here yet".to_owned());
        }
        let trouble = self.trouble.lock();
        reasons.extend([&trouble.start, &trouble.lead].into_iter().flatten().cloned());
        drop(trouble);
        let plan = self.follower.declared();
        let fills = |name: &str| {
            let sink = plan.sinks.iter().find(|sink| sink.name == name);
            sink.is_some_and(|sink| matches!(sink.target, SinkTarget::Table(_)))
        };
        reasons.extend(not_begun(&self.context.observer, |kind, name| match kind {
            ComponentKind::Task | ComponentKind::Endpoint => true,
            ComponentKind::Sink => fills(name),
            ComponentKind::Ingest => false,
        }));
        reasons
    }
}

/// Parts that have not begun yet, or have failed for good.
pub(super) fn not_begun(
    observer: &Observer,
    counts: impl Fn(ComponentKind, &str) -> bool,
) -> Vec<String> {
    observer
        .components()
        .iter()
        .filter(|component| counts(component.id.kind, &component.id.name))
        .filter_map(|component| match component.state() {
            State::Starting => Some(format!("{} is starting", component.id)),
            State::Failed(reason) => Some(format!("{} has failed: {reason}", component.id)),
            State::Running | State::Waiting(_) | State::Finished => None,
        })
        .collect()
}
