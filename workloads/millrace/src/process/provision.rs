//! Makes what the processes of a pipeline need: topics, tables, and the ledger.

use std::sync::Arc;

use millrace_log::LogView;
use millrace_log::ViewNames;
use millrace_plan::Plan;

use crate::exit::Exit;
use crate::exit::Failure;
use crate::process::generations::Authority;
use crate::process::generations::Ledger;
use crate::process::generations::LedgerError;
use crate::process::generations::OpenGenerationsError;
use crate::process::generations::Serving;
use crate::process::generations::begin_anew;
use crate::process::generations::ledger_stage;
use crate::process::generations::prepare;
use crate::process::generations::requests;
use crate::process::shared::Shared;

/// Something that cannot be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProvisionError {
    /// The ledger cannot be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Streams, tasks or tables cannot be made.
    #[error(transparent)]
    Make(#[from] OpenGenerationsError),
}

impl From<ProvisionError> for Failure {
    fn from(error: ProvisionError) -> Self {
        let exit = match &error {
            ProvisionError::Make(
                OpenGenerationsError::Streams(_)
                | OpenGenerationsError::Table(_)
                | OpenGenerationsError::Lowered { .. }
                | OpenGenerationsError::OtherLog { .. }
                | OpenGenerationsError::Begin(_),
            ) => Exit::Data,
            ProvisionError::Ledger(_) | ProvisionError::Make(_) => Exit::Unavailable,
        };
        exit.because(error)
    }
}

/// Makes what is missing. May be called again at any time, also while the pipeline runs. To begin anew
/// is to have tables read from the beginning; with a log that was never read they do so anyway.
pub(crate) async fn provision(
    plan: &Plan,
    shared: &Shared,
    is_anew: bool,
) -> Result<(), ProvisionError> {
    let Shared { log, tables } = shared;
    log.ensure_tasks(&[ledger_stage(), requests::stage()])
        .await
        .map_err(OpenGenerationsError::from)?;
    let found = Ledger::read(&**log).await?;
    // Whoever leads takes over what the resource has new, and nobody else writes the ledger. Where
    // there is none, it comes last: processes begin when they see it.
    prepare(plan, log, &**tables, &found.clone().unwrap_or_else(Ledger::new)).await?;
    if let Some(ledger) = found {
        if is_anew {
            begin_anew(plan, &ledger, &**tables).await?;
        }
    } else {
        let view = Arc::new(LogView::new(Arc::clone(log), ViewNames::default()));
        let tables = Arc::clone(tables);
        Serving::open_as(Authority::Alone, plan.clone(), view, tables).await?;
    }
    Ok(())
}
