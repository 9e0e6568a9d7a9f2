//! What leads to the edge from outside, beside its own Service: an Ingress, routes of the Gateway
//! API, and the certificate that cert-manager gets. Objects of kinds that the cluster lacks are left
//! out.

mod address;
mod certificate;
mod gateway;
mod ingress;

pub(crate) use self::address::endpoints;
pub(crate) use self::address::url;
use self::certificate::build_certificate;
use self::gateway::build_http_route;
use self::gateway::build_tls_route;
use self::ingress::build_ingress;
use crate::object::Object;
use crate::pipeline::Pipeline;

/// Port of the edge's Service that an Ingress or a Gateway sends HTTP to. TLS ends there; nginx
/// serves what was HTTPS, and shows all else the way.
const BEHIND: i32 = 80;

/// All of it; nothing with `exposure.mode: none`.
pub(crate) fn build_exposure(pipeline: &Pipeline) -> Vec<Object> {
    if pipeline.edge.is_none() {
        return Vec::new();
    }
    [
        build_certificate(pipeline),
        build_ingress(pipeline).as_ref().map(Object::of),
        build_http_route(pipeline),
        build_tls_route(pipeline),
    ]
    .into_iter()
    .flatten()
    .collect()
}
