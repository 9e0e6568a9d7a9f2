//! Streams, tasks and tables: made where they are not there yet.

use std::sync::Arc;

use millrace_archive::ArchiveSinks;
use millrace_ingest::KafkaIntake;
use millrace_log::Log;
use millrace_plan::Plan;
use millrace_tables::SinkTable;
use millrace_tables::TableStore;
use millrace_tables::sink::RowOrder;
use millrace_tables::sink::TableSink;
use tracing::warn;

use super::edition::Edition;
use super::edition::Parts;
use super::error::OpenGenerationsError;
use super::ledger::Ledger;
use super::reconcile::check_lowered;
use super::reconcile::edition;
use super::reconcile::pending;
use super::reconcile::reconciled;
use super::reconcile::resting;
use super::reconcile::served;

/// Makes streams, tasks and tables as [`Serving::open`](super::Serving::open) does, where a ledger is
/// there that others may change at any time: it stays as it is.
pub(crate) async fn prepare(
    declared: &Plan,
    log: &Arc<dyn Log>,
    tables: &dyn TableStore,
    found: &Ledger,
) -> Result<(), OpenGenerationsError> {
    let wanted = declared.generations().into();
    check_lowered(found, &wanted)?;
    let ledger = reconciled(declared, log, found, &wanted).await?;
    let served = served(declared, &ledger, &**log);
    let pending = pending(declared, &ledger);
    let resting = resting(&ledger, &wanted, pending.as_ref(), &served);
    ensure_log(&**log, &served).await?;
    ensure_tables(&**log, tables, &served, pending.as_ref(), &resting).await
}

/// Has tables read a log from its beginning: what they have is of another one, and stays.
pub(crate) async fn begin_anew(
    declared: &Plan,
    ledger: &Ledger,
    tables: &dyn TableStore,
) -> Result<(), OpenGenerationsError> {
    let edition = edition(declared, &ledger.commanded);
    let sinks = edition.table_sinks();
    let arrived: Vec<SinkTable> = sinks
        .iter()
        .filter(|sink| sink.inputs.iter().all(|input| input.order == RowOrder::Offset))
        .map(Edition::sink_table)
        .collect();
    if tables.begin_anew(&arrived).await? {
        warn!(
            message = "The tables were filled from another log. Their rows stay, and this log is read from \
                       its beginning."
        );
    }
    Ok(())
}

/// Makes the streams and tasks of an edition.
pub(super) async fn ensure_log(
    log: &dyn Log,
    edition: &Edition,
) -> Result<(), OpenGenerationsError> {
    log.ensure_streams(&edition.streams()).await?;
    log.ensure_tasks(&edition.stages()).await?;
    log.ensure_tasks(&KafkaIntake::stages(&edition.plan)).await?;
    log.ensure_tasks(&ArchiveSinks::stages(&edition.outward())).await?;
    Ok(())
}

pub(super) async fn ensure_tables(
    log: &dyn Log,
    tables: &dyn TableStore,
    served: &Edition,
    pending: Option<&Edition>,
    resting: &Parts,
) -> Result<(), OpenGenerationsError> {
    for sink in served.table_sinks() {
        let table = &sink.table.name;
        let found = tables.served(table).await?;
        if let Some(found) = found.filter(|found| *found > sink.generation) {
            return Err(OpenGenerationsError::OtherLog {
                table: table.clone(),
                found,
                known: sink.generation,
            });
        }
        if pending.is_some() && resting.sinks.contains(&sink.name) {
            continue;
        }
        tables.ensure_tables(&[sink.spec()]).await?;
        // A switch that was interrupted after the ledger was changed.
        if found != Some(sink.generation) {
            tables.serve(&[Edition::sink_table(&sink)]).await?;
        }
    }
    if let Some(pending) = pending {
        ensure_log(log, pending).await?;
        let specs: Vec<_> = pending.table_sinks().iter().map(TableSink::spec).collect();
        tables.ensure_tables(&specs).await?;
    }
    Ok(())
}
