//! The register of all parts and metrics of a process.

use std::any::Any;
use std::any::TypeId;
use std::collections::BTreeMap;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::OnceLock;

use parking_lot::Mutex;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Metric;
use prometheus_client::registry::Registry;

use crate::Component;
use crate::ComponentId;
use crate::ComponentKind;
use crate::DeadLetterCounts;
use crate::State;
use crate::trace::Tracer;

/// The register of all parts and metrics of a process. Metric names get the prefix `millrace_`.
pub struct Observer {
    registry: Mutex<Registry>,
    components: Mutex<BTreeMap<ComponentId, Arc<Component>>>,
    shared: Mutex<HashMap<TypeId, Box<dyn Any + Send>>>,
    tracer: OnceLock<Tracer>,
    dead_letters: DeadLetterCounts,
}

impl Default for Observer {
    fn default() -> Self {
        let observer = Self {
            registry: Mutex::new(Registry::with_prefix("millrace")),
            components: Mutex::default(),
            shared: Mutex::default(),
            tracer: OnceLock::new(),
            dead_letters: DeadLetterCounts::default(),
        };
        observer.register(
            "dead_letters",
            "Dead letters, by the stage that refused an event",
            observer.dead_letters.family(),
        );
        observer
    }
}

impl Observer {
    /// Registers a part; the same part again gets the same [`Component`], starting anew.
    pub fn component(
        &self,
        kind: ComponentKind,
        name: &str,
        stream: Option<&str>,
        partition: Option<i32>,
    ) -> Arc<Component> {
        let id = ComponentId {
            kind,
            name: name.to_owned(),
            stream: stream.map(str::to_owned),
            partition,
        };
        let mut components = self.components.lock();
        let component = Arc::clone(
            components.entry(id.clone()).or_insert_with(|| Arc::new(Component::new(id))),
        );
        component.set(State::Starting);
        component
    }

    /// Forgets a part that is no longer one of this process.
    pub fn forget(&self, id: &ComponentId) {
        self.components.lock().remove(id);
    }

    /// All parts, ordered by kind, name, stream and partition.
    #[must_use]
    pub fn components(&self) -> Vec<Arc<Component>> {
        self.components.lock().values().cloned().collect()
    }

    /// Why the process is not ready, a reason each; empty when every part runs (or has finished).
    #[must_use]
    pub fn not_ready(&self) -> Vec<String> {
        self.not_ready_of(|_| true)
    }

    /// The same of those parts alone that count.
    pub fn not_ready_of(&self, counts: impl Fn(&ComponentId) -> bool) -> Vec<String> {
        self.components()
            .iter()
            .filter(|component| counts(&component.id))
            .filter_map(|component| {
                let reason = match component.state() {
                    State::Running | State::Finished => return None,
                    State::Starting => "is starting".to_owned(),
                    State::Waiting(reason) => format!("is waiting: {reason}"),
                    State::Failed(reason) => format!("has failed: {reason}"),
                };
                Some(format!("{} {reason}", component.id))
            })
            .collect()
    }

    /// Registers a metric. `name` is without prefix and without `_total`.
    pub fn register(&self, name: &str, help: &str, metric: impl Metric) {
        self.registry.lock().register(name, help, metric);
    }

    /// What a part registers once a process, though the part may start several times: the same
    /// type again gets what was made for it first.
    pub fn once<T: Clone + Send + 'static>(&self, make: impl FnOnce() -> T) -> T {
        let mut shared = self.shared.lock();
        let kept = shared.entry(TypeId::of::<T>()).or_insert_with(|| Box::new(make()));
        match kept.downcast_ref::<T>() {
            Some(kept) => kept.clone(),
            None => unreachable!("what is kept under a type is of that type"),
        }
    }

    /// Counts dead letters of all parts.
    #[must_use]
    pub const fn dead_letters(&self) -> &DeadLetterCounts {
        &self.dead_letters
    }

    /// Has parts that start from now on record traces. The first tracer stays.
    pub fn trace_by(&self, tracer: Tracer) {
        self.tracer.get_or_init(|| tracer);
    }

    /// What takes traces; none where nobody wants any.
    #[must_use]
    pub fn tracer(&self) -> Option<&Tracer> {
        self.tracer.get()
    }

    /// All metrics in the OpenMetrics text form.
    ///
    /// # Errors
    /// When a metric cannot be written.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry.lock())?;
        Ok(text)
    }
}

impl fmt::Display for ComponentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            ComponentKind::Ingest => "ingest",
            ComponentKind::Task => "task",
            ComponentKind::Sink => "sink",
            ComponentKind::Endpoint => "endpoint",
        };
        write!(f, "{kind} {}", self.name)?;
        if let Some(stream) = &self.stream {
            write!(f, " on {stream}")?;
        }
        if let Some(partition) = self.partition {
            write!(f, " partition {partition}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_ready_only_when_every_part_runs() {
        let observer = Observer::default();
        let task = observer.component(ComponentKind::Task, "motion", None, Some(3));
        assert_eq!(observer.not_ready(), ["task motion partition 3 is starting"]);
        task.set(State::Waiting("disk full".into()));
        assert_eq!(observer.not_ready(), ["task motion partition 3 is waiting: disk full"]);
        task.set(State::Running);
        assert!(observer.not_ready().is_empty());
    }

    #[test]
    fn a_part_that_has_gone_elsewhere_says_nothing_any_more() {
        let observer = Observer::default();
        let task = observer.component(ComponentKind::Task, "motion", None, Some(3));
        observer.forget(&task.id);
        assert!(observer.not_ready().is_empty() && observer.components().is_empty());
    }
}
