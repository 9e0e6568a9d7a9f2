//! What a pipeline needs of Kafka and Postgres, and what of it is there.

use millrace_core::Partition;
use millrace_core::StreamName;
use millrace_ingest::KafkaIntake;
use millrace_log::Log;
use millrace_plan::Plan;
use millrace_plan::model::IngestSource;
use millrace_plan::model::SinkPlan;
use millrace_plan::model::SinkTarget;
use millrace_sinks::group_of;
use millrace_sinks::members_of;
use millrace_tables::EnsureTableError;
use millrace_tables::ServeError;
use millrace_tables::sink::SinkInput;
use serde::Serialize;

use crate::process::generations::Edition;
use crate::process::generations::GENERATIONS;
use crate::process::generations::Ledger;
use crate::process::generations::LedgerError;
use crate::process::generations::ledger_stage;
use crate::process::generations::requests;
use crate::process::generations::wanted;
use crate::process::shared::Shared;

/// What a part of a pipeline is in Kafka or Postgres.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum NeedKind {
    Topic,
    Changelog,
    Group,
    Table,
}

/// Whether something is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "state", content = "reason")]
pub(crate) enum NeedState {
    /// It is as it is wanted.
    There,
    /// `millrace provision` makes it.
    Missing,
    /// It is made by itself when it is first used.
    ByItself,
    /// It cannot become what is wanted.
    Refused(String),
}

/// Something that a pipeline needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Need {
    pub(crate) kind: NeedKind,
    pub(crate) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) partitions: Option<Partition>,
    #[serde(flatten)]
    pub(crate) state: NeedState,
}

/// Something that cannot be found out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CompareError {
    /// The ledger cannot be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The tables cannot be looked at.
    #[error(transparent)]
    Tables(#[from] ServeError),
    /// A table cannot be looked at.
    #[error(transparent)]
    Table(#[from] EnsureTableError),
}

/// What a pipeline needs, in the order in which data pass it. `prefix` is what names in Kafka begin
/// with.
pub(crate) async fn needs(
    plan: &Plan,
    shared: &Shared,
    prefix: &str,
) -> Result<Vec<Need>, CompareError> {
    let ledger = Ledger::read(&*shared.log).await?;
    let edition = wanted(plan, ledger.as_ref());
    let mut needs: Vec<Need> = Vec::new();
    for stream in edition.streams() {
        let found = partitions_of(&*shared.log, &stream.name);
        let state = match found {
            None => NeedState::Missing,
            Some(found) if found == stream.partitions => NeedState::There,
            Some(found) => NeedState::Refused(format!(
                "it has {found} partitions and {} are declared: the number is part of where keys lie and cannot \
                 change. Write {found}, or raise the `generation` of the processor that writes it",
                stream.partitions
            )),
        };
        needs.push(Need {
            kind: NeedKind::Topic,
            name: format!("{prefix}{}", stream.name),
            partitions: Some(stream.partitions),
            state,
        });
    }
    for way in &plan.ingest {
        let IngestSource::Kafka(kafka) = &way.source else { continue };
        let found = shared.log.attach_external(&kafka.source, &kafka.topic).await;
        needs.push(Need {
            kind: NeedKind::Topic,
            name: kafka.topic.clone(),
            partitions: found.as_ref().ok().copied(),
            state: found.map_or_else(|e| NeedState::Refused(e.to_string()), |_| NeedState::There),
        });
    }
    // That a changelog is there shows in its topic alone, which provision looks at.
    let of_its_own = if ledger.is_some() { NeedState::There } else { NeedState::Missing };
    for stage in edition.stages() {
        needs.push(Need {
            kind: NeedKind::Changelog,
            name: format!("{prefix}{}.changelog", stage.name),
            partitions: Some(stage.partitions),
            state: of_its_own.clone(),
        });
    }
    for stage in KafkaIntake::stages(plan).into_iter().chain([ledger_stage(), requests::stage()]) {
        needs.push(Need {
            kind: NeedKind::Changelog,
            name: format!("{prefix}{}.changelog", stage.name),
            partitions: Some(stage.partitions),
            state: of_its_own.clone(),
        });
    }
    for group in groups(&edition) {
        let name = format!("{prefix}{group}");
        needs.push(Need {
            kind: NeedKind::Group,
            name,
            partitions: None,
            state: NeedState::ByItself,
        });
    }
    for sink in edition.table_sinks() {
        let table = &sink.table.name;
        let state = match shared.tables.served(table).await? {
            None => NeedState::Missing,
            Some(_) => match shared.tables.check_table(&sink.spec()).await {
                Ok(()) => NeedState::There,
                Err(EnsureTableError::Incompatible { reason, .. }) => NeedState::Refused(format!(
                    "{reason}. Raise the sink's `generation` to fill a new table from the log, or undo the change"
                )),
                Err(error @ EnsureTableError::Create { .. }) => return Err(error.into()),
            },
        };
        needs.push(Need { kind: NeedKind::Table, name: table.clone(), partitions: None, state });
    }
    Ok(needs)
}

/// The groups of an edition's stages and sinks.
fn groups(edition: &Edition) -> Vec<String> {
    let stages = edition.stages().into_iter().map(|stage| stage.name);
    let plan = edition.outward();
    let is_own =
        |sink: &SinkPlan| matches!(&sink.target, SinkTarget::Mqtt(m) if m.broker.is_none());
    let sends = |sink: &&SinkPlan| {
        matches!(sink.target, SinkTarget::Mqtt(_) | SinkTarget::Webhook(_)) && !is_own(sink)
    };
    // One has positions, and one for each stream has those who read it.
    let of = |sink: &SinkPlan| {
        let members: Vec<_> = sink.from.iter().map(|stream| members_of(sink, stream)).collect();
        std::iter::once(group_of(sink)).chain(members)
    };
    let sinks: Vec<_> = plan.sinks.iter().filter(sends).flat_map(of).collect();
    let tables = edition.table_sinks().into_iter().flat_map(|sink| {
        let of = |input: &SinkInput| sink.task_stage(&input.stream);
        sink.inputs.iter().map(of).collect::<Vec<_>>()
    });
    let ways_in = KafkaIntake::stages(&edition.plan).into_iter().map(|stage| stage.name);
    ways_in.chain(stages).chain(tables).chain(sinks).chain([GENERATIONS.to_owned()]).collect()
}

/// How many partitions the log has of a stream; none if it has no such stream.
fn partitions_of(log: &dyn Log, stream: &StreamName) -> Option<Partition> {
    let known = (0..).take_while(|partition| log.partition_info(stream, *partition).is_ok());
    known.last().map(|last| last + 1)
}
