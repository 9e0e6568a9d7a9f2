//! Where sinks read: of each stream the partitions that fall to this process, or all of them.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;

use millrace_core::Partition;
use millrace_core::StreamName;
use millrace_core::with_causes;
use millrace_log::GroupMember;
use millrace_log::Log;
use millrace_log::share::Assigned;
use millrace_log::share::ShareError;
use millrace_log::share::ShareNews;
use millrace_log::share::share;
use millrace_log::share::share_as;
use millrace_observe::Component;
use millrace_observe::ComponentId;
use millrace_observe::ComponentKind;
use millrace_observe::Observer;
use millrace_observe::State;
use millrace_plan::Plan;
use millrace_plan::model::SinkPlan;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::error;
use tracing::warn;

use crate::position::GroupPartition;

/// The consumer group whose offsets are a sink's positions.
#[must_use]
pub fn group_of(sink: &SinkPlan) -> String {
    match sink.generation {
        0 => format!("sink/{}", sink.name),
        generation => format!("sink/{}/{generation}", sink.name),
    }
}

/// The group of those who share the partitions of a stream that a sink reads. It has a name of its
/// own: streams of different numbers of partitions are shared apart.
#[must_use]
pub fn members_of(sink: &SinkPlan, stream: &StreamName) -> String {
    format!("{}/{stream}", group_of(sink))
}

/// Who reads a sink's streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readers {
    /// All processes together.
    Shared,
    /// Each process for itself.
    Each,
}

/// What sinks need to read.
pub(crate) struct Shares<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) log: &'a Arc<dyn Log>,
    pub(crate) observer: &'a Arc<Observer>,
    pub(crate) tasks: &'a TaskTracker,
    pub(crate) cancel: &'a CancellationToken,
}

impl Shares<'_> {
    /// Starts what a sink does with each partition of its streams that is read here: `work` makes
    /// it, given the partition, how it shows to others, and what ends it.
    pub(crate) fn start<F>(
        &self,
        sink: &SinkPlan,
        readers: Readers,
        work: impl Fn(GroupPartition, Arc<Component>, CancellationToken) -> F
        + Clone
        + Send
        + Sync
        + 'static,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        for stream in &sink.from {
            let Some(plan) = self.plan.stream(stream) else {
                warn!(message = "A sink reads an unknown stream.", sink = sink.name);
                continue;
            };
            let stream = SharedStream {
                log: Arc::clone(self.log),
                observer: Arc::clone(self.observer),
                sink: sink.name.clone(),
                offsets: group_of(sink),
                members: members_of(sink, stream),
                stream: stream.clone(),
                partitions: plan.partitions,
                readers,
            };
            let component = stream.component(None);
            let (work, cancel) = (work.clone(), self.cancel.clone());
            self.tasks.spawn(async move { stream.run(component, &cancel, work).await });
        }
    }
}

/// A stream that a sink reads.
struct SharedStream {
    log: Arc<dyn Log>,
    observer: Arc<Observer>,
    sink: String,
    offsets: String,
    members: String,
    stream: StreamName,
    partitions: Partition,
    readers: Readers,
}

impl SharedStream {
    fn component(&self, partition: Option<Partition>) -> Arc<Component> {
        let stream = Some(self.stream.as_str());
        self.observer.component(ComponentKind::Sink, &self.sink, stream, partition)
    }

    async fn run<F>(
        &self,
        component: Arc<Component>,
        cancel: &CancellationToken,
        work: impl Fn(GroupPartition, Arc<Component>, CancellationToken) -> F,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let work = |assigned: Assigned| {
            let reads = GroupPartition {
                log: Arc::clone(&self.log),
                group: self.offsets.clone(),
                stream: self.stream.clone(),
                partition: assigned.partition,
            };
            let working = work(reads, self.component(Some(assigned.partition)), assigned.stop);
            async move {
                working.await;
                Ok::<_, Infallible>(())
            }
        };
        let tell = |news: ShareNews<'_>| match news {
            ShareNews::Waiting(error) => {
                let error = with_causes(error);
                warn!(message = "A sink waits for the log.", sink = self.sink, error);
                component.set(State::Waiting(error));
            }
            ShareNews::Joined => self.observer.forget(&component.id),
            ShareNews::Gone(partition) => {
                let partition = Some(partition);
                self.observer.forget(&ComponentId { partition, ..component.id.clone() });
            }
        };
        let ended = match self.readers {
            Readers::Each => {
                share_as(GroupMember::alone(self.partitions), cancel, tell, work).await
            }
            Readers::Shared => {
                let streams = [self.stream.clone()];
                share(&*self.log, &self.members, &streams, cancel, tell, work).await
            }
        };
        match ended {
            Ok(()) => {}
            Err(ShareError::Join(error)) => {
                let error = with_causes(&error);
                error!(message = "A sink cannot run.", sink = self.sink, error);
                component.set(State::Failed(error));
            }
            Err(ShareError::Broken(error)) => {
                error!(message = "A sink broke off.", sink = self.sink, %error);
            }
        }
    }
}
