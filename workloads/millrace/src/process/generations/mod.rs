//! Generations: what is served, what is computed anew beside it, and the switch.
//!
//! A ledger in the log says which generation of each stage and sink is served. A raised one, by
//! the resource or by `millrace rebuild`, is filled beside it until it has come as far; then the
//! ledger is changed, which is the switch, and tables and readers follow. Whatever an interruption
//! leaves is finished at the next start.

mod begin;
mod edition;
mod ensure;
mod error;
mod exchange;
mod follower;
#[cfg(test)]
mod following;
mod gate;
mod going_on;
mod ledger;
mod pending;
mod progress;
mod reconcile;
pub(crate) mod requests;
mod serving;
mod switch;
#[cfg(test)]
mod switching;

pub(crate) use begin::BeginRebuildError;
pub(crate) use edition::Edition;
pub(crate) use edition::Parts as PartNames;
pub(crate) use ensure::begin_anew;
pub(crate) use ensure::prepare;
pub(crate) use error::OpenGenerationsError;
pub(crate) use follower::Follower;
pub(crate) use follower::OTHERS_PATIENCE;
pub(crate) use follower::Target;
pub(crate) use ledger::Authority;
pub(crate) use ledger::Halt;
pub(crate) use ledger::Ledger;
pub(crate) use ledger::LedgerError;
pub(crate) use ledger::LedgerStore;
pub(crate) use ledger::Numbers;
pub(crate) use ledger::TASK as GENERATIONS;
pub(crate) use ledger::stage as ledger_stage;
pub(crate) use progress::RebuildState;
pub(crate) use progress::shared_progress;
pub(crate) use reconcile::wanted;
pub(crate) use serving::Serving;
pub(crate) use switch::Rebuilder;
