//! A managed Postgres: one primary, over TLS, with passwords by SCRAM; and dumps of it where the
//! resource asks for them.

mod backup;
mod configuration;
mod stateful_set;
#[cfg(test)]
mod tests;
mod users;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::core::v1::ServicePort;
use k8s_openapi::api::core::v1::ServiceSpec;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::labels;
use crate::names::Part;
use crate::object;
use crate::object::Object;
use crate::pipeline::Pipeline;
use crate::pipeline::Tables;

pub(crate) use users::database_users;

/// Its port.
pub(crate) const PORT: u16 = 5432;

/// User and group in the official image, those on Debian.
const USER: i64 = 999;

/// Where scripts and configuration are mounted.
const CONFIGURATION: &str = "/etc/millrace/postgres";
/// Where the server's certificate is mounted.
const CERTIFICATE: &str = "/etc/millrace/certificate";
/// Where the owner's name and password are mounted.
const OWNER: &str = "/etc/millrace/owner";

/// All objects of a managed Postgres; none where it is another's, or there are no tables.
pub(crate) fn build_postgres(pipeline: &Pipeline) -> Vec<Object> {
    let Some(Tables::Managed(postgres)) = &pipeline.tables else { return Vec::new() };
    let configuration = configuration::build_config_map(pipeline, postgres);
    let mut objects = vec![
        Object::of(&configuration),
        Object::of(&build_service(pipeline)),
        Object::of(&stateful_set::build_stateful_set(pipeline, postgres, &configuration)),
    ];
    if let Some(spec) = &postgres.spec.backup {
        objects.push(Object::of(&backup::build_claim(pipeline, spec)));
        objects.push(Object::of(&backup::build_cron_job(pipeline, spec, postgres)));
    }
    objects
}

/// The Service: one address that stays when the pod changes its own.
fn build_service(pipeline: &Pipeline) -> Service {
    let names = &pipeline.names;
    let name = names.part(Part::Postgres);
    Service {
        metadata: object::metadata(names, &pipeline.owner, Part::Postgres, name),
        spec: Some(ServiceSpec {
            selector: Some(labels::selector(names, Part::Postgres)),
            ports: Some(vec![ServicePort {
                name: Some("postgres".to_owned()),
                port: i32::from(PORT),
                target_port: Some(IntOrString::Int(i32::from(PORT))),
                ..ServicePort::default()
            }]),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}
