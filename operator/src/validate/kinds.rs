//! What a resource asks of kinds that others define, and that the cluster does not have. It is valid
//! all the same: as soon as a kind is there, its object is made.

use millrace_api::ExposureMode;
use millrace_api::TelemetryPipelineSpec;
use millrace_api::WorkerAutoscaler;

use crate::build::edge::ISSUED;
use crate::names::Names;
use crate::pipeline::Kinds;

/// What is not made, what happens instead, and what to do.
pub(crate) fn missing(names: &Names, spec: &TelemetryPipelineSpec, kinds: &Kinds) -> Vec<String> {
    let mut notes = Vec::new();
    let exposure = &spec.exposure;
    if exposure.mode == ExposureMode::Gateway {
        let wants_mqtt =
            exposure.gateway.as_ref().is_some_and(|gateway| gateway.mqtt_section.is_some());
        if kinds.http_route.is_none() {
            notes.push(
                "spec.exposure.mode is gateway, and this cluster has no HTTPRoute: no Gateway leads \
                 to the edge; install the Gateway API and a controller of it, or write edge or \
                 ingress"
                    .to_owned(),
            );
        } else if wants_mqtt && kinds.tls_route.is_none() {
            notes.push(
                "spec.exposure.gateway.mqttSection is set, and this cluster has no TLSRoute: MQTT \
                 comes by the edge's own Service; install a Gateway API that has it"
                    .to_owned(),
            );
        }
    }
    let is_issued = exposure.tls.as_ref().is_some_and(|tls| tls.cert_manager.is_some());
    if is_issued && kinds.certificate.is_none() {
        notes.push(format!(
            "spec.exposure.tls.certManager is set, and this cluster has no Certificate: the edge \
             waits for the Secret {}; install cert-manager, or write secret or selfSigned",
            names.of(ISSUED)
        ));
    }
    let workers = spec.scaling.workers.as_ref();
    let is_by_keda = workers.is_some_and(|workers| {
        workers.autoscaler == WorkerAutoscaler::Keda && workers.max.is_some()
    });
    if is_by_keda && kinds.scaled_object.is_none() {
        notes.push(
            "spec.scaling.workers.autoscaler is keda, which this cluster does not have: the \
             operator scales by itself; install KEDA, or write builtIn"
                .to_owned(),
        );
    }
    notes
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "helpers fail as tests do")]
mod tests {
    use millrace_api::TelemetryPipeline;

    use super::*;
    use crate::fixture::all_kinds;

    fn spec(exposure: &str, scaling: &str) -> TelemetryPipelineSpec {
        let text = include_str!("../../../examples/race.yaml");
        let mut race: TelemetryPipeline = serde_yaml_ng::from_str(text).unwrap();
        race.spec.exposure = serde_yaml_ng::from_str(exposure).unwrap();
        race.spec.scaling = serde_yaml_ng::from_str(scaling).unwrap();
        race.spec
    }

    fn missing_of(spec: &TelemetryPipelineSpec, kinds: &Kinds) -> Vec<String> {
        missing(&Names::new("factory", "race"), spec, kinds)
    }

    const GATEWAY: &str = "{mode: gateway, hosts: [race.example.com], gateway: {name: public, mqttSection: mqtt}, tls: {certManager: {issuer: letsencrypt}}}";

    #[test]
    fn of_each_kind_that_is_missing_is_said_what_happens_without_it() {
        let spec = spec(GATEWAY, "{workers: {min: 1, max: 4, autoscaler: keda}}");
        assert_eq!(
            missing_of(&spec, &Kinds::default()),
            [
                "spec.exposure.mode is gateway, and this cluster has no HTTPRoute: no Gateway leads to the edge; install the Gateway API and a controller of it, or write edge or ingress",
                "spec.exposure.tls.certManager is set, and this cluster has no Certificate: the edge waits for the Secret race-issued-certificate; install cert-manager, or write secret or selfSigned",
                "spec.scaling.workers.autoscaler is keda, which this cluster does not have: the operator scales by itself; install KEDA, or write builtIn",
            ]
        );
        let kinds = Kinds { tls_route: None, ..all_kinds() };
        assert_eq!(
            missing_of(&spec, &kinds),
            [
                "spec.exposure.gateway.mqttSection is set, and this cluster has no TLSRoute: MQTT comes by the edge's own Service; install a Gateway API that has it",
            ]
        );
        assert_eq!(missing_of(&spec, &all_kinds()), Vec::<String>::new());
    }

    #[test]
    fn of_kinds_that_are_not_asked_for_nothing_is_said() {
        let spec = spec("{hosts: [race.example.com]}", "{workers: {min: 1, max: 4}}");
        assert_eq!(missing_of(&spec, &Kinds::default()), Vec::<String>::new());
    }
}
