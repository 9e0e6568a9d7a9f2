//! What concerns nginx as a whole: its processes, its log and how it ends.

use k8s_openapi::api::core::v1::ResourceRequirements;
use millrace_api::Quantity;

use crate::build::edge::nginx::places::Places;
use crate::build::edge::nginx::text::Text;
use crate::pipeline::Pipeline;

/// Processes that serve, where no limit of the processor says how many.
const WORKERS: u64 = 2;

/// Most processes that serve.
const MOST_WORKERS: u64 = 64;

/// Connections of a process beside those of clients.
const OTHER_CONNECTIONS: u64 = 512;

/// Writes it.
pub(super) fn write(text: &mut Text, pipeline: &Pipeline, places: &Places) {
    let resources = pipeline.edge.as_ref().map(|edge| &edge.resources);
    let workers = resources.map_or(WORKERS, workers);
    let connections = u64::try_from(pipeline.exposure.limits.connections).unwrap_or_default();
    // Each client has a connection to a pod beside its own, and may be on any of the processes.
    let connections = 2 * connections + OTHER_CONNECTIONS;
    text.line(format_args!("worker_processes {workers};"));
    // After a reload, connections stay with the processes that they are with. This bounds how many
    // of those there can be.
    text.line("worker_shutdown_timeout 1h;");
    // A certificate is read again even if it was written twice within a second.
    text.line("ssl_object_cache_inheritable off;");
    text.line("daemon off;");
    text.line(format_args!("pid {}/nginx.pid;", places.temporary));
    text.line("error_log stderr warn;");
    text.block("events", |text| {
        text.line(format_args!("worker_connections {connections};"));
    });
}

/// As many processes as there are processors for them.
fn workers(resources: &ResourceRequirements) -> u64 {
    let limit = resources.limits.as_ref().and_then(|limits| limits.get("cpu"));
    let Some(limit) = limit else { return WORKERS };
    let whole = Quantity::from(limit.0.as_str()).value();
    whole
        .and_then(|whole| u64::try_from(whole).ok())
        .map_or(WORKERS, |whole| whole.clamp(1, MOST_WORKERS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::pipeline;

    #[test]
    fn there_are_as_many_processes_as_whole_processors_are_allowed() {
        let workers = |cpu: Option<&str>| {
            let limits = cpu.map(|cpu| {
                let cpu = k8s_openapi::apimachinery::pkg::api::resource::Quantity(cpu.to_owned());
                [("cpu".to_owned(), cpu)].into()
            });
            super::workers(&ResourceRequirements { limits, ..ResourceRequirements::default() })
        };
        assert_eq!(workers(None), 2);
        assert_eq!(workers(Some("100m")), 1);
        assert_eq!(workers(Some("1500m")), 2);
        assert_eq!(workers(Some("4")), 4);
        assert_eq!(workers(Some("500")), 64);
    }

    #[test]
    fn there_is_room_for_as_many_clients_as_the_resource_allows() {
        let mut pipeline = pipeline();
        pipeline.exposure.limits.connections = 1000;
        let mut text = Text::default();
        write(&mut text, &pipeline, &Places::of_pod());
        let text = text.finish();
        assert!(text.contains("worker_connections 2512;"), "{text}");
    }
}
