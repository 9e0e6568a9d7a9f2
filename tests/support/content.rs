//! What a data folder holds after its process has ended, as two runs are compared.

use std::collections::BTreeMap;
use std::path::Path;

use millrace_core::StreamName;
use millrace_log::Entry;
use millrace_log::Log;
use millrace_log::ReadLimit;
use millrace_log::embedded::EmbeddedLog;
use millrace_log::embedded::EmbeddedLogOptions;
use millrace_plan::Plan;
use millrace_plan::model::StreamOrigin;
use millrace_tables::TableStore as _;
use millrace_tables::export;
use millrace_tables::sink::TableSink;
use millrace_tables::sqlite::SqliteStore;

/// The plan of a resource file.
pub(crate) fn plan(resource: &Path) -> Plan {
    let text = std::fs::read_to_string(resource).unwrap();
    let pipelines = millrace_api::load(&text, &resource.display().to_string()).unwrap();
    millrace_plan::plan(&pipelines[0]).unwrap()
}

/// The records of a stream as lines of key, event time, id and value, sorted.
pub(crate) async fn stream(log: &dyn Log, name: &StreamName, partitions: i32) -> Vec<String> {
    let mut lines = Vec::new();
    for partition in 0..partitions {
        let mut from = 0;
        loop {
            let batch = log.read(name, partition, from, ReadLimit::default()).await.unwrap();
            if batch.entries.is_empty() {
                break;
            }
            from = batch.next;
            for (_, entry) in batch.entries {
                if let Entry::Record(record) = entry {
                    lines.push(format!(
                        "{} {} {} {}",
                        String::from_utf8_lossy(&record.key),
                        record.event_time,
                        record.id,
                        String::from_utf8_lossy(&record.value),
                    ));
                }
            }
        }
    }
    lines.sort();
    lines
}

/// Every output of a pipeline: streams that processors write, dead letters and tables. What
/// clients wrote is no output.
pub(crate) fn outputs(resource: &Path, folder: &Path) -> BTreeMap<String, Vec<String>> {
    let plan = plan(resource);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let data = folder.join("data");
        let log = EmbeddedLog::open(EmbeddedLogOptions::new(data.join("log"))).unwrap();
        let mut outputs = BTreeMap::new();
        for planned in &plan.streams {
            if !matches!(planned.origin, StreamOrigin::Ingested(_)) {
                let lines = stream(log.as_ref(), &planned.name, planned.partitions).await;
                outputs.insert(format!("stream {}", planned.name), lines);
            }
        }
        log.close().await;
        let store = SqliteStore::open(&data.join("tables.sqlite")).await.unwrap();
        let tables: Vec<_> = TableSink::all(&plan).iter().map(TableSink::spec).collect();
        store.ensure_tables(&tables).await.unwrap();
        for table in tables {
            let lines = export(&store, &table.plan).await.unwrap();
            let lines = lines.lines().map(str::to_owned).collect();
            outputs.insert(format!("table {}", table.plan.name), lines);
        }
        outputs
    })
}

/// Fails with the first difference between two runs' outputs.
pub(crate) fn assert_equal(
    run: &BTreeMap<String, Vec<String>>,
    expected: &BTreeMap<String, Vec<String>>,
) {
    for (name, expected) in expected {
        let run = run.get(name).unwrap_or_else(|| panic!("there is no {name}"));
        let difference = run.iter().zip(expected).find(|(a, b)| a != b);
        assert_eq!(difference, None, "{name}");
        assert_eq!(run.len(), expected.len(), "{name}");
    }
    assert_eq!(run.len(), expected.len());
}
