//! The tables of a pipeline whose Kafka is another one than before.

use std::path::Path;

use millrace_log::Log as _;

use crate::Connections;
use crate::Process;
use crate::command;
use crate::content;
use crate::fill;
use crate::open_log;
use crate::provision;
use crate::sql;
use crate::support::cluster::provision_with;
use crate::until_there_are;

#[test]
fn tables_keep_their_rows_and_read_another_log_from_its_beginning() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let resource = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/timestamps.yaml");
    let connections = Connections::shared(folder);
    let worker = || Process::spawn("worker", "worker-0", &resource, &connections, folder, &[]);
    provision(&resource, &connections);
    append(&resource, &connections, 0..300);
    let mut former = worker();
    until_there_are(&connections, 300);
    former.kill();

    // Other topics are another Kafka to a pipeline: nobody has read them.
    let file = connections.folder.join("kafka.yaml");
    let settings = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, settings.replace("prefix: ", "prefix: other-")).unwrap();
    provision(&resource, &connections);
    append(&resource, &connections, 300..500);
    let mut present = worker();
    until_there_are(&connections, 500);
    present.kill();

    // As after a dump of yet another Kafka, within what the log has: nobody can see that it is wrong.
    sql(&connections, "UPDATE timestamps._millrace_positions SET next = 1");
    sql(&connections, "DELETE FROM timestamps.timestamp_records");
    provision_with(&resource, &connections, &["--begin-anew"]);
    let mut present = worker();
    until_there_are(&connections, 200);
    present.kill();
}

fn append(resource: &Path, connections: &Connections, numbers: std::ops::Range<usize>) {
    let plan = content::plan(resource);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let log = open_log(connections, &plan).await;
        fill(&log, numbers.map(command)).await;
        log.close().await;
    });
}
