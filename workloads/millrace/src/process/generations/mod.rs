//! Generations: what is served, what is computed anew beside it, and the switch.
//!
//! A ledger in the log says which generation of each stage and sink is served. A raised one, by
//! the resource or by `millrace rebuild`, is filled beside it until it has come as far; then the
//! ledger is changed, which is the switch, and tables and readers follow. Whatever an interruption
//! leaves is finished at the next start.

mod begin;
mod edition;
mod exchange;
mod gate;
mod going_on;
mod ledger;
mod pending;
mod progress;
mod reconcile;
mod serving;
mod switch;
#[cfg(test)]
mod switching;

pub(crate) use begin::BeginRebuildError;
pub(crate) use edition::Edition;
pub(crate) use edition::Parts as PartNames;
pub(crate) use ledger::LedgerError;
pub(crate) use ledger::LedgerStore;
pub(crate) use progress::RebuildState;
pub(crate) use serving::OpenGenerationsError;
pub(crate) use serving::Serving;
pub(crate) use switch::Rebuilder;
