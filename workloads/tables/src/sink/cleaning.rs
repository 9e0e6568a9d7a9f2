//! Keeps the partitions of a sink's table as time goes on, and removes rows that are older than its
//! retention.

use std::sync::Arc;
use std::time::Duration;

use millrace_core::with_causes;
use tokio_util::sync::CancellationToken;
use tracing::info;
use tracing::warn;

use super::SinkContext;
use super::TableSink;
use super::metrics::SinkLabels;
use crate::now_micros;

/// Between two cleanings. Partitions are made two periods ahead, and a period is no shorter than
/// an hour.
const PAUSE: Duration = Duration::from_mins(1);

/// Cleans again and again, until told to stop. Of several processes one does it at a time.
pub(super) async fn keep_clean(
    sink: Arc<TableSink>,
    context: SinkContext,
    shutdown: CancellationToken,
) {
    let spec = sink.spec();
    let labels = SinkLabels { sink: sink.name.clone() };
    let mut trouble = None;
    loop {
        let cleaning = context.tables.clean(&spec, now_micros());
        let Some(cleaned) = shutdown.run_until_cancelled(cleaning).await else { return };
        match cleaned {
            Ok(cleaned) => {
                trouble = None;
                if cleaned.rows > 0 || cleaned.partitions > 0 {
                    info!(
                        message = "Rows older than their table's retention are gone.",
                        sink = sink.name,
                        table = sink.table.name,
                        rows = cleaned.rows,
                        partitions = cleaned.partitions
                    );
                }
                context.metrics.removed.get_or_create(&labels).inc_by(cleaned.rows);
                context.metrics.dropped.get_or_create(&labels).inc_by(cleaned.partitions);
            }
            Err(error) => {
                let reason = with_causes(&error);
                if trouble.as_ref() != Some(&reason) {
                    warn!(message = "A table is cleaned later.", error = reason, sink = sink.name);
                    trouble = Some(reason);
                }
            }
        }
        if shutdown.run_until_cancelled(tokio::time::sleep(PAUSE)).await.is_none() {
            return;
        }
    }
}
