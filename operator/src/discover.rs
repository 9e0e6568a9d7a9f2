//! Which kinds the cluster has beside Kubernetes' own.

use kube::Client;

use crate::apply::resource;
use crate::pipeline::Kinds;
use crate::rbac::OPTIONAL;

/// Asks the API server.
///
/// # Errors
/// It does not answer.
pub async fn discover(client: &Client) -> Result<Kinds, kube::Error> {
    let groups = client.list_api_groups().await?;
    let mut kinds = Kinds::default();
    for (group, kind, _) in OPTIONAL {
        let Some(found) = groups.groups.iter().find(|found| found.name == group) else { continue };
        // The preferred version first, then the others as the API server orders them.
        let preferred = found.preferred_version.iter();
        for version in preferred.chain(&found.versions) {
            let resources = client.list_api_group_resources(&version.group_version).await?;
            if resources.resources.iter().any(|resource| resource.kind == kind) {
                *field(&mut kinds, kind) = Some(version.version.clone());
                break;
            }
        }
    }
    Ok(kinds)
}

/// The kinds that are there, as they are watched.
#[must_use]
pub fn resources(kinds: &Kinds) -> Vec<kube::core::ApiResource> {
    let mut kinds = kinds.clone();
    let found = OPTIONAL.iter().filter_map(|(group, kind, plural)| {
        let version = field(&mut kinds, kind).take()?;
        Some(resource(group, &version, kind, plural))
    });
    found.collect()
}

fn field<'a>(kinds: &'a mut Kinds, kind: &str) -> &'a mut Option<String> {
    match kind {
        "HTTPRoute" => &mut kinds.http_route,
        "TLSRoute" => &mut kinds.tls_route,
        "Certificate" => &mut kinds.certificate,
        "ScaledObject" => &mut kinds.scaled_object,
        _ => &mut kinds.service_monitor,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_that_are_there_are_watched_in_their_version() {
        let kinds = Kinds {
            tls_route: Some("v1alpha3".to_owned()),
            certificate: Some("v1".to_owned()),
            ..Kinds::default()
        };
        let found: Vec<String> = resources(&kinds)
            .iter()
            .map(|kind| format!("{}/{}", kind.api_version, kind.plural))
            .collect();
        assert_eq!(
            found,
            ["gateway.networking.k8s.io/v1alpha3/tlsroutes", "cert-manager.io/v1/certificates"]
        );
    }
}
