//! Which passwords and certificates a pipeline is to have.

use jiff::Timestamp;
use millrace_api::ExposureMode;

use crate::material;
use crate::material::Existing;
use crate::material::Material;
use crate::material::MaterialError;
use crate::names::Part;
use crate::pipeline::Log;
use crate::pipeline::Tables;
use crate::validate::MaterialNeeds;

/// Makes passwords and certificates.
pub(super) fn complete(
    existing: &Existing,
    needs: &MaterialNeeds<'_>,
    now: Timestamp,
) -> Result<Material, MaterialError> {
    let exposure = needs.exposure;
    let own =
        exposure.tls.as_ref().is_none_or(|tls| tls.secret.is_none() && tls.cert_manager.is_none());
    let hosts = || {
        let name = needs.names.part(Part::Edge);
        let namespace = needs.names.namespace();
        let inside = [
            needs.names.host(Part::Edge),
            format!("{name}.{namespace}.svc"),
            format!("{name}.{namespace}"),
            name,
            "localhost".to_owned(),
        ];
        exposure.hosts.iter().map(ToString::to_string).chain(inside).collect()
    };
    let wanted = material::Wanted {
        kafka_nodes: match needs.log {
            Log::Managed(kafka) => Some(kafka.nodes),
            Log::External(_) => None,
        },
        postgres: matches!(needs.tables, Some(Tables::Managed(_))),
        edge: (own && exposure.mode != ExposureMode::None).then(hosts),
    };
    material::complete(existing, &wanted, needs.names, now)
}
