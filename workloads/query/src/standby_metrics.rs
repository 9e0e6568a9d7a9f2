//! Metrics of the state of tasks that other processes run and this one keeps ready.

use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering;

use millrace_log::LogStatistics;
use millrace_observe::Observer;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TaskLabels {
    stage: String,
    partition: i32,
}

type OfTasks = Family<TaskLabels, Gauge<i64, AtomicI64>>;

/// What is kept ready, and what was read to restore tasks.
#[derive(Clone, Default)]
pub(crate) struct StandbyMetrics {
    entries: OfTasks,
    bytes: OfTasks,
    lag: OfTasks,
    restored: Counter,
}

impl StandbyMetrics {
    pub(crate) fn register(observer: &Observer) -> Self {
        let m = Self::default();
        observer.register(
            "standby_entries",
            "Entries of state of another process's task that are kept ready here",
            m.entries.clone(),
        );
        observer.register(
            "standby_bytes",
            "Bytes of memory that they take, about; 0 where there is no room for them",
            m.bytes.clone(),
        );
        observer.register(
            "standby_lag_records",
            "Offsets of the changelog that they are behind; -1 until they were read for the first time",
            m.lag.clone(),
        );
        observer.register(
            "log_restored_records",
            "Records of changelogs that were read to restore tasks",
            m.restored.clone(),
        );
        m
    }

    pub(crate) fn refresh(&self, log: &LogStatistics) {
        self.restored.inner().store(log.restored_records, Ordering::Relaxed);
        // What is not kept any more is not told any more.
        for family in [&self.entries, &self.bytes, &self.lag] {
            family.clear();
        }
        for standby in &log.standbys {
            let task = &standby.task;
            let labels = TaskLabels { stage: task.stage.clone(), partition: task.partition };
            let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
            self.entries.get_or_create(&labels).set(number(standby.entries));
            self.bytes.get_or_create(&labels).set(number(standby.bytes));
            self.lag.get_or_create(&labels).set(standby.lag.map_or(-1, number));
        }
    }
}
