//! What every implementation of [`Log`] must do, as tests that any of them can run.
//!
//! An implementation gives a [`LogFactory`] and calls [`crate::conformance_tests`] in a test
//! module. Each rule begins with an empty log. Failed rules panic, as tests do.

#![allow(clippy::unwrap_used, clippy::panic, clippy::missing_panics_doc)]

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use millrace_core::EventId;
use millrace_core::Headers;
use millrace_core::Mark;
use millrace_core::Offset;
use millrace_core::Partition;
use millrace_core::Record;
use millrace_core::StreamName;
use millrace_plan::model::Retention;

use crate::Append;
use crate::Entry;
use crate::Log;
use crate::ReadLimit;
use crate::StreamConfig;

pub mod appending;
pub mod model;
pub mod reading;
pub mod removing;
pub mod tasks;

/// Makes logs over one storage that is empty at first.
#[async_trait]
pub trait LogFactory: Send + Sync {
    /// Opens a log over what was there when the last one was closed.
    async fn open(&self) -> Arc<dyn Log>;
}

/// Makes a test of each rule; the argument is an expression of a fresh [`LogFactory`].
#[macro_export]
macro_rules! conformance_tests {
    ($factory:expr) => {
        $crate::conformance_tests! { @tests $factory;
            appending: [
                offsets_ascend_and_entries_come_back_in_order,
                an_append_to_several_partitions_is_made_as_a_whole,
                an_append_with_an_unknown_stream_appends_nothing,
                an_empty_append_is_nothing,
                concurrent_producers_lose_nothing_and_keep_their_order,
                partitions_of_a_stream_cannot_change,
                streams_exist_after_they_were_ensured_twice,
                reopening_keeps_everything,
                a_closed_log_refuses,
                an_entry_too_large_is_refused_and_the_log_goes_on
            ],
            reading: [
                a_read_begins_anywhere_and_ends_at_its_limits,
                a_read_at_the_end_returns_nothing,
                followers_see_the_end_move,
                readers_of_a_partition_do_not_disturb_each_other,
                readers_come_to_the_end_behind_commits,
                marks_lie_in_their_place,
                highest_times_are_known_and_survive,
                unknown_streams_are_errors,
                keys_headers_and_values_may_be_any_bytes,
                group_offsets_are_kept_for_each_group
            ],
            tasks: [
                a_commit_is_made_as_a_whole_and_restored,
                the_last_value_of_a_state_wins_and_none_removes_it,
                a_later_claim_fences_the_earlier_one,
                a_fenced_commit_leaves_no_trace,
                a_refused_commit_leaves_no_trace,
                positions_that_are_not_named_stay,
                tasks_and_stores_are_apart,
                epochs_survive,
                positions_are_told_without_a_claim,
                a_task_of_a_stage_without_state_has_positions,
                state_is_told_without_a_claim
            ],
            removing: [
                a_removed_stream_is_gone_with_its_offsets_and_can_be_made_anew,
                a_removed_task_is_fenced_and_begins_anew,
                what_is_not_there_is_removed_already,
                a_removal_leaves_other_streams_and_tasks_alone
            ],
            model: [random_operations_match_a_simple_model]
        }
    };
    (@tests $factory:expr; $($module:ident: [$($rule:ident),*]),*) => {
        $($(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $rule() {
                let factory = $factory;
                $crate::conformance::$module::$rule(&factory).await;
            }
        )*)*
    };
}

/// A stream's name.
#[must_use]
pub fn name(text: &str) -> StreamName {
    text.parse().unwrap()
}

/// A stream that keeps everything.
#[must_use]
pub fn stream(text: &str, partitions: Partition) -> StreamConfig {
    StreamConfig { name: name(text), partitions, retention: Retention::default() }
}

/// A record with a number as its event time, arrival time and value.
#[must_use]
pub fn record(key: &str, number: i64) -> Entry {
    let value = Bytes::from(number.to_string());
    Entry::Record(Record {
        key: Bytes::copy_from_slice(key.as_bytes()),
        event_time: number,
        ingest_time: number,
        id: EventId::of_content("test", key.as_bytes(), &value),
        headers: Headers::default(),
        value,
    })
}

/// A record to append.
#[must_use]
pub fn append(stream: &str, partition: Partition, key: &str, number: i64) -> Append {
    Append { stream: name(stream), partition, entry: record(key, number) }
}

/// An idle mark to append.
#[must_use]
pub fn idle(stream: &str, partition: Partition, watermark: i64) -> Append {
    let entry = Entry::Mark(Mark::Idle { watermark });
    Append { stream: name(stream), partition, entry }
}

/// Everything in a partition, read from its beginning in steps.
pub async fn read_all(log: &dyn Log, stream: &str, partition: Partition) -> Vec<(Offset, Entry)> {
    let mut all = Vec::new();
    let mut from = 0;
    loop {
        let limit = ReadLimit { entries: 7, bytes: 1000 };
        let batch = log.read(&name(stream), partition, from, limit).await.unwrap();
        if batch.entries.is_empty() {
            return all;
        }
        assert!(batch.next > from);
        from = batch.next;
        all.extend(batch.entries);
    }
}

/// The entries of a partition without their offsets.
pub async fn entries(log: &dyn Log, stream: &str, partition: Partition) -> Vec<Entry> {
    read_all(log, stream, partition).await.into_iter().map(|(_, entry)| entry).collect()
}
