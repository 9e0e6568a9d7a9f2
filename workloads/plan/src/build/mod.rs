//! From the resource to the plan: five named steps, each of which reports all that is wrong.
//!
//! Names are resolved first; keys and stages are worked out only where every name is known, so
//! that one mistake is not reported twice.

mod checks;
mod cluster;
mod exposure;
mod fingerprint;
mod graph;
mod header_names;
mod http;
mod identifiers;
mod ingest;
mod keying;
mod operators;
mod outward;
mod partitions;
mod query;
mod routes;
mod schemas;
mod sinks;
mod stages;
mod streams;
mod topics;
mod watching;
mod window;

use millrace_api::TelemetryPipeline;

use self::checks::Checks;
use self::graph::Graph;
pub use self::schemas::ConfigMapError;
pub use self::schemas::ConfigMaps;
use crate::error::PlanError;
use crate::model::Plan;

/// Checks a pipeline and plans it.
///
/// The resource is taken to have passed its own rules ([`millrace_api::load`]); what breaks them
/// nevertheless is an error as well, or has the default.
///
/// What it takes from ConfigMaps is an error: for that there is [`plan_with`].
///
/// # Errors
/// All that is wrong.
pub fn plan(pipeline: &TelemetryPipeline) -> Result<Plan, Vec<PlanError>> {
    plan_with(pipeline, &|name, _| {
        Err(ConfigMapError { message: format!("ConfigMap {name} is not known here"), hint: None })
    })
}

/// Checks a pipeline and plans it, with the texts of ConfigMaps that it names.
///
/// # Errors
/// All that is wrong.
pub fn plan_with(
    pipeline: &TelemetryPipeline,
    config_maps: ConfigMaps<'_>,
) -> Result<Plan, Vec<PlanError>> {
    let name = pipeline.metadata.name.clone().unwrap_or_default();
    let spec = &pipeline.spec;
    let mut checks = Checks::default();

    let streams = streams::ingested(spec, config_maps, &mut checks);
    let operations = operators::operations(spec, &mut checks);
    let ingest = ingest::ingest(&name, spec, &mut checks);
    let sinks = sinks::sinks(&name, spec, &mut checks);
    let query = query::query(spec, &sinks, &mut checks);
    routes::check_addresses(&ingest, &query.routes, &mut checks);
    sinks::check_headers(&sinks, &ingest, &mut checks);
    let exposure = exposure::exposure(&name, &spec.exposure, &mut checks);
    cluster::check(spec, &mut checks);

    let graph = Graph::resolve(spec, &mut checks);
    checks.finish()?;

    let mut checks = Checks::default();
    let keyed = keying::keyed(&graph, operations, spec, &mut checks);
    sinks::check_keys(&sinks, &keyed, &mut checks);
    checks.finish()?;

    let stages = stages::cut(&keyed, spec);
    let streams = streams::with_derived(streams, &stages, &keyed, spec);
    Ok(Plan {
        pipeline: name,
        streams,
        ingest,
        stages,
        sinks: keyed.at_their_generation(sinks),
        query,
        exposure,
    })
}
