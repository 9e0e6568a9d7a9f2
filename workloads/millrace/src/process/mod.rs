//! A pipeline in one process: which parts there are, in which order they start and stop.
//!
//! `storage` is what lasts (the log and the tables); `until_end` computes what is recorded and
//! ends; `live` serves until it is told to stop; `traces` tells a collector
//! what becomes of requests.

mod computing;
pub(crate) mod generations;
mod http;
pub(crate) mod live;
pub(crate) mod operations;
mod parts;
pub(crate) mod replay;
#[cfg(test)]
mod replay_rules;
pub(crate) mod replayer;
pub(crate) mod signals;
pub(crate) mod storage;
pub(crate) mod traces;
pub(crate) mod until_end;
