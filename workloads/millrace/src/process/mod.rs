//! A pipeline at work: which parts there are, in which order they start and stop, and how processes
//! are put together of them.
//!
//! `ways_in` takes events in, `computing` computes and writes results, `generations` decides what
//! is served. `live` has all of it in one process over a data folder (`storage`); `ingest`,
//! `computing_process` and `query` have one each, over a log and tables that they share
//! (`shared`, `separate`), and `together` has them all; `provision` makes what they need.
//! `until_end` computes what is recorded and ends; `traces` tells a collector what becomes of
//! requests.

mod admin;
mod computing;
pub(crate) mod computing_process;
pub(crate) mod difference;
mod fleet;
pub(crate) mod fleet_operations;
pub(crate) mod generations;
mod http;
pub(crate) mod ingest;
mod late;
pub(crate) mod live;
mod no_tables;
pub(crate) mod operations;
mod parts;
pub(crate) mod provision;
pub(crate) mod query;
pub(crate) mod replay;
#[cfg(test)]
mod replay_rules;
pub(crate) mod replayer;
pub(crate) mod separate;
pub(crate) mod shared;
pub(crate) mod signals;
pub(crate) mod storage;
pub(crate) mod together;
pub(crate) mod traces;
pub(crate) mod until_end;
mod ways_in;
mod worker;
